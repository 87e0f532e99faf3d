//! The layout of a VMDK of the kind `monolithicSparse`: header, descriptor, the redundant directory
//! with its tables, the directory with its tables, then grains in guest order.
//!
//! # Invariants
//!
//! 1. Every table has its place, as in files of VMware and QEMU, which write into them. Tables
//!    without data are holes of the file.

pub(in super::super) mod head;

use std::iter;
use std::ops::Range;

use seawall_api::digest::ContentDigest;

use super::{Clusters, HostRun, Layout, LayoutError, Part, Placement, Units};
use head::{
    DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS, DISK_LEN_MAX, GRAIN_LEN, GRAIN_SECTORS, Head,
    SECTOR_LEN, TABLE_ENTRIES, TABLE_LEN, descriptor,
};

const GRAIN_BITS: u32 = 16;
/// Flags: line-end check, redundant directory.
const FLAGS: u32 = 3;

/// The plan of a VMDK file.
#[derive(Clone, Debug)]
pub struct VmdkLayout {
    disk_len: u64,
    content: ContentDigest,
    data: Clusters,
    tables: u64,
    /// Length of one directory in sectors.
    directory_sectors: u64,
    grains_start: u64,
}

impl VmdkLayout {
    /// Lays out a disk of `disk_len` bytes, rounded up to a sector, with data in these runs.
    ///
    /// Runs are sorted and do not overlap; everything else reads as zeros.
    pub fn new(
        disk_len: u64,
        content: &ContentDigest,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        if disk_len > DISK_LEN_MAX {
            let disk_len_max = DISK_LEN_MAX;
            return Err(LayoutError::DiskTooLong { disk_len, format: "vmdk", disk_len_max });
        }
        let data = Clusters::of(GRAIN_BITS, disk_len, data_runs)?;
        let tables = disk_len.div_ceil(GRAIN_LEN * TABLE_ENTRIES);
        let directory_sectors = (tables * 4).div_ceil(SECTOR_LEN);
        let metadata = 2 * (directory_sectors * SECTOR_LEN + tables * TABLE_LEN);
        let head = (DESCRIPTOR_SECTOR + DESCRIPTOR_SECTORS) * SECTOR_LEN;
        Ok(Self {
            disk_len: disk_len.next_multiple_of(SECTOR_LEN),
            content: *content,
            data,
            tables,
            directory_sectors,
            grains_start: (head + metadata).next_multiple_of(GRAIN_LEN),
        })
    }

    fn redundant(&self) -> u64 {
        DESCRIPTOR_SECTOR + DESCRIPTOR_SECTORS
    }

    fn directory(&self) -> u64 {
        self.redundant() + self.directory_sectors + self.tables * TABLE_LEN / SECTOR_LEN
    }

    fn head(&self) -> Vec<u8> {
        let sectors = self.disk_len / SECTOR_LEN;
        let head = Head {
            version: 1,
            flags: FLAGS,
            sectors,
            redundant: self.redundant(),
            directory: self.directory(),
            grains: self.grains_start / SECTOR_LEN,
            compression: 0,
        };
        [head.bytes(), descriptor("monolithicSparse", sectors, &self.content)].concat()
    }

    /// Returns the directory at `sector`, and the tables after it.
    fn directory_and_tables(&self, sector: u64) -> impl Iterator<Item = Part> + Send + '_ {
        let tables_start = sector + self.directory_sectors;
        let directory = move || {
            let entries =
                (0..self.tables).map(|table| tables_start + table * TABLE_LEN / SECTOR_LEN);
            let mut bytes: Vec<u8> = entries.flat_map(le32).collect();
            let len = usize::try_from(self.directory_sectors * SECTOR_LEN).unwrap_or(0);
            bytes.resize(len, 0);
            Part::Bytes(bytes)
        };
        iter::once_with(directory).chain((0..self.tables).map(|table| self.table(table)))
    }

    fn table(&self, table: u64) -> Part {
        let grains = table * TABLE_ENTRIES..(table + 1) * TABLE_ENTRIES;
        let mut entries: Vec<u64> = Vec::new();
        for run in self.data.within(grains.clone()) {
            let gap = usize::try_from(run.guest - grains.start).unwrap_or(usize::MAX);
            entries.resize(gap, 0);
            let first = self.grains_start / SECTOR_LEN + run.rank * GRAIN_SECTORS;
            entries.extend((0..run.count).map(|grain| first + grain * GRAIN_SECTORS));
        }
        if entries.is_empty() {
            return Part::Zeros(TABLE_LEN);
        }
        let mut bytes: Vec<u8> = entries.into_iter().flat_map(le32).collect();
        bytes.resize(usize::try_from(TABLE_LEN).unwrap_or(0), 0);
        Part::Bytes(bytes)
    }
}

impl Layout for VmdkLayout {
    fn file_len(&self) -> u64 {
        self.grains_start + self.data.count() * GRAIN_LEN
    }

    fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let run = self.data.host_offset(guest_offset)?;
        Some(HostRun { offset: self.grains_start + run.offset, ..run })
    }

    fn placement(&self) -> Placement {
        let units = Units { bits: GRAIN_BITS, stride: GRAIN_LEN };
        Placement { start: self.grains_start, units: Some(units) }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let tables = self.tables * TABLE_LEN;
        let metadata_end = (self.directory() + self.directory_sectors) * SECTOR_LEN + tables;
        let metadata = iter::once_with(|| Part::Bytes(self.head()))
            .chain(self.directory_and_tables(self.redundant()))
            .chain(self.directory_and_tables(self.directory()))
            .chain(iter::once(Part::Zeros(self.grains_start - metadata_end)));
        let guest = self.data.runs().iter().flat_map(|run| {
            let end = run.end() * GRAIN_LEN;
            let guest = run.guest * GRAIN_LEN..end.min(self.disk_len);
            let past = end - guest.end;
            [Part::Guest(guest), Part::Zeros(past)]
        });
        Box::new(metadata.chain(guest).filter(|part| part.part_len() > 0))
    }
}

/// Encodes a sector number in 32 bits. All fit, as the disk is at most [`DISK_LEN_MAX`] long.
fn le32(sector: u64) -> [u8; 4] {
    u32::try_from(sector).unwrap_or(u32::MAX).to_le_bytes()
}
