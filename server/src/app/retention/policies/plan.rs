//! The retention plan: a verdict with reasons for each release. Pure functions.
//!
//! A release is deleted if at least one policy decides on it, no such policy keeps it, and nothing
//! holds it. The application's policy decides on all of its releases, a channel's policy on those
//! that the channel ever pointed at.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ChannelName, HostName, PinName, Version};
use seawall_api::units::Counted;

use super::policy::{Policies, Policy};
use crate::catalog::ChannelMove;
use crate::catalog::retention::{Inventory, InventoryRelease};

const DAY_SECS: u64 = 24 * 3600;

/// The verdict on a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The release.
    pub release: InventoryRelease,
    /// True if the release is to be deleted.
    pub goes: bool,
    /// The reasons for the verdict.
    pub reasons: Vec<Reason>,
}

/// The scope of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The whole application.
    Application,
    /// One channel.
    Channel(ChannelName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application => f.write_str("the application"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
        }
    }
}

/// A reason to keep or delete a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A channel points at the release.
    Channel(ChannelName),
    /// A channel pointed at the release this many moves ago, within the range held for rollbacks.
    History(ChannelName, u64),
    /// The release is pinned.
    Pin(PinName),
    /// The release runs on a host, and on this many others.
    Host(HostName, usize),
    /// The release ran on a host past its deadline, and on this many others.
    SilentHost(HostName, usize),
    /// The release is among this many latest releases of the scope.
    Last(Scope, u32),
    /// The release is among this many latest prereleases of the scope.
    LastPrerelease(Scope, u32),
    /// The release was published less than this many seconds ago.
    Younger(Scope, u64),
    /// A channel left the release less than this many seconds ago.
    Superseded(Scope, u64),
    /// No policy decides on the release.
    NoPolicy,
    /// A policy decides on the release, and none of its rules keeps the release.
    Unkept(Scope),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |more: &usize| match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match self {
            Self::Channel(channel) => write!(f, "channel {channel} points at it"),
            Self::History(channel, ago) => {
                write!(f, "channel {channel} pointed at it {} ago", Counted(*ago, "move"))
            }
            Self::Pin(pin) => write!(f, "pin {pin}"),
            Self::Host(host, others) => write!(f, "runs on host {host}{}", more(others)),
            Self::SilentHost(host, others) => {
                write!(f, "ran on host {host}{}, silent since", more(others))
            }
            Self::Last(scope, count) => write!(f, "among the last {count} of {scope}"),
            Self::LastPrerelease(scope, count) => {
                write!(f, "among the last {count} prereleases of {scope}")
            }
            Self::Younger(scope, secs) => write!(f, "younger than {} ({scope})", Age(*secs)),
            Self::Superseded(Scope::Application, secs) => {
                write!(f, "left by a channel less than {} ago", Age(*secs))
            }
            Self::Superseded(scope, secs) => {
                write!(f, "left by {scope} less than {} ago", Age(*secs))
            }
            Self::NoPolicy => f.write_str("no policy applies to it"),
            Self::Unkept(scope) => write!(f, "no rule of {scope} keeps it"),
        }
    }
}

/// A duration for people, in seconds: `30d`, `12h`, `90s`.
struct Age(u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            secs if secs > 0 && secs.is_multiple_of(DAY_SECS) => write!(f, "{}d", secs / DAY_SECS),
            secs if secs > 0 && secs.is_multiple_of(3600) => write!(f, "{}h", secs / 3600),
            secs => write!(f, "{secs}s"),
        }
    }
}

/// The moves of each channel, oldest first.
type Moves<'a> = BTreeMap<&'a ChannelName, Vec<&'a ChannelMove>>;
/// The reasons to keep each release.
type Keeps = HashMap<ReleaseDigest, Vec<Reason>>;

/// Returns the verdict on each release, in the order of `inventory`: newest first.
#[must_use]
pub fn plan(
    inventory: &Inventory,
    policies: &Policies,
    now_secs: u64,
    moves_held: u32,
) -> Vec<Verdict> {
    let mut moves = Moves::new();
    for (channel, step) in &inventory.moves {
        moves.entry(channel).or_default().push(step);
    }
    let mut keeps = Keeps::new();
    held_by_channels(&moves, moves_held, &mut keeps);
    for (release, pin) in &inventory.pins {
        keeps.entry(*release).or_default().push(Reason::Pin(pin.clone()));
    }
    held_by_hosts(inventory, policies.expired_hosts_secs(), now_secs, &mut keeps);
    let mut decided = HashMap::<ReleaseDigest, Vec<Scope>>::new();
    for (scope, policy) in deciding(policies) {
        let subjects = subjects(&scope, inventory, &moves);
        keep(&scope, policy, &subjects, now_secs, &mut keeps);
        for subject in subjects {
            decided.entry(subject.release.digest).or_default().push(scope.clone());
        }
    }
    let verdict = |release: &InventoryRelease| {
        let kept = keeps.remove(&release.digest).unwrap_or_default();
        let scopes = decided.remove(&release.digest).unwrap_or_default();
        let goes = kept.is_empty() && !scopes.is_empty();
        let reasons = match (goes, kept.is_empty()) {
            (true, _) => scopes.into_iter().map(Reason::Unkept).collect(),
            (false, true) => vec![Reason::NoPolicy],
            (false, false) => kept,
        };
        Verdict { release: release.clone(), goes, reasons }
    };
    inventory.releases.iter().map(verdict).collect()
}

