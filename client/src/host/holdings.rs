//! Releases pulled by this host, as seeds for later pulls.

use std::path::{Path, PathBuf};

use seawall_api::digest::{IndexDigest, ReleaseDigest};
use seawall_api::names::ApplicationName;
use serde::{Deserialize, Serialize};

use super::{HostState, file_of};
use crate::directory::Lockfile;
use crate::folder::{Folder, FolderPath};

/// The name of the folder of holdings in the state's folder.
const FOLDER: &str = "holdings";
/// The maximum number of holdings read from the directory. A real host has fewer.
const HOLDINGS_MAX: usize = 1024;
/// The longest record in bytes.
const RECORD_LEN_MAX: u64 = 1 << 20;

/// A directory with a pulled release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holding {
    /// The directory.
    pub directory: PathBuf,
    /// The application.
    pub application: ApplicationName,
    /// The release last pulled or patched into the directory.
    pub release: ReleaseDigest,
    /// Its disks.
    pub disks: Vec<HeldDisk>,
}

/// A disk of a holding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldDisk {
    /// The path of the file.
    pub path: PathBuf,
    /// The index of the content when the file was written.
    pub index: IndexDigest,
}

impl Holding {
    /// Returns the holding that a lockfile describes.
    pub(crate) fn of(directory: &Path, lock: &Lockfile) -> Self {
        let disks = lock.disks.iter();
        Self {
            directory: directory.to_owned(),
            application: lock.application.clone(),
            release: lock.release,
            disks: disks
                .map(|disk| HeldDisk { path: directory.join(&disk.file), index: disk.index })
                .collect(),
        }
    }

    /// Returns the disk's file relative to the directory, or `None` if the record is damaged.
    pub(crate) fn file(&self, disk: &HeldDisk) -> Option<FolderPath> {
        FolderPath::new(disk.path.strip_prefix(&self.directory).ok()?).ok()
    }
}

impl HostState {
    /// Records that `holding.directory` holds a release. Ignores failure, which only loses seeds.
    pub fn hold(&self, holding: &Holding) {
        if let Ok(bytes) = serde_json::to_vec(holding) {
            let _ = self.replace(&file_of(FOLDER, &holding.directory), &bytes);
        }
    }

    /// Returns this host's holdings, those of `application` first.
    #[must_use]
    pub fn holdings(&self, application: &ApplicationName) -> Vec<Holding> {
        let mut holdings = self.all_holdings();
        holdings.sort_by_key(|holding| holding.application != *application);
        holdings
    }

    /// Returns this host's holdings.
    #[must_use]
    pub fn all_holdings(&self) -> Vec<Holding> {
        let open = |root: Folder| root.folder(&FolderPath::composed(FOLDER));
        let Ok(folder) = Folder::open(&self.root).and_then(open) else { return Vec::new() };
        let mut names = folder.names(HOLDINGS_MAX).unwrap_or_default();
        // Sorted, because file systems list in any order, and plans are printed and compared.
        names.sort();
        let records = names
            .into_iter()
            .filter_map(|name| folder.read(&FolderPath::new(&name).ok()?, RECORD_LEN_MAX).ok());
        records.filter_map(|record| serde_json::from_slice(&record).ok()).collect()
    }
}
