//! The layout of a VHDX file: headers, an empty log, metadata, the block table, then blocks in
//! guest order.
//!
//! Blocks have 1 MiB, the minimum: space is allocated in blocks, and Linux guests write small
//! scattered areas, for which Microsoft, too, advises 1 MiB. A disk that would need more than
//! [`BLOCKS_MAX`] blocks has larger ones.
//!
//! # Invariants
//!
//! 1. Blocks of the file adjoin, so data contiguous in the guest is contiguous in the file.

use std::iter;
use std::ops::Range;

use seawall_api::digest::ContentDigest;

use super::super::formats::vhdx::crc32c;
use super::super::formats::vhdx::guid;
use super::super::formats::vhdx::header::{
    HEADER_LEN, HEADERS_AT, MAGIC, MIB, REGIONS_AT, REGIONS_LEN,
};
use super::super::formats::vhdx::metadata::{DISK_LEN_MAX, TABLE_LEN};
use super::{Clusters, HostRun, Layout, LayoutError, Part, Placement, RawLayout, Units, identity};

/// Maximum number of blocks, for a table of 16 MiB: a disk of 64 TiB has blocks of 32 MiB, as in
/// files of Hyper-V.
const BLOCKS_MAX: u64 = 1 << 21;
const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const BAT_AT: u64 = 3 * MIB;
const PHYSICAL_SECTOR_LEN: u32 = 4096;
const FULLY_PRESENT: u64 = 6;
const LEAVE_BLOCKS_ALLOCATED: u32 = 1;

/// The kind of a VHDX.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VhdxKind {
    /// Every block, in guest order.
    Fixed,
    /// The blocks with data.
    Dynamic,
}

/// The logical sectors that the guest sees. Physical sectors have 4 KiB in both cases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VhdxSectors {
    /// 512 bytes (512e). QEMU reads nothing else.
    Emulated512,
    /// 4 KiB.
    Native4k,
}

impl VhdxSectors {
    fn bytes(self) -> u32 {
        match self {
            Self::Emulated512 => 512,
            Self::Native4k => 4096,
        }
    }
}

/// The plan of a VHDX file.
#[derive(Clone, Debug)]
pub struct VhdxLayout {
    kind: VhdxKind,
    sectors: VhdxSectors,
    disk_len: u64,
    block_bits: u32,
    /// File, data and disk identifiers.
    ids: [[u8; 16]; 3],
    /// The data of a fixed VHDX.
    raw: RawLayout,
    /// The data of a dynamic VHDX.
    blocks: Clusters,
}

impl VhdxLayout {
    /// Lays out a disk of `disk_len` bytes with this content, and data in these runs.
    ///
    /// Runs are sorted and do not overlap; everything else reads as zeros.
    pub fn new(
        kind: VhdxKind,
        sectors: VhdxSectors,
        disk_len: u64,
        content: &ContentDigest,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        let format = "VHDX";
        if disk_len > DISK_LEN_MAX {
            return Err(LayoutError::DiskTooLong { disk_len, format, disk_len_max: DISK_LEN_MAX });
        }
        let sector_len = u64::from(sectors.bytes());
        if !disk_len.is_multiple_of(sector_len) {
            return Err(LayoutError::NotSectors { disk_len, format, sector_len });
        }
        let per_block = disk_len.div_ceil(BLOCKS_MAX).max(MIB).next_power_of_two();
        let block_bits = per_block.trailing_zeros();
        let (raw, blocks) = match kind {
            VhdxKind::Fixed => {
                let raw = RawLayout::new(disk_len, data_runs)?;
                (raw, Clusters::of(block_bits, disk_len, [])?)
            }
            VhdxKind::Dynamic => {
                let blocks = Clusters::of(block_bits, disk_len, data_runs)?;
                (RawLayout::new(disk_len, [])?, blocks)
            }
        };
        let of = match kind {
            VhdxKind::Fixed => "fixed",
            VhdxKind::Dynamic => "dynamic",
        };
        let ids = ["file", "data", "disk"].map(|name| {
            let context = format!("seawall 2026 VHDX {of} {sector_len} {name}");
            identity::with_version(identity::derive(&context, disk_len, content), 7)
        });
        Ok(Self { kind, sectors, disk_len, block_bits, ids, raw, blocks })
    }

