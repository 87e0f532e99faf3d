//! A file that is synced while it is written, with errors that name the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::HostError;

/// A file being written, shared between threads.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    path: PathBuf,
    file: seawall_store::new_file::write_behind::WriteBehind,
}

impl WriteBehind {
    pub(crate) fn new(path: &Path, file: File) -> Self {
        let file = seawall_store::new_file::write_behind::WriteBehind::new(file);
        Self { path: path.to_owned(), file }
    }

    pub(crate) fn file(&self) -> &File {
        self.file.file()
    }

    fn failed(&self, verb: &'static str) -> impl Fn(io::Error) -> HostError {
        move |source| HostError::new(verb, &self.path, source)
    }

    /// Returns an error about this file that no system call caused.
    pub(crate) fn error(&self, verb: &'static str, why: &'static str) -> HostError {
        HostError::new(verb, &self.path, io::Error::other(why))
    }

    /// Writes at an offset.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), HostError> {
        self.file().write_all_at(bytes, offset).map_err(self.failed("write"))?;
        self.wrote(bytes.len())
    }

    /// Counts written bytes, and starts a sync after enough of them.
    pub(crate) fn wrote(&self, len: usize) -> Result<(), HostError> {
        self.file.wrote(len).map_err(self.failed("sync"))
    }

    /// Waits until all writes survive a loss of power.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        self.file.sync().map_err(self.failed("sync"))
    }
}
