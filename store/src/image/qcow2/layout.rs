//! Where everything goes in a qcow2 file that is written for export.
//!
//! The file is version 3, with clusters of 64 KiB that are not compressed, and no backing file. It
//! is laid out before the first byte is written: header, reference counts, L1, L2 tables, then data
//! in guest order. So the same disk gives the same file, whichever thread writes which part first.
//!
//! # Invariants
//!
//! 1. A layout is a function of the disk's length and its data, cut at clusters.
//! 2. Memory follows the number of runs and of L2 tables, not the length of the disk.
//! 3. Each cluster of the file has exactly one owner, so each reference count is one.
//!
//! # After a crash
//!
//! A file whose writer did not finish is garbage; nothing in it says so.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::format::QCOW2_MAGIC;

const CLUSTER_BITS: u32 = 16;
const CLUSTER_LEN: u64 = 1 << CLUSTER_BITS;
const SECTOR_LEN: u64 = 512;
/// Entries of 8 bytes in one cluster: those of a table of any sort.
const TABLE_ENTRIES: u64 = CLUSTER_LEN / 8;
/// Reference counts of 16 bits in one cluster.
const COUNTS: u64 = CLUSTER_LEN / 2;
const REFCOUNT_ORDER: u32 = 4;
const HEADER_LEN: u32 = 112;
/// Marks an entry whose cluster has a reference count of one.
const COPIED: u64 = 1 << 63;
const DISK_LEN_MAX: u64 = 64 << 40;

/// Why a disk cannot be laid out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The disk is longer than Seawall reads.
    #[error("a disk of {disk_len} bytes is too long for qcow2; at most 64 TiB are written")]
    DiskTooLong {
        /// The length of the disk.
        disk_len: u64,
    },
    /// A run overlaps the one before it, or does not lie in the disk.
    #[error("data run {start}..{end} is out of order or outside of the disk")]
    RunOutOfPlace {
        /// Where the run starts.
        start: u64,
        /// Where the run ends.
        end: u64,
    },
}

/// Where guest bytes go in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostRun {
    /// The offset in the file.
    pub offset: u64,
    /// How many bytes go there side by side.
    pub len: u64,
}

/// Data that lies side by side both in the guest and in the file, in clusters.
#[derive(Clone, Copy, Debug)]
struct ClusterRun {
    guest: u64,
    count: u64,
    /// Counted from the first cluster of data in the file.
    rank: u64,
}

/// The plan of a qcow2 file; writers on many threads share it.
#[derive(Clone, Debug)]
pub struct Qcow2Layout {
    disk_len: u64,
    runs: Vec<ClusterRun>,
    /// The L1 entries that have an L2 table, ascending.
    tables: Vec<u64>,
    /// The first cluster of each part of the file.
    refcount_blocks_start: u64,
    l1_start: u64,
    tables_start: u64,
    data_start: u64,
    clusters: u64,
}

