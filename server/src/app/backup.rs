//! Backup: a copy of the catalog at one moment, while it is read and written.
//!
//! # After a crash
//!
//! A copy under way has a name beside the catalog that ends in `.copy`; nothing ever reads it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{AppError, Registry};

/// A copy that is open to be read; its file is gone once it is dropped.
#[derive(Clone, Debug)]
pub struct CatalogCopy {
    file: Arc<File>,
    len: u64,
}

impl CatalogCopy {
    /// Its length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Some of its bytes.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, AppError> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        };
        blocking(read).await
    }
}

impl Registry {
    /// Copies the catalog and proves the copy whole.
    ///
    /// # Errors
    /// When there is no room, or the catalog is damaged.
    pub async fn back_up(&self) -> Result<CatalogCopy, AppError> {
        let id = self.host.random().ok_or_else(|| AppError::Internal {
            action: ACTION,
            source: "the machine gives no random bytes".into(),
        })?;
        let path = self.catalog.beside(&format!(".{}.copy", hex::encode(id)));
        let copied = self.catalog.back_up(path.clone()).await;
        if copied.is_err() {
            // What was written of it; that there may be none is no failure of its own.
            let _ = std::fs::remove_file(&path);
        }
        copied?;
        blocking(move || open_once(&path)).await
    }
}

const ACTION: &str = "read the catalog's copy";

/// Opens a file that nobody will open again.
fn open_once(path: &Path) -> io::Result<CatalogCopy> {
    let file = File::open(path)?;
    std::fs::remove_file(path)?;
    let len = file.metadata()?.len();
    Ok(CatalogCopy { file: Arc::new(file), len })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, AppError> {
    let internal = |source: Box<dyn std::error::Error + Send + Sync>| AppError::Internal {
        action: ACTION,
        source,
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| internal(error.into()))?;
    done.map_err(|error| internal(error.into()))
}
