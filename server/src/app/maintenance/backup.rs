//! Backup: a consistent copy of the catalog, made while the catalog is in use.
//!
//! A copy is a job: from its claim until the last byte is read, every process shows how far it is,
//! and may stop it. The copy itself lacks the row of its job.
//!
//! # Concurrency
//!
//! There is one copy at a time among all processes that serve a directory. A copy reserves disk
//! space like an upload, until its last byte is sent. A claim of the engine excludes other copies:
//! unlike a job, it can be had of a catalog that is read-only or full. Such a copy is made without
//! a job.
//!
//! # After a crash
//!
//! The claim and the space end with the process. The job appears as interrupted. The next copy
//! begins anew, because a copy is of one moment.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::AppError;
use crate::app::jobs::{Kernel, Order, Running, Step, Task, Work};
use crate::app::room::{Reserved, Room};
use crate::catalog::Catalog;
use crate::catalog::engine::Claim;
use crate::catalog::jobs::JobKind;

/// The time to wait for the end of another copy.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);
/// The time to wait for the record of the end before the last bytes are sent.
const END_WAIT_MAX: Duration = Duration::from_secs(2);
/// The interval between updates of a backup's progress.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// The delay between attempts to claim the copy.
const TURN_PAUSE: Duration = Duration::from_millis(20);

/// A copy open for reading. Its file has no name, and its space is freed on drop.
#[derive(Clone, Debug)]
pub struct CatalogCopy {
    file: Arc<File>,
    len: u64,
    job: Arc<Sending>,
    _held: Arc<Held>,
}

/// The claim and the disk space held by a copy, until its job has ended.
#[derive(Debug)]
struct Held {
    _claim: Claim,
    _room: Option<Reserved>,
}

/// The end of a copy that its job follows. The job ends at the last byte, or when this is dropped.
struct Sending {
    sent: watch::Sender<Progress>,
    /// The job; `None` for a copy without one.
    running: Option<Arc<Running>>,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

/// The progress of a backup.
#[derive(Clone, Default, Debug, Serialize)]
struct Progress {
    /// The number of bytes read from the copy.
    bytes: u64,
    /// The length of the copy; its maximum, until the copy is made.
    total_bytes: u64,
    /// The reason why no copy was made.
    #[serde(skip)]
    failure: Option<String>,
}

impl Progress {
    fn left(&self) -> u64 {
        self.total_bytes.saturating_sub(self.bytes)
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A backup in progress.
struct Backup {
    running: Arc<Running>,
    sent: watch::Receiver<Progress>,
    _held: Arc<Held>,
}

impl Work for Backup {
    const NAME: &'static str = "the backup";

    /// Follows the copy for a moment.
    async fn step(&mut self) -> Result<Step, AppError> {
        let is_read = |progress: &Progress| progress.bytes > 0 && progress.left() == 0;
        let over = timeout(TELL_EVERY, self.sent.wait_for(is_read)).await.map(|over| over.is_ok());
        let progress = self.sent.borrow().clone();
        self.running.note(progress.text());
        let left = progress.left();
        match over {
            Err(_) => Ok(Step::Continue),
            Ok(true) => Ok(Step::Done),
            // The copy was dropped.
            Ok(false) => Err(AppError::Failed {
                why: progress
                    .failure
                    .unwrap_or(format!("the client did not read the last {left} bytes")),
            }),
        }
    }
}

impl CatalogCopy {
    /// Returns the length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads a range of bytes. Before it returns the last byte, the backup is recorded as complete.
    ///
    /// # Errors
    /// [`AppError::Stopped`] if the backup was stopped; also fails if the disk fails.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, AppError> {
        if self.job.running.as_ref().is_some_and(|running| running.is_stopped()) {
            return Err(AppError::Stopped { what: Backup::NAME });
        }
        let end = range.end;
        let file = Arc::clone(&self.file);
        let read = move || {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        };
        let read: io::Result<_> = tokio::task::spawn_blocking(read).await.map_err(unreadable)?;
        let bytes = read.map_err(unreadable)?;
        self.job.sent.send_modify(|progress| progress.bytes = end);
        if end == self.len {
            // A registry within the client's process ends when the client has the last byte.
            let _ = timeout(END_WAIT_MAX, self.job.sent.closed()).await;
        }
        Ok(bytes)
    }
}

/// The copies of the catalog.
pub struct Backups {
    pub(in crate::app) catalog: Catalog,
    pub(in crate::app) room: Option<Room>,
    pub(in crate::app) kernel: Kernel,
}

impl Backups {
    /// Copies the catalog and verifies the copy.
    ///
    /// # Errors
    /// [`AppError::Busy`] while another copy exists, [`AppError::NoRoom`] without enough disk
    /// space; also fails if the catalog is damaged.
    pub async fn back_up(&self) -> Result<CatalogCopy, AppError> {
        let claim = self.turn_to_copy().await?;
        let plan = self.catalog.copy()?;
        let room = self.room.as_ref().map(|room| room.reserve(plan.len_max)).transpose()?;
        let held = Arc::new(Held { _claim: claim, _room: room });
        let job = self.record_backup(&held, plan.len_max).await;
        // The copy continues after its client disconnects, and holds the claim until it ends.
        let copy = tokio::task::spawn_blocking(move || {
            let made = (plan.make)().map_err(AppError::from).and_then(|file| {
                let len = file.metadata().map_err(unreadable)?.len();
                Ok((Arc::new(file), len))
            });
            job.sent.send_modify(|progress| match &made {
                Ok((_, len)) => progress.total_bytes = *len,
                Err(error) => progress.failure = Some(error.to_string()),
            });
            made.map(|(file, len)| CatalogCopy { file, len, job: Arc::new(job), _held: held })
        });
        copy.await.map_err(unreadable)?
    }

