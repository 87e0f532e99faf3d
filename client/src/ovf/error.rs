//! Why a package is not one that can be pushed, or cannot be written.

use std::io;
use std::path::PathBuf;

use seawall_store::image::ImageError;

use crate::error::{ErrorKind, Failure};
use crate::spec::SpecError;

/// Why a package is not one that can be pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OvfError {
    /// A file of the package cannot be read.
    #[error("cannot {verb} {path}", path = .path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The descriptor is not well-formed XML, or has what none may have.
    #[error("the descriptor in {path} is not XML that is read", path = .path.display())]
    Xml {
        /// The package.
        path: PathBuf,
        /// Where and why.
        source: Box<roxmltree::Error>,
    },
    /// The descriptor is XML and breaks a rule of OVF.
    #[error("the descriptor breaks a rule: {place}: {why}")]
    Envelope {
        /// Where in it.
        place: String,
        /// The rule.
        why: String,
    },
    /// Something of OVF that is not read.
    #[error("{what} is not read")]
    Unsupported {
        /// What.
        what: String,
        /// The operator's next step.
        remedy: String,
    },
    /// The OVA file is not a tar archive of the kind that OVF asks for.
    #[error("{path} is no OVA: at byte {offset}, {why}", path = .path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The rule it breaks.
        why: String,
    },
    /// The descriptor names a file that is not in the package.
    #[error("`{href}` is not in the package {path}", path = .path.display())]
    Missing {
        /// The package.
        path: PathBuf,
        /// What it names.
        href: String,
    },
    /// A name leads out of the package.
    #[error("`{href}` leads out of the package: {why}")]
    Escapes {
        /// The name, with control characters escaped.
        href: String,
        /// How.
        why: &'static str,
    },
    /// The manifest is none.
    #[error("line {line} of the manifest {why}")]
    Manifest {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file is not what the manifest says.
    #[error("`{file}` is not what the manifest says: its {algorithm} is {actual}, not {expected}")]
    Digest {
        /// The file.
        file: String,
        /// The algorithm.
        algorithm: &'static str,
        /// What the manifest says.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// What the package says cannot become a release.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A disk cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl OvfError {
    pub(super) fn rule(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Envelope { place: place.into(), why: why.into() }
    }
}

impl Failure for OvfError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
                _ => ErrorKind::InvalidInput,
            },
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Digest { .. } => ErrorKind::Damaged,
            Self::Spec(error) => error.kind(),
            _ => ErrorKind::InvalidInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Unsupported { remedy, .. } => remedy,
            Self::Spec(error) => return error.remedy(),
            Self::Image(error) => return error.remedy(),
            Self::Missing { .. } => {
                "an .ovf is pushed with its files beside it, under the names that it has for them"
            }
            Self::Digest { .. } => {
                "the file was damaged or changed after the package was made: get the package again"
            }
            Self::Escapes { .. } => "do not trust this package; make it anew",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
