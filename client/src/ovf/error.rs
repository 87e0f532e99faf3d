//! The errors of OVF packages.

use std::io;
use std::path::PathBuf;

use seawall_store::error::io_remedy;
use seawall_store::image::ImageError;

use crate::error::{ErrorKind, Failure};
use crate::spec::SpecError;

/// The reason a package cannot be read or pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OvfError {
    /// A file of the package cannot be read.
    #[error("cannot {verb} {path}", path = .path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The descriptor is not well-formed XML, or has forbidden constructs.
    #[error("the descriptor in {path} is not valid XML", path = .path.display())]
    Xml {
        /// The package.
        path: PathBuf,
        /// The position and cause.
        source: Box<roxmltree::Error>,
    },
    /// The descriptor violates a rule of OVF.
    #[error("the descriptor breaks a rule: {place}: {why}")]
    Envelope {
        /// The place in the descriptor.
        place: String,
        /// The rule.
        why: String,
    },
    /// A feature of OVF that is not supported.
    #[error("{what} is not read")]
    Unsupported {
        /// The feature.
        what: String,
        /// The operator's next step.
        remedy: String,
    },
    /// The OVA is not a tar archive as OVF requires.
    #[error("{path} is not an OVA: at byte {offset}, {why}", path = .path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// The offset in the file, in bytes.
        offset: u64,
        /// The violated rule.
        why: String,
    },
    /// The descriptor names a file that the package lacks.
    #[error("`{href}` is not in the package {path}", path = .path.display())]
    Missing {
        /// The package.
        path: PathBuf,
        /// The missing file's name.
        href: String,
    },
    /// A name leads out of the package.
    #[error("`{href}` leads out of the package: {why}")]
    Escapes {
        /// The name, with control characters escaped.
        href: String,
        /// The reason.
        why: &'static str,
    },
    /// No item refers to a disk with content.
    #[error("disk `{disk}` is in the DiskSection, but no virtual system has it")]
    Unattached {
        /// The disk's identifier.
        disk: String,
    },
    /// A disk's file is of another format than stated.
    #[error("{path} is not a {stated} image, as the descriptor says: {found}", path = .path.display())]
    NotStated {
        /// The file.
        path: PathBuf,
        /// The stated format.
        stated: String,
        /// A description of the file's content.
        found: String,
    },
    /// A file inflates to more bytes than a disk of its capacity needs.
    #[error("{path} inflates to more than {limit} bytes", path = .path.display())]
    Endless {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// No folder has space for an inflated disk.
    #[error("cannot inflate a disk into {}", shown(.folders))]
    Scratch {
        /// The folders that were tried.
        folders: Vec<PathBuf>,
        /// The cause in the last folder.
        source: io::Error,
    },
    /// The manifest is malformed.
    #[error("line {line} of the manifest {why}")]
    Manifest {
        /// The number of the line, from 1.
        line: usize,
        /// The fault in the line.
        why: &'static str,
    },
    /// A file's digest differs from the manifest.
    #[error("`{file}` does not match the manifest: its {algorithm} is {actual}, not {expected}")]
    Digest {
        /// The file.
        file: String,
        /// The algorithm.
        algorithm: &'static str,
        /// The digest in the manifest.
        expected: String,
        /// The file's digest.
        actual: String,
    },
    /// The package cannot be described as a release.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A disk cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Lists folders for an error message.
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
                "push an .ovf with its files beside it, under the names in the descriptor"
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
                "no disk of its capacity needs as many bytes: do not trust this package, or \
                 correct the ovf:capacity of the disk"
            }
            Self::Scratch { .. } => {
                "name a folder with space for the whole disk: TMPDIR=FOLDER seawall push …"
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
