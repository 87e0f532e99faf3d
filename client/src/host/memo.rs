//! A cache of scans: pushing an unchanged disk again costs a stat.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use seawall_api::index::DiskIndex;
use serde::{Deserialize, Serialize};

use super::{FileIdentity, HostState, file_of};

/// The longest memo in bytes: an index of the longest disk and its header.
const MEMO_LEN_MAX: u64 = 32 << 20;

/// The identities of all files of a disk image, taken before its bytes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanMemo {
    key: PathBuf,
    files: Vec<FileIdentity>,
    taken: SystemTime,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    files: Vec<FileIdentity>,
}

const VERSION: u32 = 1;

impl ScanMemo {
    /// Returns the memo of one of several disks in the same files.
    #[must_use]
    pub fn of_part(mut self, part: &str) -> Self {
        let mut key = self.key.into_os_string();
        key.push("#");
        key.push(part);
        self.key = key.into();
        self
    }

    /// Returns whether the files are unchanged since the memo was taken.
    #[must_use]
    pub fn is_current(&self) -> bool {
        identities(self.files.iter().map(FileIdentity::path)).is_some_and(|now| now == self.files)
    }
}

fn identities<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<Vec<FileIdentity>> {
    paths.map(|path| FileIdentity::of(path).ok()).collect()
}

impl HostState {
    /// Takes the identities of a disk's files. Returns `None` if a file cannot be inspected or is
    /// not a regular file.
    #[must_use]
    pub fn memo(&self, files: &[PathBuf]) -> Option<ScanMemo> {
        let taken = self.now();
        let files = identities(files.iter().map(PathBuf::as_path))?;
        let key = files.first()?.path().to_owned();
        Some(ScanMemo { key, files, taken })
    }

    /// Returns the index found by a scan of files with the same identities.
    #[must_use]
    pub fn recall(&self, memo: &ScanMemo) -> Option<DiskIndex> {
        let bytes = self.read(&file_of("scans", &memo.key), MEMO_LEN_MAX)?;
        let split = bytes.iter().position(|&b| b == b'\n')?;
        let header: Header = serde_json::from_slice(&bytes[..split]).ok()?;
        if header.version != VERSION || header.files != memo.files {
            return None;
        }
        DiskIndex::decode(&bytes[split + 1..]).ok()
    }

    /// Stores the index found by a scan, if any later write to the files is detectable.
    ///
    /// Ignores failure: the next push scans again.
    pub fn remember(&self, memo: &ScanMemo, index: &DiskIndex) {
        if !memo.files.iter().all(|file| file.is_settled_at(memo.taken)) || !memo.is_current() {
            return;
        }
        let header = Header { version: VERSION, files: memo.files.clone() };
        let Ok(mut bytes) = serde_json::to_vec(&header) else { return };
        bytes.push(b'\n');
        bytes.extend(index.encode());
        let _ = self.replace(&file_of("scans", &memo.key), &bytes);
    }
}
