//! The layout of a VHD file. A fixed VHD is the disk and a footer; a dynamic one has a table,
//! blocks of 2 MiB and a footer.
//!
//! # Invariants
//!
//! 1. The disk keeps its exact length. The geometry is the maximum, so that QEMU, which may
//!    otherwise derive the disk's length from it, reads the length; XenServer, Hyper-V and Azure
//!    always do.
//! 2. The data of each block starts at a multiple of 4 KiB, as in files of XenServer, so that
//!    writes of a guest with 4 KiB sectors do not cross two sectors of the host.

use std::iter;
use std::ops::Range;

use seawall_api::digest::ContentDigest;

use super::super::formats::vhd::footer::{
    CHECKSUM_AT, COOKIE, DISK_LEN_MAX, FOOTER_LEN, GEOMETRY_MAX, SECTOR_LEN, checksum,
};
use super::super::formats::vhd::header::{HEADER_CHECKSUM_AT, HEADER_COOKIE, HEADER_LEN};
use super::super::formats::vhd::{UNUSED, bitmap_len};
use super::{Clusters, HostRun, Layout, LayoutError, Part, Placement, RawLayout, Units, identity};

/// The block length of all writers of VHD, as a power of two; Azure and XenServer refuse others.
const BLOCK_BITS: u32 = 21;
const BLOCK_LEN: u64 = 1 << BLOCK_BITS;
const PAGE_LEN: u64 = 4096;
/// The distance from one block to the next, in bytes: a page that ends with the bitmap, then the
/// data.
const STRIDE: u64 = PAGE_LEN + BLOCK_LEN;
const HEADER_AT: u64 = FOOTER_LEN;
const TABLE_AT: u64 = HEADER_AT + 1024;
const MIB: u64 = 1 << 20;
/// The creator that QEMU writes if the length is exact. With any other name, releases before 10.0
/// would use the geometry.
const CREATOR: [u8; 4] = *b"qem2";
const HOST_OS: [u8; 4] = *b"Wi2k";

/// The kind of a VHD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VhdKind {
    /// The disk and a footer.
    Fixed,
    /// The blocks with data, and a table of them.
    Dynamic,
}

/// The rounding of the disk's length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Round {
    /// No rounding.
    #[default]
    Exact,
    /// Up to a multiple of 1 MiB, as Azure demands.
    UpToMib,
}

impl Round {
    /// Returns the rounded length of a disk of `disk_len` bytes; `None` on overflow.
    #[must_use]
    pub const fn up(self, disk_len: u64) -> Option<u64> {
        match self {
            Self::Exact => Some(disk_len),
            Self::UpToMib => disk_len.checked_next_multiple_of(MIB),
        }
    }
}

/// The plan of a VHD file.
#[derive(Clone, Debug)]
pub struct VhdLayout {
    kind: VhdKind,
    /// Length of the disk before rounding, in bytes.
    guest_len: u64,
    disk_len: u64,
    id: [u8; 16],
    /// The data of a fixed VHD.
    raw: RawLayout,
    /// The data of a dynamic VHD.
    blocks: Clusters,
}

impl VhdLayout {
    /// Lays out a disk of `disk_len` bytes with this content, and data in these runs.
    ///
    /// Runs are sorted and do not overlap; everything else reads as zeros.
    pub fn new(
        kind: VhdKind,
        round: Round,
        disk_len: u64,
        content: &ContentDigest,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        let guest_len = disk_len;
        let too_long = || LayoutError::DiskTooLong {
            disk_len: guest_len,
            format: "VHD",
            disk_len_max: DISK_LEN_MAX,
        };
        let disk_len = round.up(disk_len).ok_or_else(too_long)?;
        if disk_len > DISK_LEN_MAX {
            return Err(too_long());
        }
        if !disk_len.is_multiple_of(SECTOR_LEN) {
            return Err(LayoutError::NotSectors {
                disk_len,
                format: "VHD",
                sector_len: SECTOR_LEN,
            });
        }
        let (context, raw, blocks) = match kind {
            VhdKind::Fixed => {
                let raw = RawLayout::new(guest_len, data_runs)?;
                ("seawall 2026 VHD fixed", raw, Clusters::of(BLOCK_BITS, guest_len, [])?)
            }
            VhdKind::Dynamic => {
                let blocks = Clusters::of(BLOCK_BITS, guest_len, data_runs)?;
                ("seawall 2026 VHD dynamic", RawLayout::new(guest_len, [])?, blocks)
            }
        };
        let id = identity::with_version(identity::derive(context, disk_len, content), 6);
        Ok(Self { kind, guest_len, disk_len, id, raw, blocks })
    }

    fn footer(&self) -> Vec<u8> {
        let (disk_type, header_at) = match self.kind {
            VhdKind::Fixed => (2u32, u64::MAX),
            VhdKind::Dynamic => (3, HEADER_AT),
        };
        let (cylinders, heads, sectors) = GEOMETRY_MAX;
        let mut footer = Vec::with_capacity(512);
        footer.extend(COOKIE);
        footer.extend(2u32.to_be_bytes()); // features: a bit that is always set
        footer.extend(0x0001_0000u32.to_be_bytes()); // version
        footer.extend(header_at.to_be_bytes());
        footer.extend(0u32.to_be_bytes()); // time: 2000-01-01, so that a disk has one file
        footer.extend(CREATOR);
        footer.extend(0x0001_0000u32.to_be_bytes()); // version of the creator
        footer.extend(HOST_OS);
        footer.extend(self.disk_len.to_be_bytes()); // when it was made
        footer.extend(self.disk_len.to_be_bytes()); // now
        footer.extend(cylinders.to_be_bytes());
        footer.extend([heads, sectors]);
        footer.extend(disk_type.to_be_bytes());
        footer.extend([0; 4]); // the checksum
        footer.extend(self.id);
        sealed(footer, 512, CHECKSUM_AT)
    }

