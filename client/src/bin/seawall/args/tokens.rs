//! The arguments of `token`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Credentials, Listing};

#[derive(Subcommand, Debug)]
pub(crate) enum RawTokens {
    /// Create a token, and print its secret this once
    Create(TokenCreateArgs),
    /// List the tokens that the registry keeps
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Revoke a token; takes effect within two seconds
    Revoke {
        /// The name of the token, shown by `list`
        name: String,
        #[command(flatten)]
        credentials: Credentials,
    },
}

impl RawTokens {
    /// Returns the options for the command's list; the defaults for a command without a list.
    pub(crate) fn listing(&self) -> Listing {
        match self {
            Self::List { listing, .. } => listing.clone(),
            Self::Create(_) | Self::Revoke { .. } => Listing::default(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct TokenCreateArgs {
    /// The name of the token, shown by the audit log [default: the role and the time]
    pub(crate) name: Option<String>,
    /// The permissions of the token
    #[arg(long, value_enum)]
    pub(crate) role: RoleName,
    /// Limit the token to these applications, between commas: shop, or 'team/*' for all below
    /// [default: all, and the registry itself]
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    pub(crate) apps: Vec<String>,
    /// The validity: 90d, 12h, 30m, or a date as 2027-03-01 [default: no end]
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    /// Write the secret into this new file, mode 600, instead of printing it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RoleName {
    /// Reads, pulls and reports hosts
    Reader,
    /// Reads and changes
    Publisher,
}
