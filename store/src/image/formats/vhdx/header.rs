//! The start of a VHDX: two headers, one of which is current, and two equal region tables.

use super::super::blocks::parent::Id;
use super::super::fields::{array, le16, le32, le64};
use super::crc32c;
use super::guid;
use crate::image::ImageError;
use crate::image::source::NamedSource;

pub(in crate::image) const MAGIC: [u8; 8] = *b"vhdxfile";
pub(in crate::image) const HEADERS_AT: [u64; 2] = [64 << 10, 128 << 10];
pub(in crate::image) const HEADER_LEN: usize = 4096;
pub(in crate::image) const REGIONS_AT: [u64; 2] = [192 << 10, 256 << 10];
pub(in crate::image) const REGIONS_LEN: usize = 64 << 10;
/// The alignment of regions and blocks, in bytes; none lies in the first MiB.
pub(in crate::image) const MIB: u64 = 1 << 20;

const VERSION: u16 = 1;
/// Maximum number of entries that fit in the table.
const REGIONS_MAX: u32 = 2047;

/// The current header.
#[derive(Debug)]
pub(super) struct Header {
    /// The identifier by which children name this file; it changes whenever the disk does.
    pub(super) data_id: Id,
    /// The identifier of the log; zero if the log is empty.
    pub(super) log_id: Id,
    pub(super) log_offset: u64,
    pub(super) log_len: u64,
    /// The offset of the header in the file.
    pub(super) at: u64,
}

impl Header {
    pub(super) fn read(source: &NamedSource) -> Result<Self, ImageError> {
        let mut magic = [0; 8];
        if source.len < MIB {
            let reason = format!("the file has {} bytes, its start has 1 MiB", source.len);
            return Err(source.damaged("VHDX file identifier", 0, reason));
        }
        source.read(0, &mut magic)?;
        if magic != MAGIC {
            return Err(source.damaged("VHDX file identifier", 0, "it is not `vhdxfile`"));
        }
        let mut current: Option<(u64, Self)> = None;
        for at in HEADERS_AT {
            let mut bytes = [0; HEADER_LEN];
            source.read(at, &mut bytes)?;
            if bytes[..4] != *b"head" || le32(&bytes, 4) != crc32c::of_structure(&bytes) {
                continue;
            }
            let sequence = le64(&bytes, 8);
            if current.as_ref().is_none_or(|(newest, _)| sequence > *newest) {
                let header = Self::parse(source, at, &bytes)?;
                current = Some((sequence, header));
            }
        }
        let none = || {
            let reason = "neither it nor the second one, at 131072, has a valid checksum";
            source.damaged("VHDX header", HEADERS_AT[0], reason)
        };
        current.map(|(_, header)| header).ok_or_else(none)
    }

    fn parse(source: &NamedSource, at: u64, bytes: &[u8; HEADER_LEN]) -> Result<Self, ImageError> {
        let convert = "convert it with the program that made it";
        let version = le16(bytes, 66);
        if version != VERSION {
            return Err(source.unsupported(format!("VHDX version {version}"), convert));
        }
        let log_version = le16(bytes, 64);
        let log_id: Id = array(bytes, 48);
        if log_version != 0 && log_id != [0; 16] {
            let feature = format!("a VHDX log of version {log_version}");
            return Err(source.unsupported(feature, super::log::REPLAY));
        }
        Ok(Self {
            data_id: array(bytes, 32),
            log_id,
            log_offset: le64(bytes, 72),
            log_len: u64::from(le32(bytes, 68)),
            at,
        })
    }
}

/// A region of the file, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The required regions of a VHDX.
pub(super) struct Regions {
    pub(super) bat: Region,
    pub(super) metadata: Region,
}

impl Regions {
    /// Reads the first of the two tables with a valid checksum.
    pub(super) fn read(source: &NamedSource) -> Result<Self, ImageError> {
        for at in REGIONS_AT {
            let mut bytes = vec![0; REGIONS_LEN];
            source.read(at, &mut bytes)?;
            let sound = bytes[..4] == *b"regi" && le32(&bytes, 4) == crc32c::of_structure(&bytes);
            if sound {
                return Self::parse(source, at, &bytes);
            }
        }
        let reason = "neither it nor the second one, at 262144, has a valid checksum";
        Err(source.damaged("VHDX region table", REGIONS_AT[0], reason))
    }

    fn parse(source: &NamedSource, at: u64, bytes: &[u8]) -> Result<Self, ImageError> {
        let wrong = |reason: String| source.damaged("VHDX region table", at, reason);
        let count = le32(bytes, 8);
        if count > REGIONS_MAX {
            return Err(wrong(format!("it has {count} entries, at most {REGIONS_MAX} fit")));
        }
        let (mut bat, mut metadata) = (None, None);
        for entry in bytes[16..].chunks_exact(32).take(usize::try_from(count).unwrap_or(0)) {
            let region = Region { offset: le64(entry, 16), len: u64::from(le32(entry, 24)) };
            let (id, is_required) = (array(entry, 0), le32(entry, 28) & 1 == 1);
            let place = match id {
                guid::BAT => &mut bat,
                guid::METADATA => &mut metadata,
                _ if is_required => {
                    let feature = format!("the unknown VHDX region {id:02x?}");
                    return Err(source.unsupported(feature, "convert it where it was made"));
                }
                _ => continue,
            };
            let end = region.offset.checked_add(region.len);
            let in_file = end.is_some_and(|end| end <= source.len);
            if region.offset < MIB || !region.offset.is_multiple_of(MIB) || !in_file {
                let Region { offset, len } = region;
                return Err(wrong(format!("{len} bytes at {offset} are not a region of the file")));
            }
            if place.replace(region).is_some() {
                return Err(wrong("it names a region twice".to_owned()));
            }
        }
        match (bat, metadata) {
            (Some(bat), Some(metadata)) => Ok(Self { bat, metadata }),
            _ => Err(wrong("it has no table of blocks, or no metadata".to_owned())),
        }
    }
}
