//! The arguments of `cloud`.

use clap::{Args, Subcommand};

use super::{Credentials, Threads};

#[derive(Subcommand, Debug)]
pub(crate) enum RawCloud {
    /// Make an image of every machine of a release
    Publish(PublishArgs),
    /// Show what the account has of an application, and what no image uses
    Status(StatusArgs),
    /// Let another account start machines from the images of a release
    Share {
        /// The number of the account
        #[arg(value_name = "ACCOUNT")]
        with: String,
        /// End the permission
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        images: ImagesArgs,
    },
    /// Mark the images of a release as deprecated
    Deprecate {
        /// The time from which they are [default: now]
        #[arg(long, value_name = "DATE")]
        on: Option<String>,
        /// Remove the mark
        #[arg(long, conflicts_with = "on")]
        undo: bool,
        #[command(flatten)]
        images: ImagesArgs,
    },
    /// Start no new machines from the images of a release; ends all sharing
    Disable {
        #[command(flatten)]
        images: ImagesArgs,
    },
    /// Enable disabled images again
    Enable {
        #[command(flatten)]
        images: ImagesArgs,
    },
    /// Remove the images of a release, and the volumes that no other uses
    Rm {
        #[command(flatten)]
        images: ImagesArgs,
    },
}

/// The options for the images of a release.
#[derive(Args, Debug, Clone)]
pub(crate) struct ImagesArgs {
    /// The release
    pub(crate) reference: String,
    /// The place of the images: ec2:REGION
    #[arg(long, value_name = "PLACE")]
    pub(crate) at: String,
    /// Only of this machine; may be repeated
    #[arg(long = "machine", value_name = "NAME")]
    pub(crate) machines: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The application
    pub(crate) application: String,
    /// The place of the images: ec2:REGION
    #[arg(long, value_name = "PLACE")]
    pub(crate) at: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// The options for a place of images.
#[derive(Args, Debug, Clone)]
pub(crate) struct PlaceArgs {
    /// The address of the provider's API, for what speaks it [env: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct PublishArgs {
    /// The release
    pub(crate) reference: String,
    /// The place of the images: ec2:REGION
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: String,
    /// Only this machine; may be repeated
    #[arg(long = "machine", value_name = "NAME")]
    pub(crate) machines: Vec<String>,
    /// Print the planned work with its estimated price, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}
