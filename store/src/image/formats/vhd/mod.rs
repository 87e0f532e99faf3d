//! VHD: a reader of fixed, dynamic and differencing files.
//!
//! The disk has the length that Hyper-V, Azure and XenServer see; in files of Virtual PC or an old
//! QEMU, the length of the geometry. A sector whose bit is not set reads as zeros, or as the parent
//! has it.
//!
//! Footers of 511 bytes, which Virtual PC wrote before 2004, are not read.
//!
//! # Invariants
//!
//! 1. Footer and header have valid checksums. A file with blocks has two footers: the one at the
//!    start is used, or the one at the end if the first is damaged.
//! 2. A block in use lies in the file.

pub(in crate::image) mod footer;
pub(in crate::image) mod header;

use super::blocks::bitmap::{Bitmaps, First};
use super::blocks::parent::{Id, Parent};
use super::blocks::{BlockFile, Kind, Mapping, TableLimits};
use super::fields::be32;
use crate::image::source::{NamedSource, Source};
use crate::image::{Format, ImageError};
use footer::{FOOTER_LEN, Footer, SECTOR_LEN};
use header::Header;

/// `qemu-img check` does not support VHD.
const REPAIR: &str = "check it where it was made: in Hyper-V with `Test-VHD`, in XenServer with \
                      `vhd-util check`; a raw disk that only looks like a VHD needs the format \
                      `raw`";
/// The table entry of a block that is not in the file.
pub(in crate::image) const UNUSED: u32 = u32::MAX;

/// A VHD file.
pub(in crate::image) struct VhdFile {
    source: NamedSource,
    footer: Footer,
    /// The blocks; `None` for a fixed VHD, which is all data.
    blocks: Option<Blocks>,
}

struct Blocks {
    block_len: u64,
    /// Length of the bitmap before each block, in bytes.
    bitmap_len: u64,
    table: Vec<u32>,
    table_offset: u64,
    bitmaps: Bitmaps,
    parent: Option<Parent>,
}

impl BlockFile for VhdFile {
    const FORMAT: Format = Format::Vhd;

    fn is_fixed(&self) -> bool {
        self.blocks.is_none()
    }

    fn open(source: NamedSource, limits: &mut TableLimits) -> Result<Self, ImageError> {
        let source = source.with_repair(REPAIR);
        let (footer, end) = read_footer(&source)?;
        let blocks = match footer.kind {
            footer::Kind::Fixed => {
                if footer.disk_len > end {
                    let reason = format!("its disk has {} bytes, the file {end}", footer.disk_len);
                    return Err(source.damaged("VHD footer", end, reason));
                }
                None
            }
            footer::Kind::Dynamic | footer::Kind::Differencing => {
                Some(Blocks::open(&source, &footer, limits)?)
            }
        };
        Ok(Self { source, footer, blocks })
    }

    fn source(&self) -> &NamedSource {
        &self.source
    }

    fn disk_len(&self) -> u64 {
        self.footer.disk_len
    }

    fn piece(&self, offset: u64) -> Result<Mapping, ImageError> {
        match &self.blocks {
            Some(blocks) => blocks.piece(&self.source, self.footer.disk_len, offset),
            None => Ok(Mapping { kind: Kind::Data(offset), len: self.footer.disk_len - offset }),
        }
    }

    fn id(&self) -> Id {
        self.footer.id
    }

    fn parent(&self) -> Option<&Parent> {
        self.blocks.as_ref()?.parent.as_ref()
    }
}

/// Length of the end searched for the footer of a fixed VHD, in bytes: tools that copy whole MiB
/// leave zeros after the footer.
const PADDING_LEN_MAX: u64 = 1 << 20;

/// Returns the offset of the footer at the end of a VHD; `None` if there is none.
///
/// A footer with zeros after it counts only if it is valid and its disk ends there: a guest's disk
/// may contain stale footers.
pub(in crate::image) fn find_footer<E>(
    source: &dyn Source,
    failed: &dyn Fn(std::io::Error) -> E,
) -> Result<Option<u64>, E> {
    let len = source.source_len();
    let Some(end) = len.checked_sub(FOOTER_LEN) else { return Ok(None) };
    let mut last = [0; 512];
    source.read_exact_at(end, &mut last).map_err(failed)?;
    if last.starts_with(&footer::COOKIE) {
        return Ok(Some(end));
    }
    if last.iter().any(|byte| *byte != 0) || !len.is_multiple_of(SECTOR_LEN) {
        return Ok(None);
    }
    let start = len.saturating_sub(PADDING_LEN_MAX);
    let mut bytes = vec![0; usize::try_from(len - start).unwrap_or(0)];
    source.read_exact_at(start, &mut bytes).map_err(failed)?;
    let sectors = bytes.as_chunks::<512>().0;
    let found = sectors.iter().rposition(|sector| sector.iter().any(|byte| *byte != 0));
    Ok(found.and_then(|index| {
        let at = start + u64::try_from(index).ok()? * SECTOR_LEN;
        let footer = Footer::parse(&sectors[index]).ok()?;
        (footer.kind == footer::Kind::Fixed && footer.disk_len == at).then_some(at)
    }))
}

