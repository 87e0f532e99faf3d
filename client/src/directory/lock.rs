//! The lockfile: what was pulled, by digest, so that it can be pulled again.

use std::fs;
use std::path::{Path, PathBuf};

use seawall_api::digest::{ContentDigest, IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_store::image::Format;
use seawall_store::image::layout::ExportFormat;
use serde::{Deserialize, Serialize};

use super::{RELEASE_FILE, disk_file};
use crate::deploy::DescriptorTarget;
use crate::error::{ErrorKind, Failure};
use crate::host::{HostError, replace_file};

/// The longest lockfile or release document that is read, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;

/// What a directory holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lockfile {
    /// Which schema it follows: `seawall.lock/1`.
    pub schema: LockSchema,
    /// The application.
    pub application: ApplicationName,
    /// The version it had.
    pub version: Version,
    /// The release.
    pub release: ReleaseDigest,
    /// All machines of the release were pulled, not some picked ones.
    pub whole: bool,
    /// The disks that were pulled.
    pub disks: Vec<LockedDisk>,
    /// The hosts that the machines are described for, in order; a patch describes them anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<DescriptorTarget>,
}

/// Which schema a lockfile follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LockSchema {
    /// The first.
    #[serde(rename = "seawall.lock/1")]
    V1,
}

/// A disk in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedDisk {
    /// Its machine.
    pub machine: MachineName,
    /// Its name.
    pub disk: DiskName,
    /// Its file, from the directory.
    pub file: PathBuf,
    /// The file's format, by the name of an [`ExportFormat`] that is laid out: `raw`, `qcow2`, ….
    pub format: String,
    /// The disk's identity.
    pub content: ContentDigest,
    /// The disk's index.
    pub index: IndexDigest,
}

/// Why a directory's own description cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The file cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is none.
    #[error("{} holds no pulled release: it has no seawall.lock", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The file is malformed.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A patch replaces the two files one after the other, and has not ended.
    #[error("{} is between two releases: a patch is under way or broke off", directory.display())]
    Between {
        /// The directory.
        directory: PathBuf,
    },
    /// The files contradict each other.
    #[error("{} does not describe what seawall.lock says: {why}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
}

impl Failure for LockError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Host(error) => error.kind(),
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Between { .. } => ErrorKind::Conflict,
            Self::Malformed { .. } | Self::Contradiction { .. } => ErrorKind::Damaged,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.remedy(),
            Self::Missing { .. } => Some("pull a release with `seawall pull`".to_owned()),
            Self::Between { .. } => Some("run `seawall patch` again to finish it".to_owned()),
            Self::Malformed { .. } | Self::Contradiction { .. } => {
                Some("pull the release again into another directory".to_owned())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, HostError> {
    let failed = |source| HostError::new("read", path, source);
    if fs::metadata(path).map_err(failed)?.len() > FILE_LEN_MAX {
        return Err(failed(std::io::Error::other("it is longer than such a file can be")));
    }
    fs::read(path).map_err(failed)
}

fn malformed(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> LockError {
    LockError::Malformed { path: path.to_owned(), source: source.into() }
}

impl LockedDisk {
    /// The format its file is read as; a lockfile's formats were parsed when it was read.
    #[must_use]
    pub fn container(&self) -> Option<Format> {
        self.format.parse().ok().map(ExportFormat::container)
    }
}

impl Lockfile {
    /// Describes the disks of `release` that `is_pulled` picks.
    #[must_use]
    pub fn of(
        release: &Release,
        format: ExportFormat,
        is_pulled: impl Fn(&MachineName) -> bool,
    ) -> Self {
        let whole = release.machines().iter().all(|machine| is_pulled(&machine.name));
        let disks = release.disks().filter(|(machine, _)| is_pulled(&machine.name));
        let disks = disks.map(|(machine, disk)| LockedDisk {
            machine: machine.name.clone(),
            disk: disk.name.clone(),
            file: disk_file(&machine.name, &disk.name, format),
            format: format.to_string(),
            content: disk.content,
            index: disk.index,
        });
        Self {
            schema: LockSchema::V1,
            application: release.application().clone(),
            version: release.version().clone(),
            release: release.digest(),
            whole,
            disks: disks.collect(),
            descriptors: Vec::new(),
        }
    }

    /// The same with the machines described for these hosts too.
    #[must_use]
    pub fn described_for(mut self, targets: &[DescriptorTarget]) -> Self {
        self.descriptors.extend(targets);
        self.descriptors.sort_unstable();
        self.descriptors.dedup();
        self
    }

    /// Whether both are of the same disks, however their machines are described.
    #[must_use]
    pub fn has_disks_of(&self, other: &Self) -> bool {
        let descriptors = other.descriptors.clone();
        Self { descriptors, ..self.clone() } == *other
    }

    /// Whether all machines of the release were pulled, not some picked ones.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Reads a lockfile.
    ///
    /// # Errors
    /// When it cannot be read or is malformed; a file it names cannot lie outside the directory.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let lock: Self = serde_json::from_slice(&read(path)?).map_err(|e| malformed(path, e))?;
        for disk in &lock.disks {
            // The lockfile comes from a directory that others may write to.
            let format: ExportFormat = disk.format.parse().map_err(|e| malformed(path, e))?;
            if !format.is_laid_out() {
                return Err(malformed(path, format!("no disk is pulled as {format}")));
            }
            if disk.file != disk_file(&disk.machine, &disk.disk, format) {
                let why = format!("{} is not where {} lies", disk.file.display(), disk.disk);
                return Err(malformed(path, why));
            }
        }
        Ok(lock)
    }

    /// Reads the lockfile and the release document of a directory.
    ///
    /// # Errors
    /// When there is none, or the two contradict each other, as they do in the middle of a patch.
    pub fn of_directory(directory: &Path) -> Result<(Self, Release), LockError> {
        let path = directory.join(super::LOCKFILE);
        if !path.exists() {
            return Err(LockError::Missing { directory: directory.to_owned() });
        }
        let lock = Self::read(&path)?;
        let path = directory.join(RELEASE_FILE);
        let release = Release::parse(&read(&path)?).map_err(|e| malformed(&path, e))?;
        let contradiction = |why: String| {
            if directory.join(super::JOURNAL).exists() {
                return LockError::Between { directory: directory.to_owned() };
            }
            LockError::Contradiction { path: path.clone(), why }
        };
        if release.digest() != lock.release {
            return Err(contradiction(format!("its digest is {}", release.digest())));
        }
        for locked in &lock.disks {
            let described = release.disks().any(|(machine, disk)| {
                machine.name == locked.machine
                    && disk.name == locked.disk
                    && disk.index == locked.index
                    && disk.content == locked.content
            });
            if !described {
                let why = format!("it has no such disk {}/{}", locked.machine, locked.disk);
                return Err(contradiction(why));
            }
        }
        Ok((lock, release))
    }

    /// Writes the lockfile, at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), HostError> {
        let failed = |e: serde_json::Error| HostError::new("write", path, e.into());
        let mut bytes = serde_json::to_vec_pretty(self).map_err(failed)?;
        bytes.push(b'\n');
        replace_file(path, &bytes)
    }
}
