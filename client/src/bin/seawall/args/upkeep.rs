//! Commands that keep a registry whole, as they are typed.

use std::path::PathBuf;

use clap::Args;

use super::{Credentials, Threads};

#[derive(Args, Debug)]
pub(crate) struct FsckArgs {
    /// Read at most this many MiB a second; 0 for no limit [default: 128]
    #[arg(long, value_name = "MIB")]
    pub(crate) rate: Option<u64>,
    /// Start over, even where a check broke off
    #[arg(long, conflicts_with_all = ["status", "stop"])]
    pub(crate) restart: bool,
    /// Start nothing: show how far the newest check is and what it found
    #[arg(long, conflicts_with = "stop")]
    pub(crate) status: bool,
    /// Stop the check that runs; the next one goes on where it ended
    #[arg(long)]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    /// The release to repair [default: every one that is known to be damaged]
    pub(crate) reference: Option<String>,
    /// Where to look for what is lost: a registry, or a directory that a release was pulled into;
    /// may be repeated
    #[arg(long, value_name = "URL|DIR", required = true)]
    pub(crate) from: Vec<String>,
    /// A file that holds the token for registries named by --from
    #[arg(long, value_name = "FILE")]
    pub(crate) from_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to make; before it, instead of --registry, the registry's data directory
    #[arg(value_name = "[DATA] OUT", num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    /// The data directory of a registry that does not run
    pub(crate) data: PathBuf,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct DrillArgs {
    /// The data directory of a registry; it is only read
    pub(crate) data: PathBuf,
    /// How many releases to verify in full, the newest of each application first
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) releases: u32,
    /// Where to make the catalog; it is kept [default: a directory that is removed again]
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
}
