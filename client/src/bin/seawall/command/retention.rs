//! Validation of the commands that keep and delete releases.

use std::path::PathBuf;

use seawall::directory::Lockfile;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName};
use seawall_api::reference::Selector;
use seawall_api::v1::RetentionPolicy;

use super::reference::{Target, application, release};
use super::{Command, Reach};
use crate::args::Credentials;
use crate::args::retention::{
    HostsArgs, PinArgs, RawRetention, ReportArgs, RetentionArgs, RetentionOf, RmArgs, SetArgs,
    StatusArgs, UnpinArgs,
};
use crate::failure::Failure;

/// A validated command on retention.
#[derive(Debug)]
pub(crate) enum Retention {
    Remove { target: Target, dry_run: bool },
    Pin { targets: Vec<Target>, name: PinName, reason: String },
    Unpin { target: Target, name: PinName },
    Hosts(Option<ApplicationName>),
    Forget { host: HostName, application: Option<ApplicationName> },
    Policies(ApplicationName),
    SetPolicy(Box<SetPolicy>),
    Plan(ApplicationName),
    Apply(ApplicationName),
}

impl Retention {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Remove { dry_run: true, .. } => "rm-plan",
            Self::Remove { .. } => "rm",
            Self::Pin { .. } => "pin",
            Self::Unpin { .. } => "unpin",
            Self::Hosts(_) => "hosts",
            Self::Forget { .. } => "forget",
            Self::Policies(_) => "policies",
            Self::SetPolicy(_) => "policy",
            Self::Plan(_) => "retention-plan",
            Self::Apply(_) => "retention",
        }
    }

    /// Returns the releases named by the command.
    pub(super) fn targets_mut(&mut self) -> Vec<&mut Target> {
        match self {
            Self::Remove { target, .. } | Self::Unpin { target, .. } => vec![target],
            Self::Pin { targets, .. } => targets.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct SetPolicy {
    pub(crate) application: ApplicationName,
    pub(crate) channel: Option<ChannelName>,
    pub(crate) policy: RetentionPolicy,
}

#[derive(Debug)]
pub(crate) struct Status {
    /// The pulled directories; empty for all that this host remembers.
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) credentials: Credentials,
}

#[derive(Debug)]
pub(crate) struct Report {
    /// The pulled directories; empty for all that this host remembers.
    pub(crate) dirs: Vec<PathBuf>,
    /// The host's name; `None` for the machine's name.
    pub(crate) host: Option<HostName>,
    pub(crate) ttl_secs: u64,
    pub(crate) credentials: Credentials,
}

pub(super) fn remove(args: RmArgs) -> Result<Command, Failure> {
    let (host, target) = release(&args.reference)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(Command::Retention(reach, Retention::Remove { target, dry_run: args.dry_run }))
}

pub(super) fn pin(args: PinArgs) -> Result<Command, Failure> {
    let PinArgs { reference, lockfiles, name, reason, credentials } = args;
    let (mut host, mut targets) = (None, Vec::new());
    if let Some(reference) = reference {
        let (of, target) = release(&reference)?;
        host = of;
        targets.push(target);
    }
    for path in lockfiles {
        let lock = Lockfile::read(&path)?;
        let selector = Selector::Digest(lock.release);
        targets.push(Target { application: lock.application, selector, prefix: None });
    }
    let pin = Retention::Pin { targets, name: name.parse()?, reason };
    Ok(Command::Retention(Reach { host, credentials }, pin))
}

pub(super) fn unpin(args: UnpinArgs) -> Result<Command, Failure> {
    let (host, target) = release(&args.reference)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(Command::Retention(reach, Retention::Unpin { target, name: args.name.parse()? }))
}

pub(super) fn status(args: StatusArgs) -> Result<Command, Failure> {
    let StatusArgs { dirs, host, ttl, credentials } = args;
    let flags = [("--host", &host), ("--ttl", &ttl)];
    if let Some((flag, _)) = flags.iter().find(|(_, given)| given.is_some()) {
        return Err(Failure::usage(
            format!("`seawall status` only reads, and takes no {flag}"),
            "`seawall report` reports to the registry: let the timer run `seawall report --all`, or \
             `seawall report DIR --ttl 7d`",
        ));
    }
    Ok(Command::Status(Status { dirs, credentials }))
}

pub(super) fn report(args: ReportArgs) -> Result<Command, Failure> {
    Ok(Command::Report(Report {
        // `clap` requires either directories or `--all`; an empty list stands for all.
        dirs: if args.all { Vec::new() } else { args.dirs },
        host: args.host.as_deref().map(str::parse).transpose()?,
        ttl_secs: seconds("--ttl", &args.ttl)?,
        credentials: args.credentials,
    }))
}

pub(super) fn hosts(args: HostsArgs) -> Result<Command, Failure> {
    let credentials = args.credentials;
    let (host, application) = match args.application.as_deref().map(application) {
        None => (None, None),
        Some(found) => found.map(|(host, application)| (host, Some(application)))?,
    };
    let order = match args.forget {
        Some(name) => Retention::Forget { host: name.parse()?, application },
        None => Retention::Hosts(application),
    };
    Ok(Command::Retention(Reach { host, credentials }, order))
}

pub(super) fn retention(args: RetentionArgs) -> Result<Command, Failure> {
    let of = |of: RetentionOf, order: fn(ApplicationName) -> Retention| {
        let (host, application) = application(&of.application)?;
        let reach = Reach { host, credentials: of.credentials };
        Ok(Command::Retention(reach, order(application)))
    };
    match args.what {
        RawRetention::Show(args) => of(args, Retention::Policies),
        RawRetention::Plan(args) => of(args, Retention::Plan),
        RawRetention::Apply(args) => of(args, Retention::Apply),
        RawRetention::Set(args) => set_policy(*args),
    }
}

fn set_policy(args: SetArgs) -> Result<Command, Failure> {
    let (host, application) = application(&args.application)?;
    let time = |flag: &str, text: &Option<String>| {
        text.as_deref().map(|text| seconds(flag, text)).transpose()
    };
    let policy = RetentionPolicy {
        keep_last: args.keep_last,
        keep_last_prereleases: args.keep_last_prereleases,
        keep_younger_secs: time("--keep-younger", &args.keep_younger)?,
        keep_superseded_secs: time("--keep-superseded", &args.keep_superseded)?,
        keep_expired_hosts_secs: time("--keep-expired-hosts", &args.keep_expired_hosts)?,
    };
    let channel = args.channel.as_deref().map(str::parse).transpose()?;
    let set = SetPolicy { application, channel, policy };
    let reach = Reach { host, credentials: args.credentials };
    Ok(Command::Retention(reach, Retention::SetPolicy(Box::new(set))))
}

/// Parses a duration such as `90s`, `30m`, `12h`, `7d` or `4w` into seconds.
fn seconds(flag: &str, text: &str) -> Result<u64, Failure> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600), ("w", 7 * 24 * 3600)];
    let read = |(unit, secs): &(&str, u64)| {
        let number = text.strip_suffix(unit)?;
        let is_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then(|| number.parse::<u64>().ok()?.checked_mul(*secs)).flatten()
    };
    units.iter().find_map(read).ok_or_else(|| {
        Failure::usage(
            format!("`{flag} {}` is not a duration", text.escape_debug()),
            "write a number and its unit: 90s, 30m, 12h, 7d or 4w",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, secs) in [("90s", 90), ("2m", 120), ("1h", 3600), ("7d", 604_800), ("0d", 0)] {
            assert_eq!(seconds("--ttl", text).unwrap(), secs, "{text}");
        }
        for text in ["", "7", "d", "-1d", "+1d", "1.5d", "7 d", "7days", "99999999999999999999w"] {
            seconds("--ttl", text).unwrap_err();
        }
    }
}
