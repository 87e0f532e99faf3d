//! Errors of depots.

use seawall_api::digest::ChunkDigest;
use seawall_api::names::ApplicationName;
use seawall_store::error::StoreError;

use super::map::InvalidMap;
use crate::bundle::BundleError;
use crate::error::{ErrorKind, Failure as _};

/// An error of a depot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepotError {
    /// There is no depot at the address.
    #[error("there is no depot at {address}")]
    Absent {
        /// The address.
        address: String,
    },
    /// The place holds other files than those of a depot.
    #[error("{address} holds files, and is no depot")]
    Occupied {
        /// The address.
        address: String,
    },
    /// The files of the depot cannot be reached.
    #[error("cannot use the depot at {address}")]
    Files {
        /// The address.
        address: String,
        /// The cause.
        source: StoreError,
    },
    /// The depot belongs to another mirror.
    #[error("the depot at {address} belongs to the mirror of {owner}, not of {mirror}")]
    Foreign {
        /// The address.
        address: String,
        /// The owner in the identity.
        owner: String,
        /// The mirror that wanted to write.
        mirror: String,
    },
    /// Another run of the mirror writes to the depot.
    #[error("another run of this mirror began to write to {address}")]
    Taken {
        /// The address.
        address: String,
    },
    /// A document is torn, malformed, or that of another depot.
    #[error("{document} at {address} cannot be used: {why}")]
    Document {
        /// The address.
        address: String,
        /// The path of the document.
        document: String,
        /// The defect.
        why: String,
    },
    /// A map is torn or malformed.
    #[error("{document} at {address} cannot be used")]
    Map {
        /// The address.
        address: String,
        /// The path of the map.
        document: String,
        /// The defect.
        source: InvalidMap,
    },
    /// A document was written by a later version.
    #[error("{document} at {address} has the schema `{schema}`, which this version does not know")]
    Newer {
        /// The address.
        address: String,
        /// The path of the document.
        document: String,
        /// The schema.
        schema: String,
    },
    /// The documents name an object that is gone.
    #[error("{object} is gone from {address}")]
    Gone {
        /// The address.
        address: String,
        /// The object.
        object: String,
    },
    /// A bundle leaves out a chunk that its reader was to hold.
    #[error("{address} leaves out chunk {chunk}, which this registry was to hold")]
    LeftOut {
        /// The bundle.
        address: String,
        /// The chunk.
        chunk: ChunkDigest,
    },
    /// The file of a bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The mirror has not confirmed the channels for too long.
    #[error(
        "the channels of {application} at {address} expired {ago_secs} s ago: the mirror has not \
         confirmed them since"
    )]
    Expired {
        /// The address.
        address: String,
        /// The application.
        application: ApplicationName,
        /// The time since the expiry, in seconds.
        ago_secs: u64,
    },
    /// The web server does not answer ranges.
    #[error("the web server of {address} does not answer requests for a range of a file")]
    NoRanges {
        /// The address.
        address: String,
    },
    /// A document would exceed its limit.
    #[error("{document} would have more than {len_max} bytes")]
    Full {
        /// The path of the document.
        document: String,
        /// The limit in bytes.
        len_max: u64,
    },
    /// A depot cannot do what only a registry does.
    #[error("{address} is a depot, which can only be read: it cannot {what}")]
    ReadOnly {
        /// The address.
        address: String,
        /// The wish, as a phrase with a verb.
        what: &'static str,
    },
}

impl DepotError {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Bundle(error) => error.kind(),
            Self::Absent { .. } | Self::Gone { .. } | Self::LeftOut { .. } => ErrorKind::NotFound,
            Self::Files { source, .. } => source.kind(),
            Self::Occupied { .. } | Self::Foreign { .. } | Self::Taken { .. } => {
                ErrorKind::Conflict
            }
            Self::Document { .. } | Self::Map { .. } => ErrorKind::Damaged,
            Self::Newer { .. } | Self::ReadOnly { .. } => ErrorKind::InvalidInput,
            Self::Expired { .. } => ErrorKind::Unavailable,
            Self::NoRanges { .. } => ErrorKind::Internal,
            Self::Full { .. } => ErrorKind::StorageFull,
        }
    }

    /// Returns the next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Files { source, .. } => return source.remedy(),
            Self::Bundle(error) => return error.remedy(),
            Self::LeftOut { .. } => {
                "make the bundle again with what this registry holds now: `seawall bundle have`, then \
                 `seawall bundle create … --have FILE`"
            }
            Self::Absent { address } => {
                return Some(format!("`seawall copy REF --to {address}` makes one"));
            }
            Self::Occupied { .. } => "name an empty directory, or another prefix of the bucket",
            Self::Foreign { .. } => {
                "copy to another prefix or directory: each depot has one mirror"
            }
            Self::Taken { .. } => "run the command again when the other run has ended",
            Self::Document { .. } | Self::Map { .. } => {
                "run `seawall copy` to this depot again: it writes the document anew"
            }
            Self::Newer { .. } => "use the version of seawall that wrote the depot, or a later one",
            Self::Gone { .. } => {
                "run the command again: its mirror may have replaced the object; if the object \
                 stays away, run `seawall copy` to this depot again"
            }
            Self::Expired { .. } => {
                "name a version instead of a channel, or have the mirror of this depot run again"
            }
            Self::NoRanges { .. } => {
                "serve the directory with a web server that answers ranges, such as nginx"
            }
            Self::Full { .. } => "copy fewer releases of this application to one depot",
            Self::ReadOnly { .. } => {
                "run the command at the registry that the depot mirrors: --registry URL"
            }
        };
        Some(text.to_owned())
    }

    /// Returns whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Files { source, .. } if source.kind() == ErrorKind::Unavailable)
    }
}
