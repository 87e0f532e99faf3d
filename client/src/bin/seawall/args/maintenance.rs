//! The arguments of commands that maintain a registry.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "server")]
use super::serve::{catalog::CatalogArgs, from::FromArgs, store::StoreArgs};
use super::{Credentials, Threads};

#[derive(Args, Debug)]
pub(crate) struct GcArgs {
    /// Print the bytes to be removed, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Rewrite packs whose reachable part is smaller than this; 100 leaves nothing unreachable
    /// [default: 60]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) live_percent: Option<u8>,
    /// The maximum rate of copying while packs are rewritten
    #[arg(long, value_name = "MIB/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Scan even if nothing was deleted and no push failed since the last collection
    #[arg(long)]
    pub(crate) force: bool,
    /// Return once the collection has started; ignored for a registry in a directory, which would
    /// end with this command
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct FsckArgs {
    /// Read at most this many MiB a second; 0 for no limit [default: 128]
    #[arg(long, value_name = "MIB")]
    pub(crate) rate: Option<u64>,
    /// Start over, even if an unfinished check could be resumed
    #[arg(long, conflicts_with_all = ["status", "stop"])]
    pub(crate) restart: bool,
    /// Show the progress and findings of the newest check; start no check
    #[arg(long, conflicts_with = "stop")]
    pub(crate) status: bool,
    /// Stop the running check; the next one resumes it
    #[arg(long)]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    /// The release to repair [default: all releases known to be damaged]
    pub(crate) reference: Option<String>,
    /// The source of lost data: a registry, or the directory of a pulled release; may be repeated
    #[arg(long, value_name = "URL|DIR", required = true)]
    pub(crate) from: Vec<String>,
    /// The file with the token for the registries of --from
    #[arg(long, value_name = "FILE")]
    pub(crate) from_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct JobsArgs {
    /// Stop the running job: `backup`, `check`, `collection`, or `retention/APPLICATION`
    #[arg(long, value_name = "JOB")]
    pub(crate) stop: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to create; a data directory before it replaces --registry
    #[arg(value_name = "[DATA] OUT", num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    /// The data directory of a stopped registry
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogArgs,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct RelocateArgs {
    /// The registry's data directory, now and afterwards; created if need be
    pub(crate) data: PathBuf,
    /// Print the bytes and the rows to be moved, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give up an unfinished relocation: the registry takes writes again where it is
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) abort: bool,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogArgs,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct DrillArgs {
    /// The data directory of a registry; only read
    pub(crate) data: PathBuf,
    /// The number of releases to verify in full, the newest of each application first
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) releases: u32,
    /// The directory for the rebuilt catalog, kept afterwards [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
