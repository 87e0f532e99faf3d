//! The arguments of what keeps releases, and deletes them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Credentials, Listing};

#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// The release
    pub(crate) reference: String,
    /// Print what holds it, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct PinArgs {
    /// The release
    #[arg(required_unless_present = "lockfiles")]
    pub(crate) reference: Option<String>,
    /// Pin the release that this lockfile names; may be repeated
    #[arg(long = "lockfile", value_name = "FILE", conflicts_with = "reference")]
    pub(crate) lockfiles: Vec<PathBuf>,
    /// The pin's name, one of several that a release may have
    #[arg(long, default_value = "manual")]
    pub(crate) name: String,
    /// Why the release must stay: whoever wants to delete it reads this
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct UnpinArgs {
    /// The release
    pub(crate) reference: String,
    /// The pin's name
    #[arg(long, default_value = "manual")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Pulled directories [default: all that this host remembers]
    #[arg(value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// What `report` takes: timers from before it was a command of its own give it here
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) host: Option<String>,
    /// The same
    #[arg(long, value_name = "TIME", hide = true)]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "seawall report [OPTIONS] <DIR>…\n       seawall report [OPTIONS] --all"
)]
pub(crate) struct ReportArgs {
    /// Pulled directories, whose releases the registry is to keep
    #[arg(value_name = "DIR", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Every directory that this host remembers
    #[arg(long)]
    pub(crate) all: bool,
    /// The name this host is known by [default: the machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// How long the registry is to keep the release without hearing from this host
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) ttl: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct HostsArgs {
    /// The application whose hosts to list
    pub(crate) application: Option<String>,
    /// Forget this host: it does not run the application, or anything, any more
    #[arg(long, value_name = "HOST")]
    pub(crate) forget: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    pub(crate) what: RawRetention,
}

#[derive(Subcommand, Debug)]
pub(crate) enum RawRetention {
    /// Show the policies of an application and of its channels
    Show(RetentionOf),
    /// Set a policy: `apply` deletes what none of its rules keeps
    #[command(override_usage = "seawall retention set [OPTIONS] <APPLICATION> <RULE>…")]
    Set(Box<SetArgs>),
    /// Print what would be deleted and why, and the bytes that it frees; changes nothing
    Plan(RetentionOf),
    /// Delete what `plan` prints, and collect it
    Apply(RetentionOf),
}

#[derive(Args, Debug)]
pub(crate) struct RetentionOf {
    /// The application
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// Parses how many releases a rule keeps.
fn how_many() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("rules").required(true).multiple(true))]
pub(crate) struct SetArgs {
    /// The application
    pub(crate) application: String,
    /// For the releases that this channel pointed at, instead of all of the application
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// Keep the last N
    #[arg(long, value_name = "N", group = "rules", value_parser = how_many())]
    pub(crate) keep_last: Option<u32>,
    /// Keep the last N prereleases, and do not count them among the others
    #[arg(long, value_name = "N", requires = "keep_last", value_parser = how_many())]
    pub(crate) keep_last_prereleases: Option<u32>,
    /// Keep what was published less than this ago
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_younger: Option<String>,
    /// Keep what a channel left less than this ago
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_superseded: Option<String>,
    /// Keep what a host ran that has fallen silent, for this long after its deadline [default: 30d]
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_expired_hosts: Option<String>,
    /// Remove the policy: nothing is deleted by it any more
    #[arg(long, group = "rules", conflicts_with_all = [
        "keep_last", "keep_last_prereleases", "keep_younger", "keep_superseded",
        "keep_expired_hosts"
    ])]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
