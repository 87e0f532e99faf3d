//! The arguments of `mirror`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{Credentials, Listing};

#[derive(Subcommand, Debug)]
pub(crate) enum RawMirrors {
    /// Add a mirror, which copies at once and then at intervals
    Add(MirrorAddArgs),
    /// List the mirrors, and how far behind each is
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Run a mirror now, and wait for the end of the run
    Run {
        /// The name of the mirror
        name: String,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Show what a mirror copied, how far behind it is, and what it left alone
    Status {
        /// The name of the mirror
        name: String,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Remove a mirror; what it copied stays
    Remove {
        /// The name of the mirror
        name: String,
        #[command(flatten)]
        credentials: Credentials,
    },
}

impl RawMirrors {
    /// Returns the options for the command's list; the defaults for a command without a list.
    pub(crate) fn listing(&self) -> Listing {
        match self {
            Self::List { listing, .. } => listing.clone(),
            _ => Listing::default(),
        }
    }
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("direction").required(true))]
pub(crate) struct MirrorAddArgs {
    /// The name of the mirror
    pub(crate) name: String,
    /// Copy from the registry at this address
    #[arg(long, value_name = "URL", group = "direction")]
    pub(crate) from: Option<String>,
    /// Copy to the registry at this address
    #[arg(long, value_name = "URL", group = "direction")]
    pub(crate) to: Option<String>,
    /// The applications, between commas: shop, 'team/*' for all below, '*' for all
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',', required = true)]
    pub(crate) apps: Vec<String>,
    /// Only these channels and their releases, between commas
    /// [default: all channels, all releases]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) channels: Vec<String>,
    /// The interval between the starts of runs: 90s, 15m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "15m")]
    pub(crate) every: String,
    /// The maximum rate of data, such as 200MiB/s [default: none]
    #[arg(long, value_name = "RATE")]
    pub(crate) limit: Option<String>,
    /// Delete in the target what was deleted in the source
    #[arg(long)]
    pub(crate) delete: bool,
    /// Move channels in the target even if something else moved them last
    #[arg(long)]
    pub(crate) override_channels: bool,
    /// The file with the token for the other registry, which this registry keeps
    #[arg(long, value_name = "FILE")]
    pub(crate) remote_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
