//! The layout of a qcow2 file: version 3, uncompressed clusters of 64 KiB, no backing file. The
//! order is: header, reference counts, L1, L2 tables, data in guest order.
//!
//! # Invariants
//!
//! 1. Each cluster of the file has exactly one owner, so each reference count is one.

use std::iter;
use std::ops::Range;

use super::super::format::QCOW2_MAGIC;
use super::{Clusters, HostRun, Layout, LayoutError, Part, Placement, Units};

const CLUSTER_BITS: u32 = 16;
const CLUSTER_LEN: u64 = 1 << CLUSTER_BITS;
const SECTOR_LEN: u64 = 512;
/// Number of entries of 8 bytes in a cluster of any table.
const TABLE_ENTRIES: u64 = CLUSTER_LEN / 8;
/// Number of reference counts of 16 bits in a cluster.
const COUNTS: u64 = CLUSTER_LEN / 2;
const REFCOUNT_ORDER: u32 = 4;
const HEADER_LEN: u32 = 112;
/// Marks an entry whose cluster has a reference count of one.
const COPIED: u64 = 1 << 63;
const DISK_LEN_MAX: u64 = 64 << 40;

/// The plan of a qcow2 file.
#[derive(Clone, Debug)]
pub struct Qcow2Layout {
    disk_len: u64,
    data: Clusters,
    /// The indexes of L1 entries with an L2 table, ascending.
    tables: Vec<u64>,
    /// The first cluster of each part of the file.
    refcount_blocks_start: u64,
    l1_start: u64,
    tables_start: u64,
    data_start: u64,
    clusters: u64,
}

impl Qcow2Layout {
    /// Lays out a disk of `disk_len` bytes, rounded up to a sector, with data in these runs.
    ///
    /// Runs are sorted and do not overlap; everything else reads as zeros.
    pub fn new(
        disk_len: u64,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        if disk_len > DISK_LEN_MAX {
            let disk_len_max = DISK_LEN_MAX;
            return Err(LayoutError::DiskTooLong { disk_len, format: "qcow2", disk_len_max });
        }
        let data = Clusters::of(CLUSTER_BITS, disk_len, data_runs)?;
        let tables = tables_of(&data);

        let l1_entries = l1_entries(disk_len);
        let l1 = l1_entries.div_ceil(TABLE_ENTRIES);
        let others = 1 + l1 + count(tables.len()) + data.count();
        // Reference counts cover their own clusters. Each iteration only grows, by less than the
        // one before.
        let (mut refcount_table, mut refcount_blocks) = (1, 1);
        loop {
            let blocks = (others + refcount_table + refcount_blocks).div_ceil(COUNTS);
            let table = blocks.div_ceil(TABLE_ENTRIES);
            if (table, blocks) == (refcount_table, refcount_blocks) {
                break;
            }
            (refcount_table, refcount_blocks) = (table, blocks);
        }

        let refcount_blocks_start = 1 + refcount_table;
        let l1_start = refcount_blocks_start + refcount_blocks;
        let tables_start = l1_start + l1;
        let data_start = tables_start + count(tables.len());
        Ok(Self {
            disk_len: disk_len.next_multiple_of(SECTOR_LEN),
            clusters: data_start + data.count(),
            data,
            tables,
            refcount_blocks_start,
            l1_start,
            tables_start,
            data_start,
        })
    }