    fn header(&self) -> Vec<u8> {
        // At most 2040 GiB in blocks of 2 MiB.
        let entries = u32::try_from(self.entries()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend(HEADER_COOKIE);
        header.extend(u64::MAX.to_be_bytes()); // no further header
        header.extend(TABLE_AT.to_be_bytes());
        header.extend(0x0001_0000u32.to_be_bytes()); // version
        header.extend(entries.to_be_bytes());
        header.extend((1u32 << BLOCK_BITS).to_be_bytes());
        sealed(header, HEADER_LEN, HEADER_CHECKSUM_AT)
    }

    fn entries(&self) -> u64 {
        self.disk_len.div_ceil(BLOCK_LEN)
    }

    fn table_end(&self) -> u64 {
        TABLE_AT + (self.entries() * 4).next_multiple_of(SECTOR_LEN)
    }

    /// Returns the offset of the bitmap of the `rank`-th block in the file.
    fn bitmap_at(&self, rank: u64) -> u64 {
        let bitmap_len = bitmap_len(BLOCK_LEN);
        (self.table_end() + bitmap_len).next_multiple_of(PAGE_LEN) - bitmap_len + rank * STRIDE
    }

    fn table(&self) -> Vec<u8> {
        let mut table = Vec::new();
        let mut next = 0;
        let unused = |count| iter::repeat_n(UNUSED, usize::try_from(count).unwrap_or(0));
        for run in self.blocks.runs() {
            table.extend(unused(run.guest - next));
            // A file with 2040 GiB of blocks has fewer than 2^32 sectors.
            let sectors = (run.rank..run.rank + run.count)
                .map(|rank| u32::try_from(self.bitmap_at(rank) / SECTOR_LEN).unwrap_or(UNUSED));
            table.extend(sectors);
            next = run.end();
        }
        table.extend(unused((self.table_end() - TABLE_AT) / 4 - next));
        table.into_iter().flat_map(u32::to_be_bytes).collect()
    }

    /// Returns the parts of each block with data: the gap before, the bitmap, the guest's bytes,
    /// the rest.
    fn block_parts(&self) -> impl Iterator<Item = Part> + Send + '_ {
        let blocks = self
            .blocks
            .runs()
            .iter()
            .flat_map(|run| (0..run.count).map(|i| (run.guest + i, run.rank + i)));
        blocks.flat_map(|(block, rank)| {
            let before = match rank.checked_sub(1) {
                None => self.bitmap_at(0) - self.table_end(),
                Some(last) => self.bitmap_at(rank) - self.bitmap_at(last) - SECTOR_LEN - BLOCK_LEN,
            };
            let start = block << BLOCK_BITS;
            let guest = start..(start + BLOCK_LEN).min(self.guest_len);
            let past = BLOCK_LEN - (guest.end - start);
            let bitmap = Part::Bytes(vec![0xff; 512]);
            [Part::Zeros(before), bitmap, Part::Guest(guest), Part::Zeros(past)]
        })
    }
}

impl Layout for VhdLayout {
    fn file_len(&self) -> u64 {
        let end = match (self.kind, self.blocks.count().checked_sub(1)) {
            (VhdKind::Fixed, _) => self.disk_len,
            (VhdKind::Dynamic, None) => self.table_end(),
            (VhdKind::Dynamic, Some(last)) => self.bitmap_at(last) + SECTOR_LEN + BLOCK_LEN,
        };
        end + FOOTER_LEN
    }

    fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        if self.kind == VhdKind::Fixed {
            return self.raw.host_offset(guest_offset);
        }
        let (block, in_block) = (guest_offset >> BLOCK_BITS, guest_offset % BLOCK_LEN);
        let run = self.blocks.within(block..block + 1).next()?;
        let offset = self.bitmap_at(run.rank) + bitmap_len(BLOCK_LEN) + in_block;
        Some(HostRun { offset, len: BLOCK_LEN - in_block })
    }

    fn placement(&self) -> Placement {
        match self.kind {
            VhdKind::Fixed => self.raw.placement(),
            VhdKind::Dynamic => Placement {
                start: self.bitmap_at(0) + bitmap_len(BLOCK_LEN),
                units: Some(Units { bits: BLOCK_BITS, stride: STRIDE }),
            },
        }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let footer = iter::once_with(|| Part::Bytes(self.footer()));
        if self.kind == VhdKind::Fixed {
            let past = Part::Zeros(self.disk_len - self.guest_len);
            let parts = self.raw.parts().chain([past]).chain(footer);
            return Box::new(parts.filter(|part| part.part_len() > 0));
        }
        let tables = iter::once_with(|| Part::Bytes(self.footer()))
            .chain(iter::once_with(|| Part::Bytes(self.header())))
            .chain(iter::once_with(|| Part::Bytes(self.table())));
        let parts = tables.chain(self.block_parts()).chain(footer);
        Box::new(parts.filter(|part| part.part_len() > 0))
    }
}

/// Pads a structure with zeros to its length, and sets its checksum.
fn sealed(mut bytes: Vec<u8>, len: usize, checksum_at: usize) -> Vec<u8> {
    bytes.resize(len, 0);
    let checksum = checksum(&bytes, checksum_at);
    bytes[checksum_at..checksum_at + 4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}