    /// Returns the number of blocks of the disk.
    fn block_count(&self) -> u64 {
        self.disk_len.div_ceil(1 << self.block_bits)
    }

    /// Returns the number of blocks between two entries for sector bitmaps.
    fn chunk_blocks(&self) -> u64 {
        (u64::from(self.sectors.bytes()) << 23) >> self.block_bits
    }

    fn bat_len(&self) -> u64 {
        let blocks = self.block_count();
        let entries = blocks + blocks.saturating_sub(1) / self.chunk_blocks();
        (entries * 8).next_multiple_of(MIB).max(MIB)
    }

    fn data_at(&self) -> u64 {
        BAT_AT + self.bat_len()
    }

    /// Returns the structures before the block table, each with its offset.
    fn head(&self) -> Vec<(u64, Vec<u8>)> {
        let creator = "Seawall".encode_utf16().flat_map(u16::to_le_bytes);
        let mut head = vec![(0, MAGIC.into_iter().chain(creator).collect())];
        for (sequence, at) in (1u64..).zip(HEADERS_AT) {
            head.push((at, self.header(sequence)));
        }
        for at in REGIONS_AT {
            head.push((at, self.regions()));
        }
        let items = METADATA_AT + u64::try_from(TABLE_LEN).unwrap_or(u64::MAX);
        let (table, values) = self.metadata();
        head.extend([(METADATA_AT, table), (items, values)]);
        head
    }

    fn header(&self, sequence: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend(b"head");
        header.extend([0; 4]); // the checksum
        header.extend(sequence.to_le_bytes());
        header.extend(self.ids[0]);
        header.extend(self.ids[1]);
        header.extend([0; 16]); // no log
        header.extend(0u16.to_le_bytes()); // version of the log
        header.extend(1u16.to_le_bytes()); // version
        header.extend(0x0010_0000u32.to_le_bytes()); // length of the log, 1 MiB
        header.extend(LOG_AT.to_le_bytes());
        sealed(header, HEADER_LEN)
    }

    fn regions(&self) -> Vec<u8> {
        // At most 17 MiB.
        let bat_len = u32::try_from(self.bat_len()).unwrap_or(u32::MAX);
        let mut table = Vec::with_capacity(REGIONS_LEN);
        table.extend(b"regi");
        table.extend([0; 4]); // the checksum
        table.extend(2u32.to_le_bytes()); // entries
        table.extend([0; 4]);
        for (id, at, len) in
            [(guid::BAT, BAT_AT, bat_len), (guid::METADATA, METADATA_AT, 0x0010_0000)]
        {
            table.extend(id);
            table.extend(at.to_le_bytes());
            table.extend(len.to_le_bytes());
            table.extend(1u32.to_le_bytes()); // required
        }
        sealed(table, REGIONS_LEN)
    }

