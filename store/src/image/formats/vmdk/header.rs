//! Headers of sparse extents: `KDMV` of hosted products, `COWD` of ESX snapshots.
//!
//! Both are parsed to the same shape: a directory of grain tables.

use super::super::fields::{le16, le32, le64};
use super::descriptor::unsupported;
use super::{DISK_SECTORS_MAX, SECTOR_LEN};
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// The magic number of a hosted sparse extent.
pub(super) const SPARSE_MAGIC: [u8; 4] = *b"KDMV";
/// The magic number of a sparse extent of ESX.
pub(super) const COWD_MAGIC: [u8; 4] = *b"COWD";

const HEADER_LEN: usize = 512;
/// Maximum length of a grain, in sectors: 2 MiB.
const GRAIN_SECTORS_MAX: u64 = 4096;
/// Maximum number of entries of a grain table.
const TABLE_ENTRIES_MAX: u32 = 4096;
const COWD_TABLE_ENTRIES: u32 = 4096;
/// The directory offset of a stream, whose real value is in the footer.
const GD_AT_END: u64 = u64::MAX;
/// Length of the footer's marker, the footer, and the marker at the end of the stream.
const TAIL_LEN: usize = 3 * HEADER_LEN;
const MARKER_FOOTER: u32 = 3;

const FLAG_NEWLINES: u32 = 1 << 0;
const FLAG_REDUNDANT: u32 = 1 << 1;
const FLAG_ZERO_GRAINS: u32 = 1 << 2;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;

/// A validated header: every combination of its fields can be read correctly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) sectors: u64,
    /// Length of a grain in sectors, a power of two.
    pub(super) grain_sectors: u64,
    /// The number of entries in a grain table.
    pub(super) table_entries: u32,
    /// Offset of the grain directory, in bytes.
    pub(super) directory: u64,
    /// Offset of the redundant grain directory, in bytes.
    pub(super) redundant: Option<u64>,
    /// True if a table entry of 1 means a grain of zeros.
    pub(super) zero_grains: bool,
    pub(super) compressed: bool,
    /// True if a compressed grain follows a marker with its sector and length.
    pub(super) markers: bool,
    /// Offset and length of the embedded descriptor, in bytes.
    pub(super) descriptor: Option<(u64, u64)>,
}

impl Header {
    pub(super) fn parse(source: &NamedSource) -> Result<Self, ImageError> {
        let mut bytes = [0; HEADER_LEN];
        let len = usize::try_from(source.len).map_or(HEADER_LEN, |len| len.min(HEADER_LEN));
        source.read(0, &mut bytes[..len])?;
        let fields = Fields { source, at: 0, bytes: &bytes };
        if len == HEADER_LEN && bytes.starts_with(&SPARSE_MAGIC) {
            return fields.hosted();
        }
        if len == HEADER_LEN && bytes.starts_with(&COWD_MAGIC) {
            return fields.cowd();
        }
        Err(fields.wrong(0, "it does not start with KDMV or COWD"))
    }

    /// Returns the length of a grain, in bytes.
    pub(super) fn grain_len(&self) -> u64 {
        self.grain_sectors * SECTOR_LEN
    }

    /// Returns the number of guest bytes covered by one grain table: at most 2^33.
    pub(super) fn table_span(&self) -> u64 {
        self.grain_len() * u64::from(self.table_entries)
    }
}

/// The fields of a header or footer, at some offset of a file.
struct Fields<'a> {
    source: &'a NamedSource,
    at: u64,
    bytes: &'a [u8; HEADER_LEN],
}

