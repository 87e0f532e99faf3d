//! The lockfile: what was pulled, by digest, so that it can be pulled again.

use std::path::{Path, PathBuf};

use seawall_api::digest::{ContentDigest, IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_store::image::Format;
use seawall_store::image::layout::ExportFormat;
use serde::{Deserialize, Serialize};

use super::{LOCKFILE, RELEASE_FILE, disk_file, has_journal};
use crate::deploy::DescriptorTarget;
use crate::error::{ErrorKind, Failure};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

/// The longest lockfile or release document that is read, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;

/// What a directory holds.
///
/// A value is proven wherever it was read from, a lockfile or a patch's journal: it names files of
/// formats that disks are pulled in, each in the one place that its machine and disk give it.
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
    #[serde(deserialize_with = "placed")]
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
    pub file: FolderPath,
    /// The file's format: `raw` or `qcow2`.
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
    /// The files are of two releases, as a crash of a patch leaves them.
    #[error("{} is between two releases: a patch was interrupted", directory.display())]
    InProgress {
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
            Self::InProgress { .. } => ErrorKind::Conflict,
            Self::Malformed { .. } | Self::Contradiction { .. } => ErrorKind::Damaged,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.remedy(),
            Self::Missing { .. } => Some("pull a release with `seawall pull`".to_owned()),
            Self::InProgress { .. } => Some("run `seawall patch` again to finish it".to_owned()),
            Self::Malformed { .. } | Self::Contradiction { .. } => {
                Some("pull the release again into another directory".to_owned())
            }
        }
    }
}

/// Reads disks, each of which must lie where its machine and its name say.
fn placed<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<LockedDisk>, D::Error> {
    use serde::de::Error;
    let disks = Vec::<LockedDisk>::deserialize(from)?;
    for disk in &disks {
        let format: ExportFormat = disk.format.parse().map_err(D::Error::custom)?;
        if !format.is_laid_out() {
            return Err(D::Error::custom(format!("no disk is pulled as {format}")));
        }
        if disk.file != disk_file(&disk.machine, &disk.disk, format) {
            let why = format!("{} is not where {} lies", disk.file, disk.disk);
            return Err(D::Error::custom(why));
        }
    }
    Ok(disks)
}

/// Reads the release document of a directory.
///
/// # Errors
/// When it cannot be read or is malformed.
pub(super) fn read_release(folder: &Folder) -> Result<Release, LockError> {
    let file = FolderPath::composed(RELEASE_FILE);
    let bytes = folder.read(&file, FILE_LEN_MAX)?;
    Release::parse(&bytes).map_err(|error| malformed(&folder.path_of(&file), error))
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

    /// Reads a lockfile that somebody named. Its folder's path may hold links; the file itself is
    /// none, as it may lie where others write.
    ///
    /// # Errors
    /// When it cannot be read or is malformed; a file it names cannot lie outside the directory.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let failed = |error| HostError::new("read", path, std::io::Error::other(error));
        let name = FolderPath::new(path.file_name().unwrap_or_default()).map_err(failed)?;
        let folder = Folder::open(path.parent().unwrap_or(Path::new("")))?;
        let bytes = folder.read(&name, FILE_LEN_MAX)?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, error))
    }

    /// Reads the lockfile in a folder that others may write to; `None` where there is none.
    ///
    /// # Errors
    /// When it is a link, cannot be read or is malformed.
    pub(crate) fn below(folder: &Folder) -> Result<Option<Self>, LockError> {
        let file = FolderPath::composed(LOCKFILE);
        if folder.look(&file)?.is_none() {
            return Ok(None);
        }
        let bytes = folder.read(&file, FILE_LEN_MAX)?;
        let lock = serde_json::from_slice(&bytes);
        lock.map(Some).map_err(|error| malformed(&folder.path_of(&file), error))
    }

    /// Reads the lockfile and the release document of a directory.
    ///
    /// # Errors
    /// When there is none, or the two contradict each other.
    pub fn of_directory(directory: &Path) -> Result<(Self, Release), LockError> {
        match Folder::open(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(LockError::Missing { directory: directory.to_owned() })
            }
            folder => Self::of_folder(&folder?),
        }
    }

    /// The same of a folder that is open already.
    ///
    /// # Errors
    /// As [`Self::of_directory`].
    pub fn of_folder(folder: &Folder) -> Result<(Self, Release), LockError> {
        let directory = folder.path();
        let lock = Self::below(folder)?;
        let lock = lock.ok_or_else(|| LockError::Missing { directory: directory.to_owned() })?;
        let release = read_release(folder)?;
        let contradiction = |why: String| {
            if has_journal(folder) {
                return LockError::InProgress { directory: directory.to_owned() };
            }
            LockError::Contradiction { path: directory.join(RELEASE_FILE), why }
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

    /// Writes the lockfile of a directory, at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), HostError> {
        let file = FolderPath::composed(LOCKFILE);
        let failed =
            |e: serde_json::Error| HostError::new("write", &folder.path_of(&file), e.into());
        let mut bytes = serde_json::to_vec_pretty(self).map_err(failed)?;
        bytes.push(b'\n');
        folder.replace(&file, &bytes, mode::DOCUMENT)
    }
}