/// Reads the footer at the start, or else the one at the end. Returns it with the offset of the
/// footer at the end.
fn read_footer(source: &NamedSource) -> Result<(Footer, u64), ImageError> {
    let Some(end) = source.len.checked_sub(FOOTER_LEN) else {
        let reason = format!("the file has {} bytes, a footer has 512", source.len);
        return Err(source.damaged("VHD footer", 0, reason));
    };
    let read = |offset| {
        let mut bytes = [0; 512];
        source.read(offset, &mut bytes)?;
        Ok::<_, ImageError>(Footer::parse(&bytes))
    };
    // A fixed VHD starts with guest data, where a footer is never to be trusted.
    if let Ok(footer) = read(0)?
        && (end == 0 || footer.kind != footer::Kind::Fixed)
    {
        return Ok((footer, end));
    }
    let at = find_footer(source.bytes(), &|error| source.failed(error))?.unwrap_or(end);
    let footer = read(at)?.map_err(|reason| source.damaged("VHD footer", at, reason))?;
    Ok((footer, at))
}

impl Blocks {
    fn open(
        source: &NamedSource,
        footer: &Footer,
        limits: &mut TableLimits,
    ) -> Result<Self, ImageError> {
        let header = Header::read(source, footer.header_offset)?;
        let needed = footer.disk_len.div_ceil(header.block_len);
        if needed > header.entries {
            let reason = format!("{} blocks do not hold {} bytes", header.entries, footer.disk_len);
            return Err(source.damaged("VHD header", footer.header_offset, reason));
        }
        // Both factors fit 32 bits.
        let table = limits.load(source, header.table_offset, needed * 4)?;
        let parent = match footer.kind {
            footer::Kind::Differencing => Some(header.parent(source)?),
            footer::Kind::Fixed | footer::Kind::Dynamic => None,
        };
        Ok(Self {
            block_len: header.block_len,
            bitmap_len: bitmap_len(header.block_len),
            table: table.chunks_exact(4).map(|entry| be32(entry, 0)).collect(),
            table_offset: header.table_offset,
            bitmaps: Bitmaps::new(First::Highest),
            parent,
        })
    }

    fn piece(
        &self,
        source: &NamedSource,
        disk_len: u64,
        offset: u64,
    ) -> Result<Mapping, ImageError> {
        let absent = if self.parent.is_some() { Kind::Below } else { Kind::Zero };
        let (block, in_block) = (offset / self.block_len, offset % self.block_len);
        let index = usize::try_from(block).unwrap_or(usize::MAX);
        let entry = self.table.get(index).copied().unwrap_or(UNUSED);
        if entry == UNUSED {
            return Ok(Mapping { kind: absent, len: self.block_len - in_block });
        }
        let bitmap = u64::from(entry) * SECTOR_LEN;
        let data = bitmap + self.bitmap_len;
        let used = self.block_len.min(disk_len - (offset - in_block));
        if data + used > source.len {
            let end = source.len;
            let reason = format!("block {block} at {bitmap} ends past the end of file at {end}");
            return Err(source.damaged("VHD table entry", self.table_offset + block * 4, reason));
        }
        let sector = in_block / SECTOR_LEN;
        let (is_set, sectors) = self.bitmaps.run(source, bitmap, self.bitmap_len, sector)?;
        let kind = if is_set { Kind::Data(data + in_block) } else { absent };
        // The bitmap of a small block has more bits than the block has sectors.
        let end = ((sector + sectors) * SECTOR_LEN).min(self.block_len);
        Ok(Mapping { kind, len: end - in_block })
    }
}

/// Returns the length of the bitmap before each block in bytes, a multiple of the sector length.
pub(in crate::image) fn bitmap_len(block_len: u64) -> u64 {
    (block_len / SECTOR_LEN).div_ceil(8).next_multiple_of(SECTOR_LEN)
}
