//! The errors of the flows with a cloud.

use std::sync::Arc;

use seawall_store::image::ImageError;
use seawall_store::read::ReadError;

use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;

/// The reason a flow with a cloud failed. Running the same command again goes on where it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The release cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A file of this host cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A disk of the release cannot be read.
    #[error("cannot read a disk of the release")]
    Read(#[source] Arc<ReadError>),
    /// A disk of the release cannot be read, for a reason of its layout.
    #[error("cannot read a disk of the release")]
    Image(#[from] ImageError),
    /// A setting cannot be used.
    #[error("{what}")]
    Setting {
        /// The setting and the reason.
        what: String,
        /// The next step.
        remedy: String,
    },
    /// A machine cannot run at the provider.
    #[error("machine `{machine}` cannot be an image there: {why}")]
    Unsupported {
        /// The machine.
        machine: String,
        /// The reason.
        why: String,
    },
    /// The provider refused a call.
    #[error("{call} was refused: {name}: {message}")]
    Refused {
        /// The call, and the object that it was about.
        call: String,
        /// The name of the provider's error.
        name: String,
        /// The provider's message.
        message: String,
        /// The kind of the error.
        kind: ErrorKind,
        /// The next step.
        remedy: Option<String>,
    },
    /// The provider cannot be reached.
    #[error("{call} did not reach the provider")]
    Unreachable {
        /// The call.
        call: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The provider answered what nobody understands.
    #[error("{call}: the answer is not one that this version understands: {why}")]
    Answer {
        /// The call.
        call: String,
        /// The part that is wrong.
        why: String,
    },
    /// The provider gave up on an object.
    #[error("{object} failed at the provider: {why}")]
    Failed {
        /// The object.
        object: String,
        /// The provider's word.
        why: String,
    },
    /// An object did not become ready in time.
    #[error("{object} is not ready after {secs} seconds")]
    NotReady {
        /// The object.
        object: String,
        /// The time in seconds.
        secs: u64,
    },
    /// There is no such object.
    #[error("{what}")]
    NoSuch {
        /// The object and the place.
        what: String,
        /// The next step.
        remedy: String,
    },
    /// A task ended unexpectedly.
    #[error("the transfer stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl Failure for CloudError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Resolve(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Setting { .. } | Self::Unsupported { .. } => ErrorKind::InvalidInput,
            Self::Refused { kind, .. } => *kind,
            Self::Unreachable { .. } | Self::NotReady { .. } => ErrorKind::Unavailable,
            Self::Answer { .. } | Self::Failed { .. } => ErrorKind::Unavailable,
            Self::NoSuch { .. } => ErrorKind::NotFound,
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Registry(error) => return error.remedy(),
            Self::Resolve(error) => return error.remedy(),
            Self::Host(error) => return error.remedy(),
            Self::Read(error) => return error.remedy(),
            Self::Refused { remedy, .. } => return remedy.clone(),
            Self::Setting { remedy, .. } | Self::NoSuch { remedy, .. } => remedy,
            Self::Unsupported { .. } => "publish the machines that can: `--machine NAME`",
            Self::Unreachable { .. } => {
                "check the network and --endpoint, then run the same command again: it resumes"
            }
            Self::NotReady { .. } | Self::Failed { .. } => "run the same command again: it resumes",
            Self::Answer { .. } => "check that --endpoint is an address of the provider's API",
            Self::Image(_) | Self::Defect => return None,
        };
        Some(text.to_owned())
    }
}
