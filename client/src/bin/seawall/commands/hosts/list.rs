//! `seawall hosts`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use seawall::registry::Pages;
use seawall_api::names::{ApplicationName, ChannelName, HostName, Version};
use seawall_api::v1::HostRun;
use serde::Serialize;

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer, answer_list, column, count, table};

#[derive(Serialize)]
struct Hosts {
    /// Counts by application and channel.
    summary: Vec<Summary>,
    hosts: Vec<HostRun>,
}

#[derive(Serialize)]
struct Forgotten {
    host: HostName,
}

/// Lists the hosts that reported, of one application or of all.
pub(in crate::commands) async fn list(
    context: &Context,
    application: Option<ApplicationName>,
) -> Result<(), Failure> {
    let mut hosts = Vec::new();
    let (mut pages, mut after) = (Pages::of("list hosts"), None);
    loop {
        let page = context.registry.hosts(application.as_ref(), after.as_ref()).await?;
        hosts.extend(page.hosts);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let summary = summary(&hosts);
    answer_list(context.style, &Hosts { summary, hosts }, hosts_list)
}

/// Forgets a host, so that its releases are no longer kept for it.
pub(in crate::commands) async fn forget(
    context: &Context,
    host: HostName,
    application: Option<&ApplicationName>,
) -> Result<(), Failure> {
    context.registry.forget_host(&host, application).await?;
    answer(context.style, &Forgotten { host }, |done| format!("host {} is forgotten\n", done.host))
}

const HOSTS: &[Column] = &[
    column("host", 0),
    column("application", 1),
    column("status", 0),
    column("since", 6),
    column("heard", 3),
    column("until", 4),
    column("directory", 5),
];

fn hosts_list(list: &Hosts) -> List<'static> {
    let rows = list.hosts.iter().map(|run| {
        vec![
            Cell::from(&run.host),
            Cell::from(&run.application),
            Cell::from(sentence(run)),
            Cell::Moment(run.since_secs),
            Cell::Moment(run.renewed_at_secs),
            match run.is_expired {
                true => Cell::Text("expired".to_owned()),
                false => Cell::Moment(run.deadline_secs),
            },
            Cell::from(run.instance.clone()),
        ]
    });
    let above = match list.hosts.is_empty() {
        true => "no host has reported; run `seawall report DIR` on a host\n".to_owned(),
        false => summary_text(&list.summary) + "\n",
    };
    List { columns: HOSTS, rows: rows.collect(), above, below: String::new() }
}

/// The release of a folder and the state of its channel.
pub(super) struct Position<'a> {
    pub(super) version: &'a Version,
    pub(super) channel: Option<&'a ChannelName>,
    pub(super) channel_version: Option<&'a Version>,
    pub(super) moves_behind: Option<u64>,
}

/// Formats a position, as in `on 1.0.1, channel stable at 1.1.0, 1 move behind`.
pub(super) fn sentence_of(position: &Position<'_>) -> String {
    let Position { version, channel, channel_version, moves_behind } = position;
    let on = format!("on {version}");
    let Some(channel) = channel else { return on };
    match (channel_version, moves_behind) {
        (None, _) => format!("{on}, channel {channel} is gone"),
        (Some(_), Some(0)) => format!("{on}, up to date with {channel}"),
        (Some(to), Some(moves)) => {
            format!("{on}, channel {channel} at {to}, {} behind", count(*moves, "move"))
        }
        (Some(to), None) => format!("{on}, channel {channel} at {to}, was never at {version}"),
    }
}

/// Formats the position of a host that reported.
pub(super) fn sentence(run: &HostRun) -> String {
    sentence_of(&Position {
        version: &run.version,
        channel: run.channel.as_ref(),
        channel_version: run.channel_version.as_ref(),
        moves_behind: run.moves_behind,
    })
}

/// The number of an application's hosts on a channel, and their versions.
#[derive(Serialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
struct Summary {
    application: ApplicationName,
    /// The channel; absent for hosts without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelName>,
    /// The channel's version; absent if the channel was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_version: Option<Version>,
    host_count: u64,
    versions: Vec<VersionCount>,
}

#[derive(Serialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
struct VersionCount {
    version: Version,
    host_count: u64,
}

