//! `seawall rm`, `pin`, `unpin` and `hosts`, and dispatch to `retention`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use seawall::error::ErrorKind;
use seawall::plain::one_line;
use seawall::registry::Pages;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::v1::{DeletedRelease, Holder, HostRun, Pin};
use serde::Serialize;

use super::{Surroundings, retention};
use crate::command::{Fleet, Target};
use crate::output::{Cell, Column, List, answer, answer_list, column, count, moment, table};
use crate::report::Failure;

/// The number of holders named in an error; hosts alone may number thousands.
const NAMED_HOLDERS_MAX: usize = 10;

/// The outcome of `rm --dry-run`.
#[derive(Serialize)]
struct Removal {
    application: ApplicationName,
    version: Version,
    release: ReleaseDigest,
    /// The holders of the release; a release without holders would be deleted.
    holders: Vec<Holder>,
}

#[derive(Serialize)]
struct Removed {
    application: ApplicationName,
    #[serde(flatten)]
    release: DeletedRelease,
}

#[derive(Serialize)]
struct Pinned {
    pins: Vec<PinnedOne>,
}

#[derive(Serialize)]
struct PinnedOne {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
    #[serde(flatten)]
    pin: Pin,
}

#[derive(Serialize)]
struct Unpinned {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
    pin: PinName,
}

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

/// Runs a retention command.
pub(crate) async fn run(around: &Surroundings, order: Fleet) -> Result<(), Failure> {
    match order {
        Fleet::Remove { target, dry_run: true } => would_remove(around, target).await,
        Fleet::Remove { target, dry_run: false } => remove(around, target).await,
        Fleet::Pin { targets, name, reason } => pin(around, targets, &name, &reason).await,
        Fleet::Unpin { target, name } => unpin(around, target, name).await,
        Fleet::Hosts(application) => hosts(around, application).await,
        Fleet::Forget { host, application } => {
            around.registry.forget_host(&host, application.as_ref()).await?;
            answer(around.style, &Forgotten { host }, |done| {
                format!("host {} is forgotten\n", done.host)
            })
        }
        Fleet::Policies(application) => retention::show(around, &application).await,
        Fleet::SetPolicy(set) => retention::set(around, &set).await,
        Fleet::Plan(application) => retention::plan(around, &application).await,
        Fleet::Apply(application) => retention::apply(around, &application).await,
    }
}

async fn remove(around: &Surroundings, target: Target) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let version = match selector {
        Selector::Version(version) => version,
        // A registry deletes by version only, because a channel may move before the request
        // arrives.
        named => around.registry.holders(&application, &named).await?.version,
    };
    let release = match around.registry.delete_release(&application, &version).await {
        Err(error) if error.code() == Some(Code::Held) => {
            let named = Selector::Version(version.clone());
            return Err(match around.registry.holders(&application, &named).await {
                Ok(held) if !held.holders.is_empty() => {
                    stays(&application, &version, &held.holders)
                }
                _ => error.into(),
            });
        }
        deleted => deleted?,
    };
    answer(around.style, &Removed { application, release }, |removed| {
        let Removed { application, release } = removed;
        let name = format!("{application}:{}", release.version);
        format!("{name} is deleted, and its version is never used again ({})\n", release.digest)
    })
}

async fn would_remove(around: &Surroundings, target: Target) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let found = around.registry.holders(&application, &selector).await?;
    let name = format!("{application}:{}", found.version);
    let (version, release, holders) = (found.version, found.digest, found.holders);
    let removal = Removal { application, version, release, holders };
    answer(around.style, &removal, |removal| match removal.holders.is_empty() {
        true => format!("nothing holds {name}: it would be deleted\n"),
        false => holders_text(&removal.holders),
    })?;
    if removal.holders.is_empty() {
        return Ok(());
    }
    Err(stays(&removal.application, &removal.version, &removal.holders))
}

/// Returns the failure for a held release, with the commands that release each holder.
fn stays(application: &ApplicationName, version: &Version, holders: &[Holder]) -> Failure {
    let named = holders.iter().take(NAMED_HOLDERS_MAX);
    let mut causes: Vec<String> = named.clone().map(words).collect();
    if let more @ 1.. = holders.len().saturating_sub(NAMED_HOLDERS_MAX) {
        causes.push(format!("and {}", count(more as u64, "more holder")));
    }
    let what = format!("{application}:{version} stays: {}", causes.join("; "));
    let mut remedies: Vec<String> =
        named.map(|holder| remedy(application, version, holder)).collect();
    remedies.dedup();
    Failure::usage(what, remedies.join("; ")).of_kind(ErrorKind::Conflict)
}

