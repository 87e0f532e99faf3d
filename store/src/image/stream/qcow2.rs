//! The writer of qcow2 images with compressed clusters, in one pass.
//!
//! The header's cluster comes first, then compressed clusters side by side, with each L2 table
//! after the clusters that it lists; L1 and the reference counts come last. The header is written
//! at the very end: an unfinished file has no magic number.

use std::fs::File;
use std::os::unix::fs::FileExt;

use libdeflater::{CompressionLvl, Compressor};
use zstd_safe::CCtx;

use super::pipeline::{self, Compress, Span};
use super::{Disk, StreamError};
use crate::image::layout::{Clusters, LayoutError};

const CLUSTER_BITS: u32 = 16;
const CLUSTER_LEN: u64 = 1 << CLUSTER_BITS;
const SECTOR_LEN: u64 = 512;
const TABLE_ENTRIES: u64 = CLUSTER_LEN / 8;
const COUNTS: u64 = CLUSTER_LEN / 2;
const DISK_LEN_MAX: u64 = 64 << 40;
const REFCOUNT_ORDER: u32 = 4;
const HEADER_LEN: u32 = 112;
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// The shift of the number of further sectors in the entry of a compressed cluster.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);
const FEATURE_COMPRESSION: u64 = 1 << 3;
/// The compression level (docs/adr/0004 has measurements).
const ZSTD_LEVEL: i32 = 1;

/// The compression of clusters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// Deflate, which every release of QEMU reads.
    Deflate,
    /// Zstandard, which is faster and smaller, and read by QEMU 5.1 and later.
    Zstd,
}

pub(super) fn write(
    disk: &Disk<'_>,
    compression: Compression,
    file: &File,
) -> Result<u64, StreamError> {
    let disk_len = disk.image.disk_len();
    if disk_len > DISK_LEN_MAX {
        let disk_len_max = DISK_LEN_MAX;
        return Err(LayoutError::DiskTooLong { disk_len, format: "qcow2", disk_len_max }.into());
    }
    let clusters = Clusters::of(CLUSTER_BITS, disk_len, disk.data_runs.iter().cloned())?;
    let l1_entries = disk_len.div_ceil(CLUSTER_LEN * TABLE_ENTRIES);
    let mut writer = Writer {
        file,
        len: CLUSTER_LEN,
        counts: vec![1],
        l1: vec![0; usize::try_from(l1_entries).unwrap_or(0)],
        table: vec![0; usize::try_from(TABLE_ENTRIES).unwrap_or(0)],
        table_index: 0,
    };
    let compressor = || compressor(compression);
    pipeline::run(disk, &clusters, CLUSTER_LEN, &compressor, &mut |span| writer.span(&span))?;
    writer.finish(disk_len.next_multiple_of(SECTOR_LEN), compression)
}

/// Returns a compressor, which appends the compressed cluster, or the plain one if that is not
/// longer.
fn compressor(compression: Compression) -> Result<Box<Compress<'static>>, StreamError> {
    let failed = |error: &dyn std::fmt::Display| StreamError::Compress(error.to_string());
    Ok(match compression {
        Compression::Deflate => {
            let mut deflate = Compressor::new(CompressionLvl::default());
            Box::new(move |_, plain, out| {
                let start = out.len();
                // One byte less than the cluster: a stream that does not fit is not worth it.
                out.resize(start + plain.len() - 1, 0);
                match deflate.deflate_compress(plain, &mut out[start..]) {
                    Ok(len) => out.truncate(start + len),
                    Err(_) => stored(out, start, plain),
                }
                Ok(())
            })
        }
        Compression::Zstd => {
            let mut context = CCtx::try_create().ok_or_else(|| failed(&"out of memory"))?;
            Box::new(move |_, plain, out| {
                let start = out.len();
                out.resize(start + zstd_safe::compress_bound(plain.len()), 0);
                let len = context
                    .compress(&mut out[start..], plain, ZSTD_LEVEL)
                    .map_err(|code| failed(&zstd_safe::get_error_name(code)))?;
                out.truncate(start + len);
                if len >= plain.len() {
                    stored(out, start, plain);
                }
                Ok(())
            })
        }
    })
}

fn stored(out: &mut Vec<u8>, start: usize, plain: &[u8]) {
    out.truncate(start);
    out.extend_from_slice(plain);
}

struct Writer<'a> {
    file: &'a File,
    /// The length of the file so far, at which the next cluster goes.
    len: u64,
    /// The reference count of each cluster of the file.
    counts: Vec<u16>,
    l1: Vec<u64>,
    /// The L2 table of the clusters being written.
    table: Vec<u64>,
    table_index: u64,
}