/// Counts hosts by application and channel, and by version. A host with two folders on the same
/// version counts once.
fn summary(hosts: &[HostRun]) -> Vec<Summary> {
    type Key<'a> = (&'a ApplicationName, Option<&'a ChannelName>);
    let mut groups: BTreeMap<Key<'_>, Vec<&HostRun>> = BTreeMap::new();
    for run in hosts {
        groups.entry((&run.application, run.channel.as_ref())).or_default().push(run);
    }
    let distinct = |runs: &mut dyn Iterator<Item = &HostRun>| {
        runs.map(|run| &run.host).collect::<BTreeSet<_>>().len() as u64
    };
    let group = |((application, channel), runs): (Key<'_>, Vec<&HostRun>)| {
        let at = runs.iter().find_map(|run| run.channel_version.as_ref());
        // The channel's version first, then the newest release.
        let mut versions: Vec<_> =
            runs.iter().map(|run| (run.published_at_secs, &run.version)).collect();
        versions.sort_by_key(|(published, version)| {
            (Some(*version) != at, Reverse(*published), Reverse(version.to_string()))
        });
        versions.dedup();
        let count = |version: &Version| VersionCount {
            version: version.clone(),
            host_count: distinct(&mut runs.iter().copied().filter(|run| run.version == *version)),
        };
        Summary {
            application: application.clone(),
            channel: channel.cloned(),
            channel_version: at.cloned(),
            host_count: distinct(&mut runs.iter().copied()),
            versions: versions.into_iter().map(|(_, version)| count(version)).collect(),
        }
    };
    groups.into_iter().map(group).collect()
}

fn summary_text(all: &[Summary]) -> String {
    let dash = || "-".to_owned();
    let rows = all.iter().map(|summary| {
        let on = |one: &VersionCount| format!("{} on {}", one.host_count, one.version);
        vec![
            summary.application.to_string(),
            summary.channel.as_ref().map_or_else(dash, ToString::to_string),
            summary.channel_version.as_ref().map_or_else(dash, ToString::to_string),
            summary.host_count.to_string(),
            summary.versions.iter().map(on).collect::<Vec<_>>().join(", "),
        ]
    });
    table(&["APPLICATION", "CHANNEL", "AT", "HOSTS", "RUN"], rows)
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ReleaseDigest;

    use super::*;

    #[test]
    fn a_host_is_a_line_that_says_how_far_it_is_behind() {
        let mut run = HostRun {
            host: "rack4".parse().unwrap(),
            application: "shop".parse().unwrap(),
            instance: "/srv/shop".to_owned(),
            release: ReleaseDigest::from_bytes([1; 32]),
            version: "1.0".parse().unwrap(),
            published_at_secs: 0,
            channel: Some("stable".parse().unwrap()),
            channel_version: Some("1.2".parse().unwrap()),
            moves_behind: Some(2),
            disks: 2,
            since_secs: 0,
            renewed_at_secs: 60,
            deadline_secs: 120,
            is_expired: true,
        };
        let mut other = run.clone();
        other.host = "rack5".parse().unwrap();
        other.version = "1.2".parse().unwrap();
        (other.published_at_secs, other.moves_behind) = (1, Some(0));
        let hosts = vec![run.clone(), run.clone(), other];
        let summary = summary(&hosts);
        let text = hosts_list(&Hosts { summary, hosts: vec![run.clone()] }).text();
        assert_eq!(
            text,
            "APPLICATION  CHANNEL  AT   HOSTS  RUN\n\
             shop         stable   1.2  2      1 on 1.2, 1 on 1.0\n\n\
             HOST   APPLICATION  STATUS                                         SINCE                 \
             HEARD                 UNTIL    DIRECTORY\n\
             rack4  shop         on 1.0, channel stable at 1.2, 2 moves behind  1970-01-01 00:00:00Z  \
             1970-01-01 00:01:00Z  expired  /srv/shop\n"
        );
        run.moves_behind = Some(0);
        assert_eq!(sentence(&run), "on 1.0, up to date with stable");
        run.moves_behind = None;
        assert_eq!(sentence(&run), "on 1.0, channel stable at 1.2, was never at 1.0");
        run.channel_version = None;
        assert_eq!(sentence(&run), "on 1.0, channel stable is gone");
        run.channel = None;
        assert_eq!(sentence(&run), "on 1.0");
    }
}
