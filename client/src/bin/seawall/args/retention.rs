//! The arguments of commands that keep and delete releases.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Credentials, Listing};

#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// The release
    pub(crate) reference: String,
    /// Print the holders of the release, and do nothing
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
    /// Pin the release in this lockfile; may be repeated
    #[arg(long = "lockfile", value_name = "FILE", conflicts_with = "reference")]
    pub(crate) lockfiles: Vec<PathBuf>,
    /// The pin's name; a release may have several pins
    #[arg(long, default_value = "manual")]
    pub(crate) name: String,
    /// The reason for the pin, shown to anyone who tries to delete the release
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
    /// Pulled directories [default: all directories that this host pulled]
    #[arg(value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Refused with a hint to `report`, for timers written before `report` was a command
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) host: Option<String>,
    /// Refused like --host
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
    /// Pulled directories whose releases to report
    #[arg(value_name = "DIR", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Report all directories pulled by this host
    #[arg(long)]
    pub(crate) all: bool,
    /// The name of this host [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The time for which the registry keeps the releases without another report
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) ttl: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct HostsArgs {
    /// The application whose hosts to list
    pub(crate) application: Option<String>,
    /// Forget this host, because it no longer runs the application or no longer exists
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
    /// Set a policy; `apply` deletes releases that no rule keeps
    #[command(override_usage = "seawall retention set [OPTIONS] <APPLICATION> <RULE>…")]
    Set(Box<SetArgs>),
    /// Print the releases to delete, the reasons, and the bytes freed; change nothing
    Plan(RetentionOf),
    /// Delete the releases that `plan` prints, and free their space
    Apply(RetentionOf),
}

#[derive(Args, Debug)]
pub(crate) struct RetentionOf {
    /// The application
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// Returns the parser for the number of releases that a rule keeps.
fn how_many() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("rules").required(true).multiple(true))]
pub(crate) struct SetArgs {
    /// The application
    pub(crate) application: String,
    /// Apply to releases of this channel's history, instead of the whole application
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// Keep the last N
    #[arg(long, value_name = "N", group = "rules", value_parser = how_many())]
    pub(crate) keep_last: Option<u32>,
    /// Keep the last N prereleases, and do not count them among the others
    #[arg(long, value_name = "N", requires = "keep_last", value_parser = how_many())]
    pub(crate) keep_last_prereleases: Option<u32>,
    /// Keep releases published less than this ago
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_younger: Option<String>,
    /// Keep releases that a channel left less than this ago
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_superseded: Option<String>,
    /// Keep releases of silent hosts for this long after their deadline [default: 30d]
    #[arg(long, value_name = "TIME", group = "rules")]
    pub(crate) keep_expired_hosts: Option<String>,
    /// Remove the policy
    #[arg(long, group = "rules", conflicts_with_all = [
        "keep_last", "keep_last_prereleases", "keep_younger", "keep_superseded",
        "keep_expired_hosts"
    ])]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