    /// Returns the metadata table, and the items.
    fn metadata(&self) -> (Vec<u8>, Vec<u8>) {
        const REQUIRED: u32 = 4;
        const OF_DISK: u32 = 2 | REQUIRED;
        let parameters = match self.kind {
            VhdxKind::Fixed => LEAVE_BLOCKS_ALLOCATED,
            VhdxKind::Dynamic => 0,
        };
        let parameters = u64::from(parameters) << 32 | 1 << self.block_bits;
        let items: [(_, u32, &[u8]); 5] = [
            (guid::FILE_PARAMETERS, REQUIRED, &parameters.to_le_bytes()),
            (guid::DISK_LEN, OF_DISK, &self.disk_len.to_le_bytes()),
            (guid::DISK_ID, OF_DISK, &self.ids[2]),
            (guid::LOGICAL_SECTOR, OF_DISK, &self.sectors.bytes().to_le_bytes()),
            (guid::PHYSICAL_SECTOR, OF_DISK, &PHYSICAL_SECTOR_LEN.to_le_bytes()),
        ];
        let mut table = b"metadata\0\0".to_vec();
        table.extend(5u16.to_le_bytes()); // entries
        table.extend([0; 20]);
        let mut values = Vec::new();
        for (id, flags, value) in items {
            let at = u32::try_from(TABLE_LEN + values.len()).unwrap_or(u32::MAX);
            table.extend(id);
            table.extend(at.to_le_bytes());
            table.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            table.extend(flags.to_le_bytes());
            table.extend([0; 4]);
            values.extend(value);
        }
        (table, values)
    }

    /// Returns the block table. Each chunk of blocks but the last is followed by an entry for a
    /// sector bitmap, which only differencing files use.
    fn bat(&self) -> Vec<u8> {
        let (data_at, chunk) = (self.data_at(), self.chunk_blocks());
        let mut bat = vec![0u64; usize::try_from(self.bat_len() / 8).unwrap_or(0)];
        let mut put = |block: u64, rank: u64| {
            let index = usize::try_from(block + block / chunk).unwrap_or(usize::MAX);
            if let Some(entry) = bat.get_mut(index) {
                *entry = (data_at + (rank << self.block_bits)) | FULLY_PRESENT;
            }
        };
        match self.kind {
            VhdxKind::Fixed => (0..self.block_count()).for_each(|block| put(block, block)),
            VhdxKind::Dynamic => {
                for run in self.blocks.runs() {
                    (0..run.count).for_each(|i| put(run.guest + i, run.rank + i));
                }
            }
        }
        bat.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn data_parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let disk_len = self.disk_len;
        if self.kind == VhdxKind::Fixed {
            let past = (self.block_count() << self.block_bits) - disk_len;
            return Box::new(self.raw.parts().chain([Part::Zeros(past)]));
        }
        Box::new(self.blocks.runs().iter().flat_map(move |run| {
            let end = run.end() << self.block_bits;
            let guest = run.guest << self.block_bits..end.min(disk_len);
            let past = end - guest.end;
            [Part::Guest(guest), Part::Zeros(past)]
        }))
    }
}

impl Layout for VhdxLayout {
    fn file_len(&self) -> u64 {
        let blocks = match self.kind {
            VhdxKind::Fixed => self.block_count(),
            VhdxKind::Dynamic => self.blocks.count(),
        };
        self.data_at() + (blocks << self.block_bits)
    }

    fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let run = match self.kind {
            VhdxKind::Fixed => self.raw.host_offset(guest_offset)?,
            VhdxKind::Dynamic => self.blocks.host_offset(guest_offset)?,
        };
        Some(HostRun { offset: self.data_at() + run.offset, ..run })
    }

    fn placement(&self) -> Placement {
        let units = match self.kind {
            VhdxKind::Fixed => None,
            VhdxKind::Dynamic => {
                Some(Units { bits: self.block_bits, stride: 1 << self.block_bits })
            }
        };
        Placement { start: self.data_at(), units }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let bat = iter::once_with(|| (BAT_AT, self.bat()));
        let mut at = 0;
        let tables = self.head().into_iter().chain(bat).flat_map(move |(start, bytes)| {
            let part = Part::Bytes(bytes);
            let gap = Part::Zeros(start - at);
            at = start + part.part_len();
            [gap, part]
        });
        Box::new(tables.chain(self.data_parts()).filter(|part| part.part_len() > 0))
    }
}

/// Pads a structure with zeros to its length, and sets its checksum.
fn sealed(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    bytes.resize(len, 0);
    let checksum = crc32c::of_structure(&bytes);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
