//! Disk space reserved from uploads.
//!
//! On a disk that is completely full, operations fail halfway: the catalog cannot commit, a channel
//! cannot move, and nothing can be deleted. Uploads are therefore refused while some space is left.
//! Reads, publishing uploaded content, and moving channels need no reservation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{AppError, Registry};
use crate::host::{Space, Volume};

/// The warning threshold as a multiple of the reserved space. Uploads still succeed below the
/// warning threshold.
const LOW_FACTOR: u64 = 2;
/// The default reserved space, in percent of the disk.
const USUAL_PERCENT: u8 = 5;
/// The upper limit of the default reserved space, in bytes.
const USUAL_BYTES_MAX: u64 = 1 << 30;

/// The disk space reserved from uploads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinFree {
    /// 5 % of the disk, or 1 GiB if that is less.
    Usual,
    /// An absolute amount, in bytes.
    Bytes(u64),
    /// A percentage of the disk, at most 100.
    Percent(u8),
}

impl MinFree {
    /// Returns the reserved bytes on a disk of `size` bytes.
    #[must_use]
    pub fn of(self, size: u64) -> u64 {
        let part = |percent: u8| size / 100 * u64::from(percent.min(100));
        match self {
            Self::Usual => part(USUAL_PERCENT).min(USUAL_BYTES_MAX),
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => part(percent),
        }
    }
}

/// The disk of the store, with the bytes of uploads in progress. Clones share both.
#[derive(Clone)]
pub struct Room {
    volume: Arc<dyn Volume>,
    min_free: MinFree,
    incoming: Arc<AtomicU64>,
}

/// The disk space and the thresholds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoomState {
    /// Size and free space of the disk.
    pub space: Space,
    /// The free bytes below which uploads are refused.
    pub min_free: u64,
    /// The free bytes below which the operator is warned.
    pub low_free: u64,
}

/// Disk space reserved by an upload. Dropping the value releases the reservation, after the upload
/// is on the disk or was abandoned.
#[derive(Debug)]
pub struct Reserved {
    len: u64,
    incoming: Arc<AtomicU64>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.incoming.fetch_sub(self.len, Ordering::Relaxed);
    }
}

impl Room {
    /// Reserves `min_free` of the volume from uploads.
    #[must_use]
    pub fn new(volume: Arc<dyn Volume>, min_free: MinFree) -> Self {
        Self { volume, min_free, incoming: Arc::new(AtomicU64::new(0)) }
    }

    fn state(&self) -> Option<RoomState> {
        match self.volume.space() {
            Ok(space) => {
                let min_free = self.min_free.of(space.size);
                let low_free = min_free.saturating_mul(LOW_FACTOR);
                Some(RoomState { space, min_free, low_free })
            }
            Err(error) => {
                // A write to a full disk fails with its own error.
                tracing::warn!(%error, "cannot determine the free space");
                None
            }
        }
    }

    pub(in crate::app) fn reserve(&self, len: u64) -> Result<Reserved, AppError> {
        // Added before the comparison: of two concurrent uploads that fit only one at a time, at
        // most one succeeds.
        let others = self.incoming.fetch_add(len, Ordering::Relaxed);
        let reserved = Reserved { len, incoming: Arc::clone(&self.incoming) };
        let Some(RoomState { space, min_free, .. }) = self.state() else { return Ok(reserved) };
        let needed = min_free.saturating_add(others).saturating_add(len);
        if space.free < needed {
            return Err(AppError::NoRoom { free: space.free, kept: min_free });
        }
        Ok(reserved)
    }
}

impl Registry {
    /// Reserves disk space for an upload of `len` bytes.
    ///
    /// # Errors
    /// [`AppError::NoRoom`] if less than the reserved space would remain.
    pub fn reserve(&self, len: u64) -> Result<Option<Reserved>, AppError> {
        self.room.as_ref().map(|room| room.reserve(len)).transpose()
    }

    /// Returns the state of the registry's disk, if known.
    #[must_use]
    pub fn room(&self) -> Option<RoomState> {
        self.room.as_ref()?.state()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// A disk with a configurable amount of free space.
    struct Dial(Mutex<io::Result<Space>>);

    impl Volume for Dial {
        fn space(&self) -> io::Result<Space> {
            self.0.lock().unwrap().as_ref().copied().map_err(|_| io::Error::other("gone"))
        }
    }

    fn room(size: u64, free: u64, min_free: MinFree) -> Room {
        Room::new(Arc::new(Dial(Mutex::new(Ok(Space { size, free })))), min_free)
    }

    #[test]
    fn the_usual_is_a_part_of_a_small_disk_and_one_gib_of_a_large_one() {
        assert_eq!(MinFree::Usual.of(100 << 20), 5 << 20);
        assert_eq!(MinFree::Usual.of(10 << 40), 1 << 30);
        assert_eq!(MinFree::Percent(10).of(1000), 100);
        assert_eq!(MinFree::Percent(200).of(1000), 1000);
        assert_eq!(MinFree::Bytes(7).of(0), 7);
        assert_eq!(MinFree::Percent(100).of(u64::MAX), u64::MAX / 100 * 100);
    }

    #[test]
    fn uploads_that_fit_alone_do_not_pass_together() {
        let room = room(1000, 300, MinFree::Bytes(100));
        let first = room.reserve(150).unwrap();
        assert!(matches!(room.reserve(51), Err(AppError::NoRoom { free: 300, kept: 100 })));
        let second = room.reserve(50).unwrap();
        drop(first);
        assert!(room.reserve(151).is_err(), "the second still holds its own");
        drop(second);
        assert!(room.reserve(200).is_ok());
        assert!(room.reserve(u64::MAX).is_err());
        assert!(room.reserve(200).is_ok(), "what is refused holds nothing");
    }

    #[test]
    fn a_disk_that_does_not_answer_refuses_nothing() {
        let room =
            Room::new(Arc::new(Dial(Mutex::new(Err(io::Error::other("x"))))), MinFree::Usual);
        assert!(room.reserve(1 << 40).is_ok());
        assert_eq!(room.state(), None);
    }
}
