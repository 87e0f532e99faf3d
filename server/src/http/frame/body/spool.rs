//! A disk spool for slow bodies. A slow connection or a malicious client therefore holds no memory
//! that others need.
//!
//! # After a crash
//!
//! Nothing remains: the files have no names.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::http::frame::Refusal;

/// A folder for slow bodies.
#[derive(Clone, Debug)]
pub(in crate::http::frame) struct Spool(PathBuf);

/// A body in the spool.
pub(super) struct Spooled {
    file: Arc<File>,
    len: u64,
}

impl Spool {
    /// Uses a folder, which must be on a disk with room for uploads.
    pub(in crate::http::frame) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Starts to spool a body.
    ///
    /// Returns `None` if the file system is not writable or does not support files without names.
    pub(super) async fn begin(&self) -> Option<Spooled> {
        let folder = self.0.clone();
        let open = move || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(File::from(rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR)?))
        };
        let file = blocking(open).await.ok()?;
        Some(Spooled { file: Arc::new(file), len: 0 })
    }
}

impl Spooled {
    /// Returns the length in bytes.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Appends bytes.
    pub(super) async fn push(&mut self, bytes: Vec<u8>) -> Result<(), Refusal> {
        let (file, at, len) = (Arc::clone(&self.file), self.len, bytes.len() as u64);
        blocking(move || file.write_all_at(&bytes, at)).await?;
        self.len += len;
        Ok(())
    }

    /// Reads the whole body.
    pub(super) async fn read(self) -> Result<Vec<u8>, Refusal> {
        let len = self.len();
        let file = self.file;
        let read = move || {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        blocking(read).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    outcome.flatten().map_err(Refusal::Spool)
}
