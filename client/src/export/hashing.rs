//! Writing and hashing a part of a file at once.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crate::ovf::manifest::Hasher;

/// A writer to an offset in a file that hashes all bytes.
pub(super) struct Hashing<'a> {
    pub(super) file: &'a File,
    pub(super) start: u64,
    pub(super) at: u64,
    pub(super) hasher: Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.at)?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
