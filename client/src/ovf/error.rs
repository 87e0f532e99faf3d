//! Why a package is not one that can be pushed, or cannot be written.

use std::io;
use std::path::PathBuf;

use seawall_store::error::io_remedy;
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
    /// A disk with content is named by no item.
    #[error("disk `{disk}` is in the DiskSection, and no virtual system has it")]
    Unattached {
        /// Its identifier.
        disk: String,
    },
    /// A disk's file is of another format than the descriptor says.
    #[error("{path} is no {stated} image, as the descriptor says: {found}", path = .path.display())]
    NotStated {
        /// The file.
        path: PathBuf,
        /// What the descriptor says.
        stated: String,
        /// What the file is.
        found: String,
    },
    /// A file inflates to more bytes than a disk of its capacity needs.
    #[error("{path} inflates to more than {limit} bytes", path = .path.display())]
    Endless {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// No folder has room for a disk that must be inflated.
    #[error("cannot inflate a disk into {}", shown(.folders))]
    Scratch {
        /// The folders that were tried.
        folders: Vec<PathBuf>,
        /// Why the last one failed.
        source: io::Error,
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

/// Folders as a sentence names them.
fn shown(folders: &[PathBuf]) -> String {
    let shown: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
    shown.join(" or ")
}

impl OvfError {
    pub(super) fn rule(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Envelope { place: place.into(), why: why.into() }
    }
}

impl Failure for OvfError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } | Self::Scratch { source, .. } => ErrorKind::of_io(source),
            Self::Image(error) => error.kind(),
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Digest { .. } => ErrorKind::Damaged,
            Self::Spec(error) => error.kind(),
            _ => ErrorKind::InvalidInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Unsupported { remedy, .. } => remedy,
            Self::Io { source, .. } => io_remedy(source)?,
            Self::Spec(error) => return error.remedy(),
            Self::Image(error) => return error.remedy(),
            Self::Missing { .. } => {
                "an .ovf is pushed with its files beside it, under the names that it has for them"
            }
            Self::Digest { .. } => {
                "the file was damaged or changed after the package was made: get the package again"
            }
            Self::Escapes { .. } => {
                "put the file beside the descriptor and name it there without a path; from a \
                 stranger, do not trust this package"
            }
            Self::Unattached { .. } => {
                "give it to a virtual system by an Item with HostResource `ovf:/disk/ID`, or take \
                 the Disk out of the descriptor"
            }
            Self::NotStated { .. } => {
                "get the file again; if it is what it should be, set the ovf:format of its Disk, \
                 or push the disk with --machine NAME=DISK"
            }
            Self::Endless { .. } => {
                "no disk of its capacity needs as many: do not trust this package, or set the \
                 ovf:capacity of the disk right"
            }
            Self::Scratch { .. } => {
                "name a folder with room for the whole disk: TMPDIR=FOLDER seawall push …"
            }
            Self::Archive { .. } => {
                "unpack it, and push the .ovf that is in it; the files of an OVA are one .ovf, its \
                 disks, and no links"
            }
            Self::Manifest { .. } => {
                "a line reads `SHA256(disk.vmdk)= DIGEST`; `sha256sum --tag` writes such lines"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