fn held_by_channels(moves: &Moves<'_>, moves_held: u32, keeps: &mut Keeps) {
    for (&channel, steps) in moves {
        let Some(last) = steps.last() else { continue };
        let current = Reason::Channel(channel.clone());
        keeps.entry(last.release).or_default().push(current);
        let mut seen = HashSet::from([last.release]);
        for step in steps.iter().rev() {
            let ago = last.sequence.saturating_sub(step.sequence);
            if ago > u64::from(moves_held) {
                break;
            }
            if seen.insert(step.release) {
                let reason = Reason::History(channel.clone(), ago);
                keeps.entry(step.release).or_default().push(reason);
            }
        }
    }
}

fn held_by_hosts(inventory: &Inventory, grace_secs: u64, now_secs: u64, keeps: &mut Keeps) {
    let mut running = BTreeMap::<(ReleaseDigest, bool), Vec<&HostName>>::new();
    for host in &inventory.hosts {
        let is_silent = host.deadline_secs <= now_secs;
        if is_silent && host.deadline_secs.saturating_add(grace_secs) <= now_secs {
            continue;
        }
        let hosts = running.entry((host.release, is_silent)).or_default();
        // Hosts are sorted by name.
        if hosts.last() != Some(&&host.host) {
            hosts.push(&host.host);
        }
    }
    for ((release, is_silent), hosts) in running {
        let Some((&first, others)) = hosts.split_first() else { continue };
        let reason = if is_silent { Reason::SilentHost } else { Reason::Host };
        keeps.entry(release).or_default().push(reason(first.clone(), others.len()));
    }
}

/// Returns the policies with at least one keeping rule.
fn deciding(policies: &Policies) -> impl Iterator<Item = (Scope, &Policy)> {
    let application = policies.application.iter().map(|policy| (Scope::Application, policy));
    let channels = policies.channels.iter();
    let channels = channels.map(|(name, policy)| (Scope::Channel(name.clone()), policy));
    application.chain(channels).filter(|(_, policy)| policy.decides())
}

/// A release subject to a policy.
struct Subject<'a> {
    release: &'a InventoryRelease,
    /// The last time a channel in the policy's scope left the release, in seconds since 1970-01-01
    /// UTC.
    left_at_secs: Option<u64>,
}

/// Returns the releases subject to a policy, newest first.
fn subjects<'a>(scope: &Scope, inventory: &'a Inventory, moves: &Moves<'a>) -> Vec<Subject<'a>> {
    let all = inventory.releases.iter();
    match scope {
        Scope::Application => {
            let mut left = HashMap::<ReleaseDigest, u64>::new();
            for steps in moves.values() {
                left_at(steps, &mut left);
            }
            let subject = |release: &'a InventoryRelease| {
                let left_at_secs = left.get(&release.digest).copied();
                Subject { release, left_at_secs }
            };
            all.map(subject).collect()
        }
        Scope::Channel(channel) => {
            let Some(steps) = moves.get(channel) else { return vec![] };
            let mut left = HashMap::new();
            left_at(steps, &mut left);
            let by_digest: HashMap<_, _> = all.map(|release| (release.digest, release)).collect();
            let mut seen = HashSet::new();
            let newest_first = steps.iter().rev().filter(|step| seen.insert(step.release));
            newest_first
                .filter_map(|step| {
                    let release = *by_digest.get(&step.release)?;
                    let left_at_secs = left.get(&step.release).copied();
                    Some(Subject { release, left_at_secs })
                })
                .collect()
        }
    }
}

/// Collects the last time a channel left each of its releases.
fn left_at(steps: &[&ChannelMove], left: &mut HashMap<ReleaseDigest, u64>) {
    for pair in steps.windows(2) {
        if pair[0].release != pair[1].release {
            let at = left.entry(pair[0].release).or_default();
            *at = pair[1].moved_at_secs.max(*at);
        }
    }
}

/// Adds the releases kept by the rules of a policy.
fn keep(
    scope: &Scope,
    policy: &Policy,
    subjects: &[Subject<'_>],
    now_secs: u64,
    keeps: &mut Keeps,
) {
    let (mut releases, mut prereleases) = (0, 0);
    for Subject { release, left_at_secs } in subjects {
        let mut add = |reason| keeps.entry(release.digest).or_default().push(reason);
        let apart = policy.keep_last_prereleases.filter(|_| is_prerelease(&release.version));
        if let Some(count) = apart {
            prereleases += 1;
            if prereleases <= count {
                add(Reason::LastPrerelease(scope.clone(), count));
            }
        } else if let Some(count) = policy.keep_last {
            releases += 1;
            if releases <= count {
                add(Reason::Last(scope.clone(), count));
            }
        }
        let is_within = |since: u64, secs: u64| since.saturating_add(secs) > now_secs;
        if let Some(secs) = policy.keep_younger_secs
            && is_within(release.published_at_secs, secs)
        {
            add(Reason::Younger(scope.clone(), secs));
        }
        if let (Some(secs), Some(left_at)) = (policy.keep_superseded_secs, left_at_secs)
            && is_within(*left_at, secs)
        {
            add(Reason::Superseded(scope.clone(), secs));
        }
    }
}

/// Returns whether a version names a prerelease (semver 2.0.0, section 9).
fn is_prerelease(version: &Version) -> bool {
    let text = version.as_str();
    text.split_once('+').map_or(text, |(version, _)| version).contains('-')
}
