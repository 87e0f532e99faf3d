//! `seawall list [APPLICATION]`.

use std::collections::HashMap;

use seawall::registry::Pages;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, MachineName};
use seawall_api::units::HumanBytes;
use seawall_api::v1::{Application, ReleaseSummary};
use serde::Serialize;

use super::Surroundings;
use crate::output::{answer, count, moment, table};
use crate::report::Failure;

#[derive(Serialize)]
struct Applications {
    applications: Vec<Application>,
}

#[derive(Serialize)]
struct Releases {
    application: ApplicationName,
    releases: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    release: ReleaseSummary,
    /// What deleting it frees; absent where the registry cannot say.
    #[serde(rename = "ownBytes", skip_serializing_if = "Option::is_none")]
    own_bytes: Option<u64>,
}

pub(crate) async fn applications(around: &Surroundings) -> Result<(), Failure> {
    let mut all = Vec::new();
    let (mut pages, mut after) = (Pages::of("list its applications"), None);
    loop {
        let page = around.registry.applications(after.as_ref()).await?;
        all.extend(page.applications);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    answer(around.style, &Applications { applications: all }, applications_text)
}

pub(crate) async fn releases(
    around: &Surroundings,
    application: ApplicationName,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    let (mut pages, mut after) = (Pages::of("list releases"), None);
    loop {
        let page = around.registry.releases(&application, after.as_ref()).await?;
        all.extend(page.releases);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let own = own_bytes(around).await;
    let releases = all.into_iter().map(|release| {
        let own_bytes = own.get(&release.digest).copied();
        Listed { release, own_bytes }
    });
    answer(around.style, &Releases { application, releases: releases.collect() }, releases_text)
}

/// What deleting each release frees; of none where the registry cannot say, be it because a
/// release is damaged.
pub(super) async fn own_bytes(around: &Surroundings) -> HashMap<ReleaseDigest, u64> {
    match around.registry.usage().await {
        Ok(usage) => usage.releases.into_iter().map(|r| (r.digest, r.own_bytes)).collect(),
        Err(error) => {
            tracing::warn!(%error, "it is not known what deleting releases frees");
            HashMap::new()
        }
    }
}

fn applications_text(list: &Applications) -> String {
    let rows = list.applications.iter().map(|application| {
        let newest = application.newest.as_ref().map_or("-".to_owned(), ToString::to_string);
        vec![
            application.name.to_string(),
            application.release_count.to_string(),
            newest,
            moment(application.created_at_secs),
        ]
    });
    table(&["APPLICATION", "RELEASES", "NEWEST", "CREATED"], rows)
}

fn releases_text(list: &Releases) -> String {
    let rows = list.releases.iter().map(|Listed { release, own_bytes }| {
        let channels: Vec<_> = release.channels.iter().map(ChannelName::as_str).collect();
        let machines: Vec<_> = release.machines.iter().map(MachineName::as_str).collect();
        vec![
            release.version.to_string(),
            if channels.is_empty() { "-".to_owned() } else { channels.join(",") },
            held(release),
            moment(release.published_at_secs),
            HumanBytes(release.disk_bytes).to_string(),
            HumanBytes(release.data_bytes).to_string(),
            own_bytes.map_or("-".to_owned(), |bytes| HumanBytes(bytes).to_string()),
            machines.join(","),
            release.digest.to_string(),
        ]
    });
    let headings = [
        "VERSION",
        "CHANNELS",
        "HELD BY",
        "PUBLISHED",
        "DISKS",
        "DATA",
        "FREES",
        "MACHINES",
        "DIGEST",
    ];
    let mut text = table(&headings, rows);
    let releases = list.releases.iter().map(|listed| &listed.release);
    for release in releases.filter(|release| !release.lost.is_empty()) {
        let (name, lost) = (&list.application, release.lost.join(", "));
        text += &format!("{name}:{} is DAMAGED, lost: {lost}\n", release.version);
    }
    text
}

/// What holds a release besides the channels that point at it.
fn held(release: &ReleaseSummary) -> String {
    let mut words: Vec<_> = release.pins.iter().map(|pin| format!("pin {pin}")).collect();
    if release.host_count > 0 {
        words.push(count(release.host_count, "host"));
    }
    words.extend(release.recent_on.iter().map(|channel| format!("recent on {channel}")));
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Listed {
        let release = ReleaseSummary {
            version: "1.0".parse().unwrap(),
            digest: ReleaseDigest::from_bytes([0xab; 32]),
            published_at_secs: 1_795_320_420,
            published_by: String::new(),
            machines: vec!["db".parse().unwrap(), "web".parse().unwrap()],
            disk_bytes: 8 << 30,
            data_bytes: 3 << 29,
            channels: vec!["stable".parse().unwrap()],
            lost: vec![],
            recent_on: vec!["beta".parse().unwrap()],
            pins: vec!["audit".parse().unwrap()],
            host_count: 2,
        };
        Listed { release, own_bytes: Some(3 << 20) }
    }

    #[test]
    fn releases_are_listed_a_line_each() {
        let list = Releases { application: "web".parse().unwrap(), releases: vec![release()] };
        let digest = format!("blake3:{}", "ab".repeat(32));
        assert_eq!(
            releases_text(&list),
            format!(
                "VERSION  CHANNELS  HELD BY                             PUBLISHED             \
                 DISKS    DATA     FREES    MACHINES  DIGEST\n\
                 1.0      stable    pin audit, 2 hosts, recent on beta  2026-11-22 04:07:00Z  \
                 8.0 GiB  1.5 GiB  3.0 MiB  db,web    {digest}\n"
            )
        );
    }

    #[test]
    fn the_json_of_a_listing_is_stable() {
        let list = Releases { application: "web".parse().unwrap(), releases: vec![release()] };
        assert_eq!(
            serde_json::to_value(&list).unwrap(),
            serde_json::json!({
                "application": "web",
                "releases": [{
                    "version": "1.0",
                    "digest": format!("blake3:{}", "ab".repeat(32)),
                    "publishedAtSecs": 1_795_320_420_u64,
                    "publishedBy": "",
                    "machines": ["db", "web"],
                    "diskBytes": 8_u64 << 30,
                    "dataBytes": 3_u64 << 29,
                    "channels": ["stable"],
                    "recentOn": ["beta"],
                    "pins": ["audit"],
                    "hostCount": 2,
                    "ownBytes": 3 << 20,
                }],
            })
        );
    }
}
