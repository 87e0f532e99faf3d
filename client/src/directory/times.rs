//! The modification times of a directory's disks after a pull, to detect later writes.
//!
//! If a disk's bytes differ from its release, either a guest wrote to the disk or its medium lost
//! them. The file's modification time tells the two apart: a write changes it, a failing medium
//! does not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Lockfile, OWN_FOLDER};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

const FILE: &str = "times.json";
/// The maximum length of the file, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;

/// The length and modification time of a file. A write changes either.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stamp {
    len: u64,
    /// Seconds and nanoseconds since the Unix epoch.
    modified: (i64, i64),
}

impl Stamp {
    fn of(folder: &Folder, file: &FolderPath) -> Option<Self> {
        let found = folder.look(file).ok().flatten()?;
        Some(Self { len: found.len, modified: found.modified })
    }
}

/// The lengths and times of a directory's disks when its release was put in place.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiskTimes(BTreeMap<PathBuf, Stamp>);

impl DiskTimes {
    /// Records the current times of the disks, which were just written or verified.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn note(folder: &Folder, lock: &Lockfile) -> Result<(), HostError> {
        let stamp = |file: &FolderPath| Some((file.as_path().to_owned(), Stamp::of(folder, file)?));
        let times = Self(lock.disks.iter().filter_map(|disk| stamp(&disk.file)).collect());
        let path = file();
        let failed =
            |e: serde_json::Error| HostError::new("write", &folder.path_of(&path), e.into());
        folder.make_folder_of(&path, mode::OWN_FOLDER)?;
        folder.replace(&path, &serde_json::to_vec(&times).map_err(failed)?, mode::FILE)
    }

    /// Reads the recorded times. Empty if the file is missing or damaged.
    #[must_use]
    pub fn of_folder(folder: &Folder) -> Self {
        let bytes = folder.read(&file(), FILE_LEN_MAX).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Returns true if a disk was written to or removed since. `None` if its time was not recorded.
    #[must_use]
    pub fn is_written(&self, folder: &Folder, file: &FolderPath) -> Option<bool> {
        let noted = self.0.get(file.as_path())?;
        Some(Stamp::of(folder, file).as_ref() != Some(noted))
    }
}

/// Returns the path of the file of recorded times.
fn file() -> FolderPath {
    FolderPath::composed(PathBuf::from(OWN_FOLDER).join(FILE))
}