    /// Starts the job of a copy. Without a job, the copy is made all the same.
    async fn record_backup(&self, held: &Arc<Held>, len_max: u64) -> Sending {
        let (sent, heard) = watch::channel(Progress { total_bytes: len_max, ..<_>::default() });
        if self.catalog.barrier().is_some() {
            return Sending { sent, running: None };
        }
        // With the claim, the job of a dead runner is replaced without waiting.
        let order = Order { name: JobKind::Backup.into(), patience_secs: 0, restart: true };
        let text = heard.borrow().text();
        let start = async {
            let Some((running, _)) = self.kernel.claim(order, move |_| text.clone()).await? else {
                return Ok(None);
            };
            let (work_running, held) = (Arc::clone(&running), Arc::clone(held));
            let work = Backup { running: work_running, sent: heard, _held: held };
            Task { running: Arc::clone(&running), work }.spawn()?;
            Ok::<_, AppError>(Some(running))
        };
        let running = start.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a backup is made that no status shows");
            None
        });
        Sending { sent, running }
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
    use super::*;
    use crate::app::jobs::{JobState, JobStatus};
    use crate::app::room::MinFree;
    use crate::app::tests::Site;
    use crate::app::{Registry, Settings};
    use crate::host::{Space, Volume};

    struct Full;

    impl Volume for Full {
        fn space(&self) -> io::Result<Space> {
            Ok(Space { size: 1 << 30, free: 1 << 20 })
        }
    }

    #[tokio::test]
    async fn there_is_one_copy_at_a_time() {
        let site = Site::new();
        let [one, other] = [site.sound(), site.sound()];
        let copy = one.backups.back_up().await.unwrap();
        for registry in [&one, &other] {
            assert!(matches!(registry.backups.back_up().await, Err(AppError::Busy { .. })));
        }
        assert_eq!(status(&other).await.state, JobState::Running);
        copy.read(0..copy.len()).await.unwrap();
        let JobStatus { state, progress, .. } = status(&other).await;
        assert_eq!((state, progress.bytes), (JobState::Complete, copy.len()));
        drop(copy);
        drop(other.backups.back_up().await.unwrap());
        // Its claim ends with its job.
        drop(one.backups.back_up().await.unwrap());
        let failed = status(&other).await;
        assert!(failed.last_complete_at_secs.is_some(), "{failed:?}");
        assert_eq!(site.database.copy_count(), 0);
    }

    async fn status(registry: &Registry) -> JobStatus {
        registry.jobs.list(10).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn a_stop_by_another_process_breaks_the_copy_off() {
        let site = Site::new();
        let [one, other] = [site.sound(), site.sound()];
        let copy = one.backups.back_up().await.unwrap();
        copy.read(0..1).await.unwrap();
        other.jobs.stop("backup", "").await.unwrap();
        copy.job.running.as_ref().unwrap().beat().await.unwrap();
        let error = copy.read(1..copy.len()).await.unwrap_err();
        assert!(matches!(error, AppError::Stopped { .. }), "{error}");
        copy.job.sent.closed().await;
        let status = status(&other).await;
        assert_eq!((status.state, status.last_complete_at_secs), (JobState::Stopped, None));
        assert!(status.job.end.is_some());
    }

    #[tokio::test]
    async fn a_full_disk_takes_no_copy() {
        let site = Site::new();
        let room = Some(Room::new(Arc::new(Full), MinFree::Bytes(1 << 20)));
        let catalog = site.database.open();
        let settings = Settings { room, ..Settings::new(2) };
        let (store, host) = (Arc::clone(&site.store), Arc::clone(&site.host));
        let registry = Registry::new(store, catalog, host, settings);
        assert!(matches!(registry.backups.back_up().await, Err(AppError::NoRoom { .. })));
        assert_eq!(site.database.copy_count(), 0);
        site.sound().backups.back_up().await.unwrap();
    }
}
