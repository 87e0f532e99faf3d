//! Backup: a consistent copy of the catalog, made while the catalog is in use.
//!
//! # Concurrency
//!
//! There is one copy at a time among all processes that serve a directory. A copy reserves disk
//! space like an upload, until its last byte is sent.
//!
//! A copy is not a job of the kernel, but holds a claim of the engine, for three reasons. It is
//! made from read-only and full catalogs, too, in which no row can be written. It would contain the
//! row of its own job, so that a restored catalog would show a backup in progress. And nothing of
//! it can be resumed: it is a copy of one moment, whose claim and space end with its process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::AppError;
use crate::app::maintenance::Maintenance;
use crate::app::room::Reserved;
use crate::catalog::engine::Claim;

/// The time to wait for the end of another copy.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);
/// The delay between attempts to claim the copy.
const TURN_PAUSE: Duration = Duration::from_millis(20);

/// A copy open for reading. Its file has no name, and its space is freed on drop.
#[derive(Clone, Debug)]
pub struct CatalogCopy {
    file: Arc<File>,
    len: u64,
    _held: Arc<Held>,
}

/// The claim and the disk space held by a copy.
#[derive(Debug)]
struct Held {
    _claim: Claim,
    _room: Option<Reserved>,
}

impl CatalogCopy {
    /// Returns the length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads a range of bytes.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, AppError> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        };
        let read: io::Result<_> = tokio::task::spawn_blocking(read).await.map_err(unreadable)?;
        read.map_err(unreadable)
    }
}

impl Maintenance {
    /// Copies the catalog and verifies the copy.
    ///
    /// # Errors
    /// [`AppError::Busy`] while another copy exists, [`AppError::NoRoom`] without enough disk
    /// space; also fails if the catalog is damaged.
    pub async fn back_up(&self) -> Result<CatalogCopy, AppError> {
        let claim = self.turn_to_copy().await?;
        let plan = self.catalog.copy()?;
        let room = self.room.as_ref().map(|room| room.reserve(plan.len_max)).transpose()?;
        let held = Held { _claim: claim, _room: room };
        // The copy continues after its client disconnects, and holds the claim until it ends.
        let copy = tokio::task::spawn_blocking(move || {
            let file = (plan.make)()?;
            let len = file.metadata().map_err(unreadable)?.len();
            Ok(CatalogCopy { file: Arc::new(file), len, _held: Arc::new(held) })
        });
        copy.await.map_err(unreadable)?
    }

    /// Claims the one copy. Waits briefly, because a client that has read the last byte of a copy
    /// may return before the copy is dropped.
    async fn turn_to_copy(&self) -> Result<Claim, AppError> {
        let deadline = Instant::now() + TURN_WAIT_MAX;
        loop {
            if let Some(claim) = self.catalog.claim_copying().await? {
                return Ok(claim);
            }
            if Instant::now() >= deadline {
                return Err(AppError::Busy { what: "another backup is in progress" });
            }
            tokio::time::sleep(TURN_PAUSE).await;
        }
    }
}

/// Returns the failure to read a copy.
fn unreadable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AppError {
    AppError::Internal { action: "read the copy of the catalog", source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::app::room::{MinFree, Room};
    use crate::app::tests::Site;
    use crate::app::{Registry, Settings};
    use crate::catalog::sqlite;
    use crate::host::{Space, Volume};

    struct Full;

    impl Volume for Full {
        fn space(&self) -> io::Result<Space> {
            Ok(Space { size: 1 << 30, free: 1 << 20 })
        }
    }

    fn copies(site: &Site) -> usize {
        let entries = fs::read_dir(site.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".copy")).count()
    }

    #[tokio::test]
    async fn there_is_one_copy_at_a_time() {
        let site = Site::new();
        let [one, other] = [site.sound(), site.sound()];
        let copy = one.maintenance.back_up().await.unwrap();
        for registry in [&one, &other] {
            assert!(matches!(registry.maintenance.back_up().await, Err(AppError::Busy { .. })));
        }
        drop(copy);
        other.maintenance.back_up().await.unwrap();
        assert_eq!(copies(&site), 0);
    }

    #[tokio::test]
    async fn a_full_disk_takes_no_copy() {
        let site = Site::new();
        let room = Some(Room::new(Arc::new(Full), MinFree::Bytes(1 << 20)));
        let catalog = sqlite::open(&site.dir.path().join("catalog.sqlite")).unwrap();
        let settings = Settings { room, ..Settings::new(2) };
        let (store, host) = (Arc::clone(&site.store), Arc::clone(&site.host));
        let registry = Registry::new(store, catalog, host, settings);
        assert!(matches!(registry.maintenance.back_up().await, Err(AppError::NoRoom { .. })));
        assert_eq!(copies(&site), 0);
        site.sound().maintenance.back_up().await.unwrap();
    }
}
