//! When the disks of a directory were put in place: whether somebody wrote to one since.
//!
//! A disk whose bytes differ from its release was written to by a guest, or its medium lost them.
//! The file's own time tells the two apart: a guest's write moves it, a failing medium does not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Lockfile, OWN_FOLDER};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

const FILE: &str = "times.json";
/// The longest that is read, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;

/// The length and time of a file, which a write to it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stamp {
    len: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
}

impl Stamp {
    fn of(folder: &Folder, file: &FolderPath) -> Option<Self> {
        let found = folder.look(file).ok().flatten()?;
        Some(Self { len: found.len, modified: found.modified })
    }
}

/// The times of a directory's disks as they were when its release was put in place.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiskTimes(BTreeMap<PathBuf, Stamp>);

impl DiskTimes {
    /// Notes the times of the disks, which were just written or verified.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn note(folder: &Folder, lock: &Lockfile) -> Result<(), HostError> {
        let stamp = |file: &FolderPath| Some((file.as_path().to_owned(), Stamp::of(folder, file)?));
        let times = Self(lock.disks.iter().filter_map(|disk| stamp(&disk.file)).collect());
        let path = file();
        let failed =
            |e: serde_json::Error| HostError::new("write", &folder.path_of(&path), e.into());
        folder.make_folder_of(&path, mode::OWN_FOLDER)?;
        folder.replace(&path, &serde_json::to_vec(&times).map_err(failed)?, mode::FILE)
    }

    /// Reads what was noted; nothing where the file is absent or damaged.
    #[must_use]
    pub fn of_folder(folder: &Folder) -> Self {
        let bytes = folder.read(&file(), FILE_LEN_MAX).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Whether a disk was written to since; `None` where its time was not noted.
    #[must_use]
    pub fn is_written(&self, folder: &Folder, file: &FolderPath) -> Option<bool> {
        let noted = self.0.get(file.as_path())?;
        Some(Stamp::of(folder, file).as_ref() != Some(noted))
    }
}

/// Where the times are noted.
fn file() -> FolderPath {
    FolderPath::composed(PathBuf::from(OWN_FOLDER).join(FILE))
}
