//! VHDX: a reader of fixed, dynamic and differencing files, with sectors of 512 bytes and 4 KiB.
//!
//! An unapplied log is replayed in memory (`log`); the file is not modified.
//!
//! # Invariants
//!
//! 1. The header and the region table in use have valid checksums, and the header is the newer of
//!    the two.
//! 2. A block in use lies in the file, after its first MiB.

pub(in crate::image) mod crc32c;

pub(in crate::image) mod guid;
pub(in crate::image) mod header;
mod log;
pub(in crate::image) mod metadata;

use super::blocks::bitmap::{Bitmaps, First};
use super::blocks::parent::{Id, Parent};
use super::blocks::{BlockFile, Kind, Mapping, TableLimits};
use super::fields::le64;
use crate::image::source::NamedSource;
use crate::image::{Format, ImageError};
use header::{Header, MIB, Regions};
use metadata::Metadata;

/// Number of sectors covered by one bitmap of 1 MiB.
const BITMAP_SECTORS: u64 = 1 << 23;
/// The state bits of a table entry.
const STATE_MASK: u64 = 7;

/// A VHDX file.
pub(in crate::image) struct VhdxFile {
    source: NamedSource,
    metadata: Metadata,
    /// The number of blocks covered by one sector bitmap, whose entry follows theirs.
    chunk_blocks: u64,
    table: Vec<u64>,
    table_offset: u64,
    bitmaps: Bitmaps,
    id: Id,
}

impl BlockFile for VhdxFile {
    const FORMAT: Format = Format::Vhdx;

    fn is_fixed(&self) -> bool {
        self.metadata.is_fixed
    }

    fn sector_len(&self) -> Option<u64> {
        Some(self.metadata.sector_len)
    }

    fn open(source: NamedSource, limits: &mut TableLimits) -> Result<Self, ImageError> {
        let header = Header::read(&source)?;
        let source = log::replay(source, &header)?;
        let regions = Regions::read(&source)?;
        let metadata = Metadata::read(&source, regions.metadata)?;
        let chunk_blocks = BITMAP_SECTORS * metadata.sector_len / metadata.block_len;
        let blocks = metadata.disk_len.div_ceil(metadata.block_len);
        let needed = match metadata.parent {
            Some(_) => blocks.div_ceil(chunk_blocks) * (chunk_blocks + 1),
            None => blocks + blocks.saturating_sub(1) / chunk_blocks,
        };
        if needed * 8 > regions.bat.len {
            let reason = format!("{needed} entries do not fit in {} bytes", regions.bat.len);
            let offset = regions.bat.offset;
            return Err(source.damaged("VHDX block allocation table", offset, reason));
        }
        let table = limits.load(&source, regions.bat.offset, needed * 8)?;
        Ok(Self {
            chunk_blocks,
            table: table.chunks_exact(8).map(|entry| le64(entry, 0)).collect(),
            table_offset: regions.bat.offset,
            bitmaps: Bitmaps::new(First::Lowest),
            id: header.data_id,
            metadata,
            source,
        })
    }

    fn source(&self) -> &NamedSource {
        &self.source
    }

    fn disk_len(&self) -> u64 {
        self.metadata.disk_len
    }

    fn piece(&self, offset: u64) -> Result<Mapping, ImageError> {
        let block_len = self.metadata.block_len;
        let (block, in_block) = (offset / block_len, offset % block_len);
        let whole = |kind| Ok(Mapping { kind, len: block_len - in_block });
        let index = block + block / self.chunk_blocks;
        let entry = self.entry(index);
        let used = block_len.min(self.metadata.disk_len - (offset - in_block));
        match (entry & STATE_MASK, &self.metadata.parent) {
            (0, Some(_)) => whole(Kind::Below),
            // Not present, undefined, zero, unmapped, and unmapped in drafts of the format.
            (0..=3 | 5, _) => whole(Kind::Zero),
            (6, _) => whole(Kind::Data(self.place(index, used)? + in_block)),
            (7, Some(_)) => self.partial(block, in_block, self.place(index, used)?),
            (state, _) => {
                let reason = format!("block {block} has the invalid state {state}");
                Err(self.wrong(index, reason))
            }
        }
    }

    fn id(&self) -> Id {
        self.id
    }

    fn parent(&self) -> Option<&Parent> {
        self.metadata.parent.as_ref()
    }
}

impl VhdxFile {
    fn entry(&self, index: u64) -> u64 {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.table.get(index).copied().unwrap_or(0)
    }

    /// Returns the offset to which an entry points. Fails if the `len` bytes there are not in the
    /// file.
    fn place(&self, index: u64, len: u64) -> Result<u64, ImageError> {
        let host = self.entry(index) & !(MIB - 1);
        let end = host.checked_add(len);
        if host < MIB || end.is_none_or(|end| end > self.source.len) {
            let reason = format!("{len} bytes at {host} are not in the file");
            return Err(self.wrong(index, reason));
        }
        Ok(host)
    }

    /// Returns the place of bytes in a partially present block, by its sector bitmap.
    fn partial(&self, block: u64, in_block: u64, host: u64) -> Result<Mapping, ImageError> {
        let Metadata { block_len, sector_len, .. } = self.metadata;
        let (chunk, in_chunk) = (block / self.chunk_blocks, block % self.chunk_blocks);
        let index = chunk * (self.chunk_blocks + 1) + self.chunk_blocks;
        if self.entry(index) & STATE_MASK != 6 {
            let reason = format!("block {block} is partial, but its bitmap is missing");
            return Err(self.wrong(index, reason));
        }
        let bitmap_len = block_len / sector_len / 8;
        let bitmap = self.place(index, MIB)? + in_chunk * bitmap_len;
        let sector = in_block / sector_len;
        let (is_set, sectors) = self.bitmaps.run(&self.source, bitmap, bitmap_len, sector)?;
        let kind = if is_set { Kind::Data(host + in_block) } else { Kind::Below };
        Ok(Mapping { kind, len: (sector + sectors) * sector_len - in_block })
    }

    fn wrong(&self, index: u64, reason: String) -> ImageError {
        self.source.damaged("VHDX table entry", self.table_offset + index * 8, reason)
    }
}