fn words(holder: &Holder) -> String {
    match holder {
        Holder::Channel { channel } => format!("channel {channel} points at it"),
        Holder::History { channel, moves_ago } => {
            format!("channel {channel} pointed at it {} ago", count(*moves_ago, "move"))
        }
        Holder::Pin { pin, reason } => format!("pin {pin}: {}", one_line(reason)),
        Holder::Host { host, .. } => format!("host {host} runs it"),
    }
}

/// Returns the next step that makes a holder let go.
fn remedy(application: &ApplicationName, version: &Version, holder: &Holder) -> String {
    match holder {
        Holder::Channel { channel } => {
            format!(
                "point the channel at another: `seawall promote {application}:VERSION {channel}`"
            )
        }
        Holder::History { channel, .. } => format!(
            "a rollback of {channel} may need it: it can go once {channel} has moved on, as \
             `seawall channels {application} {channel}` shows"
        ),
        Holder::Pin { pin, .. } => {
            format!("take the pin away: `seawall unpin {application}:{version} --name {pin}`")
        }
        Holder::Host { host, .. } => format!(
            "patch the host to another release, or if it is gone: `seawall hosts {application} \
             --forget {host}`"
        ),
    }
}

/// Formats the holders of a release as a table.
pub(super) fn holders_text(holders: &[Holder]) -> String {
    let row = |holder: &Holder| match holder {
        Holder::Channel { channel } => {
            vec![format!("channel {channel}"), "points at it".to_owned()]
        }
        Holder::History { channel, moves_ago } => {
            let ago = count(*moves_ago, "move");
            vec![format!("channel {channel}"), format!("pointed at it {ago} ago")]
        }
        Holder::Pin { pin, reason } => vec![format!("pin {pin}"), reason.clone()],
        Holder::Host { host, renewed_at_secs } => {
            vec![format!("host {host}"), format!("runs it; heard of {}", moment(*renewed_at_secs))]
        }
    };
    table(&["HELD BY", "WHY"], holders.iter().map(row))
}

async fn pin(
    around: &Surroundings,
    targets: Vec<Target>,
    name: &PinName,
    reason: &str,
) -> Result<(), Failure> {
    let mut pins = Vec::new();
    for Target { application, selector, .. } in targets {
        // By digest, so that a channel that moves meanwhile cannot change the pinned release.
        let found = around.registry.holders(&application, &selector).await?;
        let (version, digest) = (found.version, found.digest);
        let selector = Selector::Digest(digest);
        let pin = around.registry.pin(&application, &selector, name, reason).await?;
        pins.push(PinnedOne { application, version, digest, pin });
    }
    answer(around.style, &Pinned { pins }, |pinned| {
        let line = |one: &PinnedOne| {
            let PinnedOne { application, version, pin, .. } = one;
            format!("{application}:{version} is pinned as {}: {}\n", pin.name, pin.reason)
        };
        pinned.pins.iter().map(line).collect()
    })
}

async fn unpin(around: &Surroundings, target: Target, pin: PinName) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let found = around.registry.holders(&application, &selector).await?;
    let (version, digest) = (found.version, found.digest);
    if !found
        .holders
        .iter()
        .any(|held| matches!(held, Holder::Pin { pin: name, .. } if *name == pin))
    {
        let what = format!("{application}:{version} has no pin `{pin}`");
        let remedy = format!("`seawall show {application}:{version}` lists what holds it");
        return Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound));
    }
    around.registry.unpin(&application, &Selector::Digest(digest), &pin).await?;
    let unpinned = Unpinned { application, version, digest, pin };
    answer(around.style, &unpinned, |done| {
        format!("pin {} of {}:{} is gone\n", done.pin, done.application, done.version)
    })
}

async fn hosts(around: &Surroundings, application: Option<ApplicationName>) -> Result<(), Failure> {
    let mut hosts = Vec::new();
    let (mut pages, mut after) = (Pages::of("list hosts"), None);
    loop {
        let page = around.registry.hosts(application.as_ref(), after.as_ref()).await?;
        hosts.extend(page.hosts);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let summary = summary(&hosts);
    answer_list(around.style, &Hosts { summary, hosts }, hosts_list)
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
        true => "no host reported; `seawall report DIR` on a host does\n".to_owned(),
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

    #[test]
    fn holders_are_a_line_each() {
        let channel = || "stable".parse().unwrap();
        let text = holders_text(&[
            Holder::Channel { channel: channel() },
            Holder::History { channel: channel(), moves_ago: 1 },
            Holder::Pin { pin: "audit".parse().unwrap(), reason: "until 2027".to_owned() },
            Holder::Host { host: "rack4".parse().unwrap(), renewed_at_secs: 0 },
        ]);
        assert_eq!(
            text,
            "HELD BY         WHY\n\
             channel stable  points at it\n\
             channel stable  pointed at it 1 move ago\n\
             pin audit       until 2027\n\
             host rack4      runs it; heard of 1970-01-01 00:00:00Z\n"
        );
    }
}