impl Qcow2Layout {
    /// Lays out a disk of `disk_len` bytes, rounded up to a sector, that holds data in these runs.
    ///
    /// Runs are sorted and do not overlap; what is outside of them reads as zeros.
    pub fn new(
        disk_len: u64,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        if disk_len > DISK_LEN_MAX {
            return Err(LayoutError::DiskTooLong { disk_len });
        }
        let runs = clusters_of(disk_len, data_runs)?;
        let tables = tables_of(&runs);
        let data = runs.last().map_or(0, |run| run.rank + run.count);

        let l1_entries = l1_entries(disk_len);
        let l1 = l1_entries.div_ceil(TABLE_ENTRIES);
        let others = 1 + l1 + count(tables.len()) + data;
        // The counts count themselves; each turn only grows, and by less than the one before.
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
            runs,
            tables,
            refcount_blocks_start,
            l1_start,
            tables_start,
            data_start,
            clusters: data_start + data,
        })
    }

    /// The length of the whole file in bytes.
    pub fn file_len(&self) -> u64 {
        self.clusters << CLUSTER_BITS
    }

    /// Where the guest's bytes from `guest_offset` go; `None` in a hole, which is not written.
    pub fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let cluster = guest_offset >> CLUSTER_BITS;
        let after = self.runs.partition_point(|run| run.guest <= cluster);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let end = (run.guest + run.count) << CLUSTER_BITS;
        let len = end.checked_sub(guest_offset).filter(|len| *len > 0)?;
        let in_run = guest_offset - (run.guest << CLUSTER_BITS);
        Some(HostRun { offset: ((self.data_start + run.rank) << CLUSTER_BITS) + in_run, len })
    }

    /// Writes all but the data into an empty file, and gives the file its full length.
    ///
    /// What of a data cluster is not written later reads as zeros, as the file is sparse there.
    pub fn write_metadata(&self, file: &File) -> io::Result<()> {
        if file.metadata()?.len() != 0 {
            let reason = "a qcow2 file is written into an empty file only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        file.set_len(self.file_len())?;
        self.write_refcounts(file)?;
        self.write_tables(file)?;
        file.write_all_at(&self.header(), 0)
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

    fn write_refcounts(&self, file: &File) -> io::Result<()> {
        let blocks = self.refcount_blocks_start..self.l1_start;
        let table: Vec<u8> =
            blocks.clone().flat_map(|block| (block << CLUSTER_BITS).to_be_bytes()).collect();
        file.write_all_at(&table, CLUSTER_LEN)?;
        let mut counted = 0;
        for block in blocks {
            let ones = COUNTS.min(self.clusters - counted);
            let bytes: Vec<u8> = (0..ones).flat_map(|_| 1u16.to_be_bytes()).collect();
            file.write_all_at(&bytes, block << CLUSTER_BITS)?;
            counted += ones;
        }
        Ok(())
    }

    fn write_tables(&self, file: &File) -> io::Result<()> {
        let mut l1 = Vec::new();
        for (cluster, index) in (self.tables_start..).zip(&self.tables) {
            // Indexes ascend, so the gap is never negative.
            let entries = count(l1.len());
            l1.extend((entries..*index).map(|_| 0));
            l1.push(COPIED | cluster << CLUSTER_BITS);
            file.write_all_at(&be_bytes(&self.table(*index)), cluster << CLUSTER_BITS)?;
        }
        file.write_all_at(&be_bytes(&l1), self.l1_start << CLUSTER_BITS)
    }

    /// The L2 table that L1 entry `index` points to.
    fn table(&self, index: u64) -> Vec<u64> {
        let clusters = index * TABLE_ENTRIES..(index + 1) * TABLE_ENTRIES;
        let mut entries = Vec::new();
        let first = self.runs.partition_point(|run| run.guest + run.count <= clusters.start);
        for run in self.runs[first..].iter().take_while(|run| run.guest < clusters.end) {
            let start = run.guest.max(clusters.start);
            let end = (run.guest + run.count).min(clusters.end);
            let gap_start = clusters.start + count(entries.len());
            entries.extend((gap_start..start).map(|_| 0));
            entries.extend((start..end).map(|cluster| {
                COPIED | (self.data_start + run.rank + cluster - run.guest) << CLUSTER_BITS
            }));
        }
        entries
    }
}

/// Cuts runs at clusters and joins those that touch.
fn clusters_of(
    disk_len: u64,
    data_runs: impl IntoIterator<Item = Range<u64>>,
) -> Result<Vec<ClusterRun>, LayoutError> {
    let mut runs: Vec<ClusterRun> = Vec::new();
    let mut last_end = 0;
    for run in data_runs {
        if run.start < last_end || run.end < run.start || run.end > disk_len {
            return Err(LayoutError::RunOutOfPlace { start: run.start, end: run.end });
        }
        last_end = run.end;
        if run.is_empty() {
            continue;
        }
        let (first, end) = (run.start >> CLUSTER_BITS, run.end.div_ceil(CLUSTER_LEN));
        match runs.last_mut() {
            Some(last) if first <= last.guest + last.count => last.count = end - last.guest,
            last => {
                let rank = last.map_or(0, |last| last.rank + last.count);
                runs.push(ClusterRun { guest: first, count: end - first, rank });
            }
        }
    }
    Ok(runs)
}

/// The L1 entries that the runs need, ascending.
fn tables_of(runs: &[ClusterRun]) -> Vec<u64> {
    let mut tables: Vec<u64> = Vec::new();
    for run in runs {
        let first = run.guest / TABLE_ENTRIES;
        let last = (run.guest + run.count - 1) / TABLE_ENTRIES;
        let new = tables.last().map_or(first, |table| first.max(table + 1));
        tables.extend(new..=last);
    }
    tables
}

fn l1_entries(disk_len: u64) -> u64 {
    disk_len.div_ceil(CLUSTER_LEN * TABLE_ENTRIES)
}

fn be_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