impl Fields<'_> {
    fn hosted(&self) -> Result<Header, ImageError> {
        self.check_version_and_flags()?;
        if self.le64(56) != GD_AT_END {
            return self.shape();
        }
        let tail_len = TAIL_LEN as u64;
        let start = self.source.len.checked_sub(tail_len).filter(|at| *at >= HEADER_LEN as u64);
        let start = start.ok_or_else(|| self.wrong(56, "it needs a footer, and there is none"))?;
        let mut tail = [0; TAIL_LEN];
        self.source.read(start, &mut tail)?;
        let (marker, rest) = tail.split_at(HEADER_LEN);
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(&rest[..HEADER_LEN]);
        let footer = Fields { source: self.source, at: start + HEADER_LEN as u64, bytes: &bytes };
        let is_footer = le32(marker, 8) == 0 && le32(marker, 12) == MARKER_FOOTER;
        if !is_footer || !bytes.starts_with(&SPARSE_MAGIC) {
            let reason = "the file does not end with a footer: it is not complete";
            return Err(footer.wrong(0, reason));
        }
        footer.check_version_and_flags()?;
        if footer.le64(56) == GD_AT_END {
            return Err(footer.wrong(56, "the footer has no offset of the grain directory either"));
        }
        footer.shape()
    }

    fn check_version_and_flags(&self) -> Result<(), ImageError> {
        let (version, flags) = (self.le32(4), self.le32(8));
        if !(1..=3).contains(&version) {
            let feature = format!("version {version} of sparse extents");
            return Err(unsupported(self.source, feature, CONVERT));
        }
        let known =
            FLAG_NEWLINES | FLAG_REDUNDANT | FLAG_ZERO_GRAINS | FLAG_COMPRESSED | FLAG_MARKERS;
        if flags & !known != 0 {
            let feature = format!("the unknown flags {:#x} of sparse extents", flags & !known);
            return Err(unsupported(self.source, feature, CONVERT));
        }
        if flags & FLAG_NEWLINES != 0 && self.bytes[73..77] != *b"\n \r\n" {
            return Err(self.wrong(73, "line endings were changed: it was transferred as text"));
        }
        match self.le16(77) {
            0 if flags & FLAG_COMPRESSED != 0 => {
                Err(self.wrong(77, "it contradicts itself on whether grains are compressed"))
            }
            0 | 1 => Ok(()),
            other => {
                let feature = format!("compression of type {other}");
                Err(unsupported(self.source, feature, CONVERT))
            }
        }
    }

    fn shape(&self) -> Result<Header, ImageError> {
        let flags = self.le32(8);
        let descriptor = match (self.le64(28), self.le64(36)) {
            (0, _) | (_, 0) => None,
            (start, len) => Some((self.bytes_of(28, start)?, self.bytes_of(36, len)?)),
        };
        let mut redundant = match self.le64(48) {
            sector if flags & FLAG_REDUNDANT != 0 && sector != 0 => {
                Some(self.bytes_of(48, sector)?)
            }
            _ => None,
        };
        let directory = match self.le64(56) {
            0 => redundant.take().ok_or_else(|| self.wrong(56, "there is no grain directory"))?,
            sector => self.bytes_of(56, sector)?,
        };
        Ok(Header {
            sectors: self.sectors(12, self.le64(12))?,
            grain_sectors: self.grain_sectors(20, self.le64(20))?,
            table_entries: self.table_entries()?,
            directory,
            redundant,
            zero_grains: flags & FLAG_ZERO_GRAINS != 0,
            compressed: self.le16(77) == 1,
            markers: flags & FLAG_MARKERS != 0,
            descriptor,
        })
    }

    fn cowd(&self) -> Result<Header, ImageError> {
        let version = self.le32(4);
        if version != 1 {
            let feature = format!("version {version} of COWD extents");
            return Err(unsupported(self.source, feature, CONVERT));
        }
        Ok(Header {
            sectors: self.sectors(12, u64::from(self.le32(12)))?,
            grain_sectors: self.grain_sectors(16, u64::from(self.le32(16)))?,
            table_entries: COWD_TABLE_ENTRIES,
            directory: self.bytes_of(20, u64::from(self.le32(20)))?,
            redundant: None,
            zero_grains: false,
            compressed: false,
            markers: false,
            descriptor: None,
        })
    }

    fn sectors(&self, field: u64, sectors: u64) -> Result<u64, ImageError> {
        if sectors <= DISK_SECTORS_MAX {
            return Ok(sectors);
        }
        Err(self.wrong(field, &format!("a disk of {sectors} sectors is longer than 64 TiB")))
    }

    fn grain_sectors(&self, field: u64, sectors: u64) -> Result<u64, ImageError> {
        if sectors.is_power_of_two() && sectors <= GRAIN_SECTORS_MAX {
            return Ok(sectors);
        }
        let reason = format!("a grain of {sectors} sectors: not a power of two of up to 4096");
        Err(self.wrong(field, &reason))
    }

    fn table_entries(&self) -> Result<u32, ImageError> {
        let entries = self.le32(44);
        if (1..=TABLE_ENTRIES_MAX).contains(&entries) {
            return Ok(entries);
        }
        let reason = format!("{entries} entries in a grain table: not from 1 to 4096");
        Err(self.wrong(44, &reason))
    }

    /// Converts an offset or length in sectors to bytes. Fails if the result lies past the end of
    /// the file.
    fn bytes_of(&self, field: u64, sectors: u64) -> Result<u64, ImageError> {
        sectors
            .checked_mul(SECTOR_LEN)
            .filter(|offset| *offset <= self.source.len)
            .ok_or_else(|| self.wrong(field, &format!("sector {sectors} is past the end of file")))
    }

    fn wrong(&self, field: u64, reason: &str) -> ImageError {
        self.source.damaged("header of a sparse extent", self.at + field, reason)
    }

    fn le16(&self, at: usize) -> u16 {
        le16(self.bytes, at)
    }

    fn le32(&self, at: usize) -> u32 {
        le32(self.bytes, at)
    }

    fn le64(&self, at: usize) -> u64 {
        le64(self.bytes, at)
    }
}

const CONVERT: &str = "convert it with the release of the tool that made it, or with `qemu-img \
                       convert -O qcow2`";
