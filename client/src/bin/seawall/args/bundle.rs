//! The arguments of `bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Credentials;

#[derive(Subcommand, Debug)]
pub(crate) enum RawBundle {
    /// Write releases and channels into a file, for a place without a network
    Create(BundleCreateArgs),
    /// Print the releases that this registry holds, for `create --have`
    Have {
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Read parts of a bundle, each alone, and prove every byte
    Verify {
        /// The parts, in any order; the rest of the bundle need not be there
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Bring the releases and channels of a bundle into this registry
    Import {
        /// All parts of the bundle, in any order
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print what would be read in bytes, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        credentials: Credentials,
    },
}

#[derive(Args, Debug)]
pub(crate) struct BundleCreateArgs {
    /// A release, a channel with its release, or APPLICATION:* for all releases
    #[arg(value_name = "REFERENCE|APPLICATION:*", required = true)]
    pub(crate) references: Vec<String>,
    /// The new file; with --split, the beginning of the names FILE.1, FILE.2, …
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Leave out the chunks of the releases in this list, written by `have` at the other place
    #[arg(long, value_name = "FILE")]
    pub(crate) have: Option<PathBuf>,
    /// Write parts of at most this size, as 4GiB; at least 64MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) split: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
