//! A cache of the last long hole of an image.
//!
//! A scan asks at each leaf for the next data. In an image of many terabytes without data, each
//! answer would walk the map to its end, in time quadratic in the disk's length.
//!
//! # Invariants
//!
//! 1. An answer is the image's own.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::image::{DiskImage, ImageError, Variant};

/// Minimum length of a hole worth remembering, in bytes: a shorter one is cheap to find again.
const HOLE_LEN_MIN: u64 = 16 << 20;

/// An image with a cache of its last long hole.
pub(in crate::image) struct Ahead {
    image: Box<dyn DiskImage>,
    last: Mutex<Option<Hole>>,
}

/// A hole, from the offset of the query, and the data after it.
#[derive(Clone)]
struct Hole {
    from: u64,
    next: Option<Range<u64>>,
}

impl Ahead {
    pub(in crate::image) fn of(image: Box<dyn DiskImage>) -> Box<dyn DiskImage> {
        Box::new(Self { image, last: Mutex::new(None) })
    }
}

impl DiskImage for Ahead {
    fn disk_len(&self) -> u64 {
        self.image.disk_len()
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hole) = last
            && hole.from <= from
            && hole.next.as_ref().is_none_or(|run| from < run.start)
        {
            return Ok(hole.next);
        }
        let next = self.image.next_data(from)?;
        let end = next.as_ref().map_or(self.disk_len(), |run| run.start);
        if end.saturating_sub(from) >= HOLE_LEN_MIN {
            let hole = Hole { from, next: next.clone() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(hole);
        }
        Ok(next)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        self.image.read_at(offset, buf)
    }

    fn is_packed(&self, offset: u64) -> Result<bool, ImageError> {
        self.image.is_packed(offset)
    }

    fn variant(&self) -> Variant {
        self.image.variant()
    }

    fn files(&self) -> &[PathBuf] {
        self.image.files()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A disk of 64 TiB with data in its middle, which counts queries.
    struct Counting(AtomicUsize);

    impl DiskImage for &'static Counting {
        fn disk_len(&self) -> u64 {
            64 << 40
        }

        fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let data = 32 << 40..(32 << 40) + 4096;
            Ok((from < data.end).then(|| from.max(data.start)..data.end))
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), ImageError> {
            Ok(())
        }

        fn is_packed(&self, _: u64) -> Result<bool, ImageError> {
            Ok(false)
        }

        fn variant(&self) -> Variant {
            Variant { format: crate::image::Format::Raw, detail: String::new(), sector_len: None }
        }

        fn files(&self) -> &[PathBuf] {
            &[]
        }
    }

    #[test]
    fn a_hole_is_looked_for_once_however_many_leaves_it_has() {
        let counting: &'static Counting = Box::leak(Box::new(Counting(AtomicUsize::new(0))));
        let image = Ahead::of(Box::new(counting));
        for leaf in 0..(64u64 << 40) / (256 << 20) {
            let from = leaf * (256 << 20);
            assert_eq!(image.next_data(from).unwrap(), (&counting).next_data(from).unwrap());
            counting.0.fetch_sub(1, Ordering::Relaxed);
        }
        assert!(counting.0.load(Ordering::Relaxed) <= 3, "{:?}", counting.0);
    }
}
