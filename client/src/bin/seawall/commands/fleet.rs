//! `seawall rm`, `pin`, `unpin` and `hosts`.

use seawall::error::ErrorKind;
use seawall::registry::Pages;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, HostName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{DeletedRelease, Holder, HostRun, Pin};
use serde::Serialize;

use super::{Surroundings, retention};
use crate::command::{Fleet, Target};
use crate::output::{answer, count, moment, table};
use crate::report::Failure;

/// What a deletion would do.
#[derive(Serialize)]
struct Removal {
    application: ApplicationName,
    version: Version,
    release: ReleaseDigest,
    /// What holds it; nothing does where this is empty.
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
    release: String,
    pin: Pin,
}

#[derive(Serialize)]
struct Unpinned {
    application: ApplicationName,
    release: String,
    pin: PinName,
}

#[derive(Serialize)]
struct Hosts {
    hosts: Vec<HostRun>,
}

#[derive(Serialize)]
struct Forgotten {
    host: HostName,
}

/// Runs one of these commands.
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
    let Target { application, selector } = target;
    let version = match selector {
        Selector::Version(version) => version,
        // A registry deletes versions alone: what a channel means may change on the way.
        named => around.registry.holders(&application, &named).await?.version,
    };
    let release = around.registry.delete_release(&application, &version).await?;
    answer(around.style, &Removed { application, release }, |removed| {
        let Removed { application, release } = removed;
        let name = format!("{application}:{}", release.version);
        format!("{name} is deleted, and its version is never used again ({})\n", release.digest)
    })
}

async fn would_remove(around: &Surroundings, target: Target) -> Result<(), Failure> {
    let Target { application, selector } = target;
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
    let what = format!("{name} stays: {} it", count_holders(removal.holders.len()));
    let remedy = "move the channel on, remove the pin, or patch the host to another release first";
    Err(Failure::usage(what, remedy).of_kind(ErrorKind::Conflict))
}

fn count_holders(holders: usize) -> String {
    if holders == 1 { "1 thing holds".to_owned() } else { format!("{holders} things hold") }
}

/// What holds a release, a line each.
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
    for Target { application, selector } in targets {
        let pin = around.registry.pin(&application, &selector, name, reason).await?;
        pins.push(PinnedOne { application, release: selector.to_string(), pin });
    }
    answer(around.style, &Pinned { pins }, |pinned| {
        let line = |one: &PinnedOne| {
            let PinnedOne { application, release, pin } = one;
            format!("{application} {release} is pinned as {}: {}\n", pin.name, pin.reason)
        };
        pinned.pins.iter().map(line).collect()
    })
}

async fn unpin(around: &Surroundings, target: Target, pin: PinName) -> Result<(), Failure> {
    let Target { application, selector } = target;
    around.registry.unpin(&application, &selector, &pin).await?;
    let unpinned = Unpinned { application, release: selector.to_string(), pin };
    answer(around.style, &unpinned, |done| {
        format!("pin {} of {} {} is gone\n", done.pin, done.application, done.release)
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
    answer(around.style, &Hosts { hosts }, hosts_text)
}

fn hosts_text(list: &Hosts) -> String {
    let rows = list.hosts.iter().map(|run| {
        vec![
            run.host.to_string(),
            run.application.to_string(),
            run.version.to_string(),
            run.channel.as_ref().map_or("-".to_owned(), ToString::to_string),
            behind(run),
            moment(run.since_secs),
            moment(run.renewed_at_secs),
            if run.is_expired { "expired".to_owned() } else { moment(run.deadline_secs) },
            run.instance.clone(),
        ]
    });
    let headings = [
        "HOST",
        "APPLICATION",
        "VERSION",
        "CHANNEL",
        "BEHIND",
        "SINCE",
        "HEARD",
        "UNTIL",
        "DIRECTORY",
    ];
    table(&headings, rows)
}

/// How far a host is behind its channel.
pub(super) fn behind(run: &HostRun) -> String {
    match (&run.channel, &run.channel_version, run.moves_behind) {
        (None, ..) => "-".to_owned(),
        (Some(_), None, _) => "no such channel".to_owned(),
        (Some(_), Some(_), Some(0)) => "0".to_owned(),
        (Some(_), Some(to), Some(moves)) => format!("{} ({to})", count(moves, "move")),
        (Some(_), Some(to), None) => format!("? ({to})"),
    }
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
        assert_eq!(
            hosts_text(&Hosts { hosts: vec![run.clone()] }),
            "HOST   APPLICATION  VERSION  CHANNEL  BEHIND         SINCE                 \
             HEARD                 UNTIL    DIRECTORY\n\
             rack4  shop         1.0      stable   2 moves (1.2)  1970-01-01 00:00:00Z  \
             1970-01-01 00:01:00Z  expired  /srv/shop\n"
        );
        run.moves_behind = Some(0);
        assert_eq!(behind(&run), "0");
        run.moves_behind = None;
        assert_eq!(behind(&run), "? (1.2)");
        run.channel_version = None;
        assert_eq!(behind(&run), "no such channel");
        run.channel = None;
        assert_eq!(behind(&run), "-");
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
