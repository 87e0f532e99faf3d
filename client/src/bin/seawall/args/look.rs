//! The arguments of commands that show what a registry has, and of `promote`.

use clap::Args;

use super::{Credentials, Listing};

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The release to compare from, or the directory of a pulled release
    #[arg(value_name = "DIR|REFERENCE")]
    pub(crate) from: String,
    /// The release to compare to; a version, channel or digest alone belongs to the same
    /// application [default: the channel that DIR follows; a single REFERENCE is compared to the
    /// release in the current directory]
    #[arg(value_name = "REFERENCE|VERSION|CHANNEL")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// The application whose releases to list
    pub(crate) application: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The release
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ChannelsArgs {
    /// The application
    pub(crate) application: String,
    /// The channel whose moves to list
    pub(crate) channel: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct PromoteArgs {
    /// The release to point at
    pub(crate) reference: String,
    /// The channel
    pub(crate) channel: String,
    /// The channel's expected sequence number, or `new` for a channel that does not exist yet
    /// [default: the state when the command starts]
    #[arg(long, value_name = "SEQUENCE|new")]
    pub(crate) expect: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
