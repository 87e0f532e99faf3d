//! Errors of a push.

use std::path::PathBuf;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::problem::Code;
use seawall_api::release::InvalidRelease;
use seawall_store::image::ImageError;
use seawall_store::scan::ScanError;

use crate::disk::DiskError;
use crate::error::{ErrorKind, Failure};
use crate::ovf::OvfError;
use crate::registry::RegistryError;

/// An error of a push. The release is not visible in the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The package contradicts its descriptor or manifest.
    #[error(transparent)]
    Package(#[from] OvfError),
    /// A disk's file cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A disk cannot be scanned.
    #[error("cannot scan {}", path.display())]
    Scan {
        /// The disk's file.
        path: PathBuf,
        /// The cause.
        source: ScanError,
    },
    /// A disk's file was modified during the push.
    #[error("{} changed during the push", path.display())]
    Changed {
        /// The disk's file.
        path: PathBuf,
    },
    /// The version names another release.
    #[error(
        "{application}:{version} exists with other content: it is {taken_by}, the push is {pushed}"
    )]
    VersionTaken {
        /// The application.
        application: ApplicationName,
        /// The version.
        version: Version,
        /// The existing release.
        taken_by: ReleaseDigest,
        /// The rejected release.
        pushed: ReleaseDigest,
    },
    /// The version was deleted.
    #[error("{application}:{version} cannot be pushed")]
    VersionDeleted {
        /// The application.
        application: ApplicationName,
        /// The version.
        version: Version,
        /// The registry's refusal.
        source: Box<RegistryError>,
    },
    /// The description violates a rule of release documents.
    #[error("the release cannot be described")]
    Release(#[from] InvalidRelease),
    /// A thread of the push panicked.
    #[error("the push stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl PushError {
    /// Returns the same error, naming the application of the refused request.
    pub(super) fn about(self, application: &ApplicationName) -> Self {
        match self {
            Self::Registry(error) => Self::Registry(error.about(application)),
            other => other,
        }
    }

    /// Returns whether the registry lacks an object that the push relied on.
    pub(super) fn is_incomplete(&self) -> bool {
        matches!(
            self,
            Self::Registry(RegistryError::Problem { problem, .. })
                if problem.code == Code::Incomplete
        )
    }
}

impl Failure for PushError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Package(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Scan { source, .. } => source.kind(),
            Self::Release(_) => ErrorKind::InvalidInput,
            Self::Changed { .. } | Self::VersionTaken { .. } | Self::VersionDeleted { .. } => {
                ErrorKind::Conflict
            }
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Package(error) => error.remedy(),
            Self::Disk(error) => error.remedy(),
            Self::Scan { source, .. } => source.remedy(),
            Self::Changed { .. } => {
                Some("stop the machine that writes to it, or push a snapshot".to_owned())
            }
            Self::VersionTaken { .. } | Self::VersionDeleted { .. } => {
                Some("a version is never reused: push under the next one".to_owned())
            }
            Self::Release(_) | Self::Defect => None,
        }
    }
}

impl From<ImageError> for PushError {
    fn from(error: ImageError) -> Self {
        Self::Disk(error.into())
    }
}