impl Writer<'_> {
    fn span(&mut self, span: &Span) -> Result<(), StreamError> {
        // Bytes to be written at once, and their offset.
        let (mut pending, mut pending_at) = (Vec::with_capacity(span.bytes.len()), self.len);
        for (cluster, bytes) in span.clusters() {
            let is_stored = bytes.len() as u64 == CLUSTER_LEN;
            if cluster / TABLE_ENTRIES != self.table_index {
                self.put(&pending, pending_at)?;
                self.end_table()?;
                self.table_index = cluster / TABLE_ENTRIES;
                (pending, pending_at) = (Vec::new(), self.len);
            }
            if is_stored {
                let at = self.len.next_multiple_of(CLUSTER_LEN);
                pending.resize(pending.len() + usize::try_from(at - self.len).unwrap_or(0), 0);
                self.len = at;
            }
            let entry = usize::try_from(cluster % TABLE_ENTRIES).unwrap_or(0);
            self.table[entry] =
                if is_stored { self.count_stored() } else { self.count_packed(bytes) };
            pending.extend_from_slice(bytes);
            self.len += bytes.len() as u64;
        }
        self.put(&pending, pending_at)
    }

    /// Counts the plain cluster at the end of the file, and returns its L2 entry.
    fn count_stored(&mut self) -> u64 {
        self.count(self.len..self.len + CLUSTER_LEN);
        COPIED | self.len
    }

    /// Counts the compressed cluster at the end of the file, and returns its L2 entry.
    fn count_packed(&mut self, bytes: &[u8]) -> u64 {
        let last = self.len + bytes.len() as u64 - 1;
        let sectors = last / SECTOR_LEN - self.len / SECTOR_LEN;
        // The cluster refers to whole sectors, to the end of the last one.
        self.count(self.len..(last / SECTOR_LEN + 1) * SECTOR_LEN);
        COMPRESSED | sectors << SECTORS_SHIFT | self.len
    }

    fn count(&mut self, range: std::ops::Range<u64>) {
        let index = |at: u64| usize::try_from(at >> CLUSTER_BITS).unwrap_or(usize::MAX);
        let (first, last) = (index(range.start), index(range.end - 1));
        if self.counts.len() <= last {
            self.counts.resize(last + 1, 0);
        }
        for count in &mut self.counts[first..=last] {
            // Compressed clusters have several bytes each, so far fewer than 2^16 share one
            // cluster.
            *count = count.saturating_add(1);
        }
    }

    /// Writes the L2 table of the clusters so far, if there are any.
    fn end_table(&mut self) -> Result<(), StreamError> {
        if self.table.iter().all(|entry| *entry == 0) {
            return Ok(());
        }
        let bytes = be_bytes(&self.table);
        let at = self.put_clusters(&bytes)?;
        let index = usize::try_from(self.table_index).unwrap_or(usize::MAX);
        self.l1[index] = COPIED | at;
        self.table.fill(0);
        Ok(())
    }

    fn finish(mut self, disk_len: u64, compression: Compression) -> Result<u64, StreamError> {
        self.end_table()?;
        let l1 = be_bytes(&self.l1);
        let l1_at = self.put_clusters(&l1)?;
        self.len = self.len.next_multiple_of(CLUSTER_LEN);

        // Reference counts cover their own clusters. Each iteration only grows, by less than the
        // one before.
        let others = self.len / CLUSTER_LEN;
        let (mut table, mut blocks) = (1, 1);
        loop {
            let needed = (others + table + blocks).div_ceil(COUNTS);
            let pair = (needed.div_ceil(TABLE_ENTRIES), needed);
            if pair == (table, blocks) {
                break;
            }
            (table, blocks) = pair;
        }
        let (table_at, blocks_at) = (self.len, self.len + table * CLUSTER_LEN);
        let end = blocks_at + blocks * CLUSTER_LEN;
        self.count(table_at..end);
        let pointers: Vec<u64> = (0..blocks).map(|it| blocks_at + it * CLUSTER_LEN).collect();
        self.put(&be_bytes(&pointers), table_at)?;
        for (block, counts) in (0..).zip(self.counts.chunks(usize::try_from(COUNTS).unwrap_or(1))) {
            let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            self.put(&bytes, blocks_at + block * CLUSTER_LEN)?;
        }
        self.file.set_len(end).map_err(StreamError::Write)?;
        let header = self.header(disk_len, l1_at, (table_at, table), compression);
        self.put(&header, 0)?;
        Ok(end)
    }

    fn header(
        &self,
        disk_len: u64,
        l1_at: u64,
        counts: (u64, u64),
        compression: Compression,
    ) -> Vec<u8> {
        let (features, kind) = match compression {
            Compression::Deflate => (0, 0),
            Compression::Zstd => (FEATURE_COMPRESSION, 1),
        };
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
        let mut header = Vec::with_capacity(128);
        header.extend(b"QFI\xfb");
        header.extend(3u32.to_be_bytes());
        header.extend([0; 12]); // no backing file
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(disk_len.to_be_bytes());
        header.extend(0u32.to_be_bytes()); // not encrypted
        header.extend(word(self.l1.len() as u64));
        header.extend(l1_at.to_be_bytes());
        header.extend(counts.0.to_be_bytes());
        header.extend(word(counts.1));
        header.extend([0; 12]); // no snapshots
        header.extend(u64::to_be_bytes(features));
        header.extend([0; 16]); // no compatible and no auto-clear features
        header.extend(REFCOUNT_ORDER.to_be_bytes());
        header.extend(HEADER_LEN.to_be_bytes());
        header.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        header.extend([0; 8]); // the end of the header extensions
        header
    }

    /// Writes a table at the next cluster boundary, and returns its offset.
    fn put_clusters(&mut self, bytes: &[u8]) -> Result<u64, StreamError> {
        let at = self.len.next_multiple_of(CLUSTER_LEN);
        let end = at + (bytes.len() as u64).next_multiple_of(CLUSTER_LEN);
        if end > at {
            self.count(at..end);
        }
        self.put(bytes, at)?;
        self.len = end;
        Ok(at)
    }

    fn put(&self, bytes: &[u8], at: u64) -> Result<(), StreamError> {
        self.file.write_all_at(bytes, at).map_err(StreamError::Write)
    }
}

fn be_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
