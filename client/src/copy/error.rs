//! Errors of a copy.

use std::sync::Arc;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ApplicationPattern, ChannelName, Version};
use seawall_store::read::ReadError;

use crate::error::{ErrorKind, Failure};
use crate::registry::RegistryError;

/// An error of a copy. The release that it names is not visible in the target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source or the target failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The source does not return the bytes of a chunk.
    #[error(transparent)]
    Read(#[from] Arc<ReadError>),
    /// The version names another release in the target.
    #[error(
        "{application}:{version} exists in the target with other content: it is {taken_by}, the \
         source's is {copied}"
    )]
    VersionTaken {
        /// The application.
        application: ApplicationName,
        /// The version.
        version: Version,
        /// The release of the target.
        taken_by: ReleaseDigest,
        /// The release of the source.
        copied: ReleaseDigest,
    },
    /// The version was deleted in the target.
    #[error("{application}:{version} cannot be copied: it was deleted in the target")]
    VersionDeleted {
        /// The application.
        application: ApplicationName,
        /// The version.
        version: Version,
        /// The target's refusal.
        source: Box<RegistryError>,
    },
    /// A channel of the target moved during the copy.
    #[error("channel {application}:{channel} of the target was moved during the copy")]
    ChannelMoved {
        /// The application.
        application: ApplicationName,
        /// The channel.
        channel: ChannelName,
        /// The target's refusal.
        source: Box<RegistryError>,
    },
    /// Something else than a standing copy moved a channel of the target.
    #[error("channel {application}:{channel} of the target was moved by something else")]
    ChannelOfOthers {
        /// The application.
        application: ApplicationName,
        /// The channel.
        channel: ChannelName,
    },
    /// No application of the source matches.
    #[error("no application of the source matches `{pattern}`")]
    NoApplication {
        /// The pattern.
        pattern: ApplicationPattern,
    },
    /// More releases are named than one order may have.
    #[error("more than {max} releases match")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

impl Failure for CopyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::VersionTaken { .. }
            | Self::VersionDeleted { .. }
            | Self::ChannelMoved { .. }
            | Self::ChannelOfOthers { .. } => ErrorKind::Conflict,
            Self::NoApplication { .. } => ErrorKind::NotFound,
            Self::TooMany { .. } => ErrorKind::InvalidInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Read(error) => error.remedy(),
            Self::VersionTaken { application, version, .. } => Some(format!(
                "a version is never reused: compare the two with `seawall show \
                 {application}:{version}` at both places, and copy another version"
            )),
            Self::VersionDeleted { .. } => Some(
                "a deleted version never returns: leave it out with --versions or --newest"
                    .to_owned(),
            ),
            Self::ChannelMoved { application, channel, .. }
            | Self::ChannelOfOthers { application, channel } => Some(format!(
                "see who moved it with `seawall channels {application} {channel}` at the target, \
                 then copy again"
            )),
            Self::NoApplication { .. } => {
                Some("`seawall list` shows the applications of the source".to_owned())
            }
            Self::TooMany { .. } => {
                Some("take fewer at a time with --since, --newest or --versions".to_owned())
            }
        }
    }
}
