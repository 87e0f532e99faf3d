//! The journal of a volume that is being written: which blocks the provider has.
//!
//! A file of records of [`RECORD_LEN`] bytes: index, SHA-256 of the block, and a check of both. A
//! torn or foreign record is ignored, so its block is written again.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use crate::folder::{Folder, FolderPath};
use crate::host::{HostError, HostState};

/// The length of a record, in bytes.
const RECORD_LEN: usize = 8 + 32 + 8;
/// The maximum length of a journal: a volume of 64 TiB in blocks of 512 KiB.
const JOURNAL_LEN_MAX: u64 = RECORD_LEN as u64 * (1 << 27);

/// The journal of one volume.
pub(super) struct Journal {
    folder: Folder,
    path: FolderPath,
    file: File,
    written: HashMap<u64, [u8; 32]>,
}

impl Journal {
    /// Opens the journal of a volume, or begins one.
    ///
    /// # Errors
    /// Fails if the state's folder cannot be written.
    pub(super) fn open(state: &HostState, volume: &str) -> Result<Self, HostError> {
        let (folder, path) = state.volume_journal(volume)?;
        let bytes = folder.read(&path, JOURNAL_LEN_MAX).unwrap_or_default();
        let written: HashMap<_, _> = bytes.chunks_exact(RECORD_LEN).filter_map(parse).collect();
        let mut file = folder.create(&path, crate::folder::mode::FILE)?;
        let mut all = Vec::with_capacity(written.len() * RECORD_LEN);
        for (index, digest) in &written {
            all.extend(record(*index, digest));
        }
        let failed = |source| HostError::new("write", &folder.path_of(&path), source);
        file.write_all(&all).map_err(failed)?;
        Ok(Self { folder, path, file, written })
    }

    /// Returns the digest of a block that is written.
    pub(super) fn digest(&self, index: u64) -> Option<[u8; 32]> {
        self.written.get(&index).copied()
    }

    /// Notes that a block is written.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(super) fn note(&mut self, index: u64, digest: [u8; 32]) -> Result<(), HostError> {
        let failed = |source| HostError::new("write", &self.folder.path_of(&self.path), source);
        self.file.write_all(&record(index, &digest)).map_err(failed)
    }

    /// Removes the journal of a complete volume. A file that stays does no harm.
    pub(super) fn remove(self) {
        let _ = self.folder.remove(&self.path);
    }
}

fn record(index: u64, digest: &[u8; 32]) -> Vec<u8> {
    let mut record = [&index.to_le_bytes()[..], digest].concat();
    let check = blake3::hash(&record);
    record.extend(&check.as_bytes()[..8]);
    record
}

fn parse(bytes: &[u8]) -> Option<(u64, [u8; 32])> {
    let index = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let digest: [u8; 32] = bytes[8..40].try_into().ok()?;
    (record(index, &digest) == bytes).then_some((index, digest))
}
