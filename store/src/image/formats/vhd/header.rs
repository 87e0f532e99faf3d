//! The header of a VHD with blocks, which locates the block table and the parent.

use super::super::blocks::parent::{Parent, utf16};
use super::super::fields::{array, be16, be32, be64, le16};
use super::footer::{SECTOR_LEN, checksum};
use crate::image::ImageError;
use crate::image::source::NamedSource;

pub(in crate::image) const HEADER_LEN: usize = 1024;
pub(in crate::image) const HEADER_COOKIE: [u8; 8] = *b"cxsparse";
/// Offset of the checksum in the header.
pub(in crate::image) const HEADER_CHECKSUM_AT: usize = 36;

const VERSION: u32 = 0x0001_0000;
/// Maximum length of a block, in bytes. Most files have 2 MiB. At the maximum, a block's bitmap has
/// 64 KiB.
const BLOCK_LEN_MAX: u64 = 256 << 20;
const LOCATORS: usize = 8;
/// Maximum length of a locator, in bytes. A Windows path has at most 32767 units of two bytes.
const LOCATOR_LEN_MAX: u32 = 64 << 10;

/// A validated header.
pub(super) struct Header {
    pub(super) table_offset: u64,
    /// The number of table entries; the disk may need fewer.
    pub(super) entries: u64,
    pub(super) block_len: u64,
    bytes: [u8; HEADER_LEN],
    offset: u64,
}

impl Header {
    pub(super) fn read(source: &NamedSource, offset: u64) -> Result<Self, ImageError> {
        let wrong = |reason: String| source.damaged("VHD header", offset, reason);
        let mut bytes = [0; HEADER_LEN];
        if offset.checked_add(1024).is_none_or(|end| end > source.len) {
            return Err(wrong(format!("it ends past the end of the file at {}", source.len)));
        }
        source.read(offset, &mut bytes)?;
        if bytes[..8] != HEADER_COOKIE {
            return Err(wrong("it does not start with `cxsparse`".to_owned()));
        }
        let found = be32(&bytes, HEADER_CHECKSUM_AT);
        let right = checksum(&bytes, HEADER_CHECKSUM_AT);
        if found != right {
            return Err(wrong(format!("its checksum is {found:#x}, its bytes have {right:#x}")));
        }
        let version = be32(&bytes, 24);
        if version != VERSION {
            return Err(wrong(format!("its version is {version:#x}, not {VERSION:#x}")));
        }
        let block_len = u64::from(be32(&bytes, 32));
        if !block_len.is_power_of_two() || !(SECTOR_LEN..=BLOCK_LEN_MAX).contains(&block_len) {
            let reason = "is not a power of two from 512 to 256 MiB";
            return Err(wrong(format!("its block length of {block_len} bytes {reason}")));
        }
        let (table_offset, entries) = (be64(&bytes, 16), u64::from(be32(&bytes, 28)));
        Ok(Self { table_offset, entries, block_len, bytes, offset })
    }

    /// Reads the parent of a differencing VHD.
    pub(super) fn parent(&self, source: &NamedSource) -> Result<Parent, ImageError> {
        let mut ranked = Vec::new();
        for at in (0..LOCATORS).map(|i| 576 + i * 24) {
            // A relative path still holds after both files were moved.
            let rank = match &self.bytes[at..at + 4] {
                b"W2ru" => 0,
                b"MacX" => 1,
                b"W2ku" => 2,
                _ => continue,
            };
            if let Some(name) = self.locator(source, at)? {
                ranked.push((rank, name));
            }
        }
        ranked.sort();
        let mut names: Vec<_> = ranked.into_iter().map(|(_, name)| name).collect();
        names.extend(utf16(self.bytes[64..576].chunks_exact(2).map(|unit| be16(unit, 0))));
        Ok(Parent { ids: vec![array(&self.bytes, 40)], names })
    }

    /// Reads the path of the locator at `at` in the header.
    fn locator(&self, source: &NamedSource, at: usize) -> Result<Option<String>, ImageError> {
        let (len, offset) = (be32(&self.bytes, at + 8), be64(&self.bytes, at + 16));
        let end = offset.checked_add(u64::from(len));
        if len > LOCATOR_LEN_MAX || end.is_none_or(|end| end > source.len) {
            let reason = format!("a path of {len} bytes at {offset} is too long or past the end");
            let at = self.offset + u64::try_from(at).unwrap_or(0);
            return Err(source.damaged("VHD parent locator", at, reason));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        source.read(offset, &mut bytes)?;
        if &self.bytes[at..at + 4] == b"MacX" {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
            return Ok(std::str::from_utf8(text).ok().map(ToOwned::to_owned));
        }
        Ok(utf16(bytes.chunks_exact(2).map(|unit| le16(unit, 0))))
    }
}
