//! When the disks of a directory were put in place: whether somebody wrote to one since.
//!
//! A disk whose bytes differ from its release was written to by a guest, or its medium lost them.
//! The file's own time tells the two apart: a guest's write moves it, a failing medium does not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Lockfile, OWN_FOLDER};
use crate::host::{HostError, replace_file};

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
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { len: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
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
    pub(crate) fn note(root: &Path, lock: &Lockfile) -> Result<(), HostError> {
        let stamp = |file: &PathBuf| Some((file.clone(), Stamp::of(&root.join(file))?));
        let times = Self(lock.disks.iter().filter_map(|disk| stamp(&disk.file)).collect());
        let path = root.join(OWN_FOLDER).join(FILE);
        let failed = |e: serde_json::Error| HostError::new("write", &path, e.into());
        replace_file(&path, &serde_json::to_vec(&times).map_err(failed)?)
    }

    /// Reads what was noted; nothing where the file is absent or damaged.
    #[must_use]
    pub fn of_directory(root: &Path) -> Self {
        let path = root.join(OWN_FOLDER).join(FILE);
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.len() <= FILE_LEN_MAX);
        let bytes = is_short.then(|| fs::read(&path).ok()).flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Whether a disk was written to since; `None` where its time was not noted.
    #[must_use]
    pub fn is_written(&self, root: &Path, file: &Path) -> Option<bool> {
        let noted = self.0.get(file)?;
        Some(Stamp::of(&root.join(file)).as_ref() != Some(noted))
    }
}
