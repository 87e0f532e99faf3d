//! The lockfile: a record of a pull by digest, from which the pull can be repeated.

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

/// The maximum length of a lockfile or release document, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;

/// The release and the disks of a directory.
///
/// Deserialising validates every value, from a lockfile or from a patch's journal: each disk is in
/// a format that disks are pulled in, and its file is at the one path that its machine and its name
/// determine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lockfile {
    /// The schema: `seawall.lock/1`.
    pub schema: LockSchema,
    /// The application.
    pub application: ApplicationName,
    /// The release's version.
    pub version: Version,
    /// The release's digest.
    pub release: ReleaseDigest,
    /// True if all machines of the release were pulled, false if some were selected.
    pub whole: bool,
    /// The disks that were pulled.
    #[serde(deserialize_with = "placed")]
    pub disks: Vec<LockedDisk>,
    /// The hosts for which machines are described, in order. A patch describes them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<DescriptorTarget>,
}

/// The schema of a lockfile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LockSchema {
    /// Version 1.
    #[serde(rename = "seawall.lock/1")]
    V1,
}

/// A disk in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedDisk {
    /// The disk's machine.
    pub machine: MachineName,
    /// The disk's name.
    pub disk: DiskName,
    /// The disk's file, relative to the directory.
    pub file: FolderPath,
    /// The name of the file's [`ExportFormat`], such as `raw` or `qcow2`.
    pub format: String,
    /// The digest of the disk's content.
    pub content: ContentDigest,
    /// The digest of the disk's index.
    pub index: IndexDigest,
}

/// The reason a directory's lockfile or release document cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A file cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory has no lockfile.
    #[error("{} holds no pulled release: it has no seawall.lock", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The path does not exist.
    #[error("there is no directory {}", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The path is a file.
    #[error("{} is a file, not a directory that a release was pulled into", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// A file is malformed.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lockfile and the release document are of two releases, as an interrupted patch leaves
    /// them.
    #[error("{} is between two releases: a patch was interrupted", directory.display())]
    InProgress {
        /// The directory.
        directory: PathBuf,
    },
    /// The lockfile and the release document contradict each other.
    #[error("{} contradicts seawall.lock: {why}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// The difference.
        why: String,
    },
}

impl LockError {
    /// Returns the error for a missing lockfile: the directory may be missing, or be a file.
    #[must_use]
    pub fn missing(directory: &Path) -> Self {
        match std::fs::metadata(directory) {
            Ok(found) if found.is_dir() => Self::Missing { directory: directory.to_owned() },
            Ok(_) => Self::NotDirectory { path: directory.to_owned() },
            Err(_) => Self::NoDirectory { path: directory.to_owned() },
        }
    }
}

impl Failure for LockError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Host(error) => error.kind(),
            Self::NotDirectory { .. } => ErrorKind::InvalidInput,
            Self::Missing { .. } | Self::NoDirectory { .. } => ErrorKind::NotFound,
            Self::InProgress { .. } => ErrorKind::Conflict,
            Self::Malformed { .. } | Self::Contradiction { .. } => ErrorKind::Damaged,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.remedy(),
            Self::Missing { .. } => Some(
                "name the directory that a release was pulled into (`seawall status` lists those \
                 of this host), or pull one: `seawall pull REFERENCE --into DIR`"
                    .to_owned(),
            ),
            Self::NoDirectory { .. } | Self::NotDirectory { .. } => Some(
                "name the directory that a release was pulled into; `seawall status` lists those \
                 of this host"
                    .to_owned(),
            ),
            Self::InProgress { .. } => Some("run `seawall patch` again to complete it".to_owned()),
            Self::Malformed { .. } | Self::Contradiction { .. } => {
                Some("pull the release again into another directory".to_owned())
            }
        }
    }
}

/// Reads disks. Fails if a disk's file is not at the path that its machine and name determine.
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
/// Fails if the document cannot be read or is malformed.
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
    /// Returns the container format of the disk's file. `None` only if `format` is not a format.
    #[must_use]
    pub fn container(&self) -> Option<Format> {
        self.format.parse().ok().map(ExportFormat::container)
    }
}

impl Lockfile {
    /// Returns the lockfile of the disks of `release` whose machines `is_pulled` selects.
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

    /// Adds hosts for which the machines are described.
    #[must_use]
    pub fn described_for(mut self, targets: &[DescriptorTarget]) -> Self {
        self.descriptors.extend(targets);
        self.descriptors.sort_unstable();
        self.descriptors.dedup();
        self
    }

    /// Returns true if both lockfiles are the same except for their descriptors.
    #[must_use]
    pub fn has_disks_of(&self, other: &Self) -> bool {
        let descriptors = other.descriptors.clone();
        Self { descriptors, ..self.clone() } == *other
    }

    /// Returns true if all machines of the release were pulled.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Reads a lockfile at a path given by the user.
    ///
    /// The path of its folder may contain symbolic links. The file itself must not be one, because
    /// it may lie in a folder that others write to.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is malformed. A valid lockfile names no file outside the
    /// directory.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let failed = |error| HostError::new("read", path, std::io::Error::other(error));
        let name = FolderPath::new(path.file_name().unwrap_or_default()).map_err(failed)?;
        let folder = Folder::open(path.parent().unwrap_or(Path::new("")))?;
        let bytes = folder.read(&name, FILE_LEN_MAX)?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, error))
    }

    /// Reads the lockfile of a folder that others may write to. `None` if the folder has none.
    ///
    /// # Errors
    /// Fails if the lockfile is a symbolic link, cannot be read or is malformed.
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
    /// Fails if one of them is missing, or if the two contradict each other.
    pub fn of_directory(directory: &Path) -> Result<(Self, Release), LockError> {
        match Folder::open(directory) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                match directory.is_dir() {
                    true => Err(error.into()),
                    false => Err(LockError::missing(directory)),
                }
            }
            folder => Self::of_folder(&folder?),
        }
    }

    /// Reads the lockfile and the release document of an open folder.
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

    /// Writes the lockfile of a directory, atomically.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), HostError> {
        let file = FolderPath::composed(LOCKFILE);
        let failed =
            |e: serde_json::Error| HostError::new("write", &folder.path_of(&file), e.into());
        let mut bytes = serde_json::to_vec_pretty(self).map_err(failed)?;
        bytes.push(b'\n');
        folder.replace(&file, &bytes, mode::DOCUMENT)
    }
}