    fn header(&self) -> Vec<u8> {
        let refcount_table = u32::try_from(self.refcount_blocks_start - 1).unwrap_or(u32::MAX);
        let l1_entries = u32::try_from(l1_entries(self.disk_len)).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(128);
        header.extend(QCOW2_MAGIC);
        header.extend(3u32.to_be_bytes());
        header.extend([0; 12]); // no backing file
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.disk_len.to_be_bytes());
        header.extend(0u32.to_be_bytes()); // not encrypted
        header.extend(l1_entries.to_be_bytes());
        header.extend((self.l1_start << CLUSTER_BITS).to_be_bytes());
        header.extend(CLUSTER_LEN.to_be_bytes()); // the reference count table follows the header
        header.extend(refcount_table.to_be_bytes());
        header.extend([0; 12]); // no snapshots
        header.extend([0; 24]); // no features
        header.extend(REFCOUNT_ORDER.to_be_bytes());
        header.extend(HEADER_LEN.to_be_bytes());
        header.extend([0; 8]); // compression type: deflate, though nothing is compressed
        header.extend([0; 8]); // the end of the header extensions
        header
    }

    /// Returns a table with pointers to these clusters of the file, padded to whole clusters.
    fn pointers(clusters: Range<u64>) -> Vec<u8> {
        padded(clusters.flat_map(|cluster| (cluster << CLUSTER_BITS).to_be_bytes()).collect())
    }

    fn refcount_blocks(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..self.l1_start - self.refcount_blocks_start).map(|block| {
            let ones = COUNTS.min(self.clusters.saturating_sub(block * COUNTS));
            padded((0..ones).flat_map(|_| 1u16.to_be_bytes()).collect())
        })
    }

    fn l1(&self) -> Vec<u8> {
        let mut l1 = Vec::new();
        for (cluster, index) in (self.tables_start..).zip(&self.tables) {
            // Indexes ascend, so the gap is never negative.
            let entries = count(l1.len());
            l1.extend((entries..*index).map(|_| 0));
            l1.push(COPIED | cluster << CLUSTER_BITS);
        }
        let mut bytes = be_bytes(&l1);
        let l1_clusters = self.tables_start - self.l1_start;
        bytes.resize(usize::try_from(l1_clusters << CLUSTER_BITS).unwrap_or(usize::MAX), 0);
        bytes
    }

    /// Returns the L2 table of L1 entry `index`.
    fn table(&self, index: u64) -> Vec<u64> {
        let clusters = index * TABLE_ENTRIES..(index + 1) * TABLE_ENTRIES;
        let mut entries = Vec::new();
        for run in self.data.within(clusters.clone()) {
            let gap_start = clusters.start + count(entries.len());
            entries.extend((gap_start..run.guest).map(|_| 0));
            let host = self.data_start + run.rank;
            entries.extend((host..host + run.count).map(|host| COPIED | host << CLUSTER_BITS));
        }
        entries
    }
}

impl Layout for Qcow2Layout {
    fn file_len(&self) -> u64 {
        self.clusters << CLUSTER_BITS
    }

    fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let run = self.data.host_offset(guest_offset)?;
        Some(HostRun { offset: (self.data_start << CLUSTER_BITS) + run.offset, ..run })
    }

    fn placement(&self) -> Placement {
        let units = Units { bits: CLUSTER_BITS, stride: CLUSTER_LEN };
        Placement { start: self.data_start << CLUSTER_BITS, units: Some(units) }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let tables = self.tables.iter().map(|index| padded(be_bytes(&self.table(*index))));
        let metadata = iter::once_with(|| padded(self.header()))
            .chain(iter::once_with(|| Self::pointers(self.refcount_blocks_start..self.l1_start)))
            .chain(self.refcount_blocks())
            .chain(iter::once_with(|| self.l1()))
            .chain(tables);
        let disk_len = self.disk_len;
        let guest = self.data.runs().iter().flat_map(move |run| {
            let end = run.end() << CLUSTER_BITS;
            let guest = run.guest << CLUSTER_BITS..end.min(disk_len);
            let past = end - guest.end;
            iter::once(Part::Guest(guest)).chain((past > 0).then_some(Part::Zeros(past)))
        });
        Box::new(metadata.map(Part::Bytes).chain(guest))
    }
}

/// Returns the indexes of the L1 entries that the runs need, ascending.
fn tables_of(data: &Clusters) -> Vec<u64> {
    let mut tables: Vec<u64> = Vec::new();
    for run in data.runs() {
        let first = run.guest / TABLE_ENTRIES;
        let last = (run.end() - 1) / TABLE_ENTRIES;
        let new = tables.last().map_or(first, |table| first.max(table + 1));
        tables.extend(new..=last);
    }
    tables
}

fn l1_entries(disk_len: u64) -> u64 {
    disk_len.div_ceil(CLUSTER_LEN * TABLE_ENTRIES)
}

/// Pads to the end of the last cluster.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(1 << CLUSTER_BITS), 0);
    bytes
}

fn be_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
