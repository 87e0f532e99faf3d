//! The counts of a cache.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counts of a cache since the start of the process, and its contents now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheTally {
    /// Segments of packs and objects that were read from the cache.
    pub hits: u64,
    /// Segments of packs and objects that were not there.
    pub misses: u64,
    /// Bytes of the hits.
    pub hit_bytes: u64,
    /// Bytes read from the store for the misses.
    pub fetched_bytes: u64,
    /// Entries that were dropped because they were damaged.
    pub damaged: u64,
    /// Entries that made room for others.
    pub evicted: u64,
    /// Entries held now.
    pub entries: u64,
    /// Space taken now, in bytes.
    pub space: u64,
    /// Space that may be taken, in bytes.
    pub space_max: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    hit_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    damaged: AtomicU64,
    evicted: AtomicU64,
}

impl Counts {
    /// Counts a lookup: the bytes of a hit, `None` for a miss.
    pub(super) fn looked_up(&self, hit_len: Option<u64>) {
        match hit_len {
            Some(len) => {
                self.hits.fetch_add(1, Relaxed);
                self.hit_bytes.fetch_add(len, Relaxed);
            }
            None => {
                self.misses.fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn fetched(&self, len: u64) {
        self.fetched_bytes.fetch_add(len, Relaxed);
    }

    pub(super) fn damaged(&self) {
        self.damaged.fetch_add(1, Relaxed);
    }

    pub(super) fn evicted(&self, count: u64) {
        self.evicted.fetch_add(count, Relaxed);
    }

    pub(super) fn tally(&self, entries: u64, space: u64, space_max: u64) -> CacheTally {
        let of = |count: &AtomicU64| count.load(Relaxed);
        CacheTally {
            hits: of(&self.hits),
            misses: of(&self.misses),
            hit_bytes: of(&self.hit_bytes),
            fetched_bytes: of(&self.fetched_bytes),
            damaged: of(&self.damaged),
            evicted: of(&self.evicted),
            entries,
            space,
            space_max,
        }
    }
}
