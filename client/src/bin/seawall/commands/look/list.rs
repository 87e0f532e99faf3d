//! `seawall list [APPLICATION]`.

use std::collections::HashMap;

use seawall::registry::Pages;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, MachineName};
use seawall_api::v1::{Application, ReleaseSummary};
use serde::Serialize;

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer_list, column, count};

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
    /// The bytes freed by deleting the release; absent if the registry cannot tell.
    #[serde(rename = "ownBytes", skip_serializing_if = "Option::is_none")]
    own_bytes: Option<u64>,
}

pub(crate) async fn applications(context: &Context) -> Result<(), Failure> {
    let mut all = Vec::new();
    let (mut pages, mut after) = (Pages::of("list its applications"), None);
    loop {
        let page = context.registry.applications(after.as_ref()).await?;
        all.extend(page.applications);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    answer_list(context.style, &Applications { applications: all }, applications_list)
}

pub(crate) async fn releases(
    context: &Context,
    application: ApplicationName,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    let (mut pages, mut after) = (Pages::of("list releases"), None);
    loop {
        let page = context.registry.releases(&application, after.as_ref()).await?;
        all.extend(page.releases);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let own = own_bytes(context).await;
    let releases = all.into_iter().map(|release| {
        let own_bytes = own.get(&release.digest).copied();
        Listed { release, own_bytes }
    });
    let list = Releases { application, releases: releases.collect() };
    answer_list(context.style, &list, releases_list)
}

/// Returns the bytes freed by deleting each release; empty if the registry cannot tell, for example
/// because a release is damaged.
pub(in crate::commands) async fn own_bytes(context: &Context) -> HashMap<ReleaseDigest, u64> {
    match context.registry.usage().await {
        Ok(usage) => usage.releases.into_iter().map(|r| (r.digest, r.own_bytes)).collect(),
        Err(error) if error.is_read_only() => HashMap::new(),
        Err(error) => {
            tracing::warn!(%error, "the space that deleting releases would free is unknown");
            HashMap::new()
        }
    }
}

const APPLICATIONS: &[Column] =
    &[column("application", 0), column("releases", 1), column("newest", 1), column("created", 2)];

fn applications_list(list: &Applications) -> List<'static> {
    let rows = list.applications.iter().map(|application| {
        vec![
            Cell::from(&application.name),
            Cell::Number(application.release_count),
            Cell::from(application.newest.as_ref()),
            Cell::Moment(application.created_at_secs),
        ]
    });
    let above = match list.applications.is_empty() {
        true => {
            "there are no applications; `seawall push APPLICATION:1.0.0` creates one\n".to_owned()
        }
        false => String::new(),
    };
    List { columns: APPLICATIONS, rows: rows.collect(), above, below: String::new() }
}

const RELEASES: &[Column] = &[
    column("version", 0),
    column("channels", 1),
    column("held-by", 5),
    column("published", 2),
    column("disks", 6),
    column("data", 3),
    column("unique", 4),
    column("machines", 7),
    column("digest", 1),
];

fn releases_list(list: &Releases) -> List<'static> {
    let rows = list.releases.iter().map(|Listed { release, own_bytes }| {
        let channels: Vec<_> = release.channels.iter().map(ChannelName::as_str).collect();
        let machines: Vec<_> = release.machines.iter().map(MachineName::as_str).collect();
        vec![
            Cell::from(&release.version),
            Cell::from(channels.join(",")),
            Cell::from(held(release)),
            Cell::Moment(release.published_at_secs),
            Cell::Bytes(release.disk_bytes),
            Cell::Bytes(release.data_bytes),
            own_bytes.map_or(Cell::Nothing, Cell::Bytes),
            Cell::from(machines.join(",")),
            Cell::from(&release.digest),
        ]
    });
    let rows = rows.collect();
    let mut below = String::new();
    let releases = list.releases.iter().map(|listed| &listed.release);
    for release in releases.filter(|release| !release.lost.is_empty()) {
        let (name, lost) = (&list.application, release.lost.join(", "));
        below += &format!("{name}:{} is DAMAGED, lost: {lost}\n", release.version);
    }
    let above = match list.releases.is_empty() {
        true => format!("{} has no releases: all of them were deleted\n", list.application),
        false => String::new(),
    };
    List { columns: RELEASES, rows, above, below }
}

/// Lists the holders of a release other than channels that point to the release.
fn held(release: &ReleaseSummary) -> String {
    let mut words: Vec<_> = release.pins.iter().map(|pin| format!("pin {pin}")).collect();
    if release.host_count > 0 {
        words.push(count(release.host_count, "host"));
    }
    words.extend(release.recent_on.iter().map(|channel| format!("recent on {channel}")));
    words.join(", ")
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
            releases_list(&list).text(),
            format!(
                "VERSION  CHANNELS  HELD BY                             PUBLISHED             \
                 DISKS    DATA     UNIQUE   MACHINES  DIGEST\n\
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
