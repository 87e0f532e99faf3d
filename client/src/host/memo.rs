//! Disks that were scanned before: a re-push of an unchanged disk costs a stat.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use seawall_api::index::DiskIndex;
use serde::{Deserialize, Serialize};

use super::{FileIdentity, HostState, replace_file};

/// The longest memo that is read, in bytes: an index of the longest disk and its header.
const MEMO_LEN_MAX: u64 = 32 << 20;

/// The identity of every file a disk image is made of, taken before its bytes are read.
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
    /// The memo of one part of these files, as there may be other disks in them.
    #[must_use]
    pub fn of_part(mut self, part: &str) -> Self {
        let mut key = self.key.into_os_string();
        key.push("#");
        key.push(part);
        self.key = key.into();
        self
    }

    /// Whether the files are still what they were when this was taken.
    #[must_use]
    pub fn is_current(&self) -> bool {
        identities(self.files.iter().map(FileIdentity::path)).is_some_and(|now| now == self.files)
    }
}

fn identities<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<Vec<FileIdentity>> {
    paths.map(|path| FileIdentity::of(path).ok()).collect()
}

impl HostState {
    /// Takes the identity of a disk's files; `None` where the file system does not tell it.
    #[must_use]
    pub fn memo(&self, files: &[PathBuf]) -> Option<ScanMemo> {
        let taken = self.now();
        let files = identities(files.iter().map(PathBuf::as_path))?;
        let key = files.first()?.path().to_owned();
        Some(ScanMemo { key, files, taken })
    }

    /// The index that a scan found when the files had this very identity.
    #[must_use]
    pub fn recall(&self, memo: &ScanMemo) -> Option<DiskIndex> {
        let path = self.file("scans", &memo.key);
        if fs::metadata(&path).ok()?.len() > MEMO_LEN_MAX {
            return None;
        }
        let bytes = fs::read(path).ok()?;
        let split = bytes.iter().position(|&b| b == b'\n')?;
        let header: Header = serde_json::from_slice(&bytes[..split]).ok()?;
        if header.version != VERSION || header.files != memo.files {
            return None;
        }
        DiskIndex::decode(&bytes[split + 1..]).ok()
    }

    /// Remembers what a scan found, if a later change of the files is sure to show.
    ///
    /// Failure is silent: the next push scans again.
    pub fn remember(&self, memo: &ScanMemo, index: &DiskIndex) {
        if !memo.files.iter().all(|file| file.is_settled_at(memo.taken)) || !memo.is_current() {
            return;
        }
        let header = Header { version: VERSION, files: memo.files.clone() };
        let Ok(mut bytes) = serde_json::to_vec(&header) else { return };
        bytes.push(b'\n');
        bytes.extend(index.encode());
        let _ = replace_file(&self.file("scans", &memo.key), &bytes);
    }
}
