//! The metadata of a VHDX: properties of the disk, and the parent.
//!
//! The metadata has no checksum.

use super::super::blocks::parent::{Id, Parent, utf16};
use super::super::fields::{array, le16, le32, le64};
use super::guid;
use super::header::{MIB, Region};
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// Length of the table, in bytes; the items follow.
pub(in crate::image) const TABLE_LEN: usize = 64 << 10;
const ITEMS_MAX: u16 = 2047;
const LOCATOR_LEN_MAX: u32 = 1 << 20;
/// Maximum length of a disk, in bytes.
pub(in crate::image) const DISK_LEN_MAX: u64 = 64 << 40;
pub(super) const BLOCK_LEN_MAX: u64 = 256 << 20;
const HAS_PARENT: u32 = 1 << 1;
const LEAVE_BLOCKS: u32 = 1 << 0;

/// Validated metadata.
pub(super) struct Metadata {
    pub(super) disk_len: u64,
    pub(super) block_len: u64,
    pub(super) sector_len: u64,
    /// True if every block is allocated from the start.
    pub(super) is_fixed: bool,
    pub(super) parent: Option<Parent>,
}

/// The place of an item in the file.
#[derive(Clone, Copy)]
struct Item {
    offset: u64,
    len: u32,
}

#[derive(Default)]
struct Items {
    parameters: Option<Item>,
    disk_len: Option<Item>,
    sector_len: Option<Item>,
    locator: Option<Item>,
}

impl Metadata {
    pub(super) fn read(source: &NamedSource, region: Region) -> Result<Self, ImageError> {
        let wrong = |reason: String| source.damaged("VHDX metadata", region.offset, reason);
        let items = Items::read(source, region)?;
        let field = |item: Option<Item>, len: u32, name: &str| {
            let item = item.filter(|item| item.len >= len);
            let item = item.ok_or_else(|| wrong(format!("it has no {name} of {len} bytes")))?;
            let mut bytes = [0; 8];
            source.read(item.offset, &mut bytes[..usize::try_from(len).unwrap_or(0).min(8)])?;
            Ok(bytes)
        };
        let parameters = field(items.parameters, 8, "file parameters")?;
        let (block_len, flags) = (u64::from(le32(&parameters, 0)), le32(&parameters, 4));
        if !block_len.is_power_of_two() || !(MIB..=BLOCK_LEN_MAX).contains(&block_len) {
            let reason = "bytes are not a power of two from 1 MiB to 256 MiB";
            return Err(wrong(format!("blocks of {block_len} {reason}")));
        }
        let sector_len = u64::from(le32(&field(items.sector_len, 4, "logical sector size")?, 0));
        if !matches!(sector_len, 512 | 4096) {
            return Err(wrong(format!("sectors of {sector_len} bytes, not 512 or 4096")));
        }
        let disk_len = le64(&field(items.disk_len, 8, "virtual disk size")?, 0);
        if disk_len > DISK_LEN_MAX || !disk_len.is_multiple_of(sector_len) {
            let reason = format!("is longer than 64 TiB, or not in sectors of {sector_len}");
            return Err(wrong(format!("a disk of {disk_len} bytes {reason}")));
        }
        let parent = match items.locator {
            Some(item) if flags & HAS_PARENT != 0 => Some(parent(source, item)?),
            None if flags & HAS_PARENT != 0 => {
                return Err(wrong("it has a parent but no parent locator".to_owned()));
            }
            _ => None,
        };
        let is_fixed = flags & LEAVE_BLOCKS != 0;
        Ok(Self { disk_len, block_len, sector_len, is_fixed, parent })
    }
}

impl Items {
    fn read(source: &NamedSource, region: Region) -> Result<Self, ImageError> {
        let wrong =
            |reason: String| Err(source.damaged("VHDX metadata table", region.offset, reason));
        let table_len = u64::try_from(TABLE_LEN).unwrap_or(u64::MAX);
        if region.len < table_len {
            return wrong(format!("its region of {} bytes is too short", region.len));
        }
        let mut bytes = vec![0; TABLE_LEN];
        source.read(region.offset, &mut bytes)?;
        if bytes[..8] != *b"metadata" {
            return wrong("it does not start with `metadata`".to_owned());
        }
        let count = le16(&bytes, 10);
        if count > ITEMS_MAX {
            return wrong(format!("it has {count} entries, at most {ITEMS_MAX} fit"));
        }
        let mut items = Self::default();
        for entry in bytes[32..].chunks_exact(32).take(usize::from(count)) {
            let (in_region, len) = (u64::from(le32(entry, 16)), le32(entry, 20));
            let (id, flags): (Id, u32) = (array(entry, 0), le32(entry, 24));
            let (is_private, is_required) = (flags & 1 != 0, flags & 4 != 0);
            let place = match id {
                _ if is_private && is_required => return Err(unknown(source, &id)),
                _ if is_private => continue,
                guid::FILE_PARAMETERS => &mut items.parameters,
                guid::DISK_LEN => &mut items.disk_len,
                guid::LOGICAL_SECTOR => &mut items.sector_len,
                guid::PARENT_LOCATOR => &mut items.locator,
                // Neither changes what a guest reads.
                guid::DISK_ID | guid::PHYSICAL_SECTOR => continue,
                _ if is_required => return Err(unknown(source, &id)),
                _ => continue,
            };
            if in_region < table_len || in_region + u64::from(len) > region.len {
                return wrong(format!("an item of {len} bytes at {in_region} is out of place"));
            }
            // The region lies in the file, so the sum does not overflow.
            *place = Some(Item { offset: region.offset + in_region, len });
        }
        Ok(items)
    }
}

fn unknown(source: &NamedSource, id: &Id) -> ImageError {
    let feature = format!("the unknown VHDX metadata item {id:02x?}");
    source.unsupported(feature, "convert it where it was made")
}

/// Reads the keys and values of the parent locator.
fn parent(source: &NamedSource, item: Item) -> Result<Parent, ImageError> {
    let wrong = |reason: &str| Err(source.damaged("VHDX parent locator", item.offset, reason));
    if !(20..=LOCATOR_LEN_MAX).contains(&item.len) {
        return wrong("its length is not from 20 bytes to 1 MiB");
    }
    let mut bytes = vec![0; usize::try_from(item.len).unwrap_or(0)];
    source.read(item.offset, &mut bytes)?;
    if bytes[..16] != guid::LOCATOR_OF_VHDX {
        return wrong("its type is not that of VHDX");
    }
    let text = |offset: u32, len: u16| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let units = bytes.get(start..start.checked_add(usize::from(len))?)?;
        utf16(units.chunks_exact(2).map(|unit| le16(unit, 0)))
    };
    let (mut ids, mut ranked) = (Vec::new(), Vec::new());
    for entry in bytes[20..].chunks_exact(12).take(usize::from(le16(&bytes, 18))) {
        let key = text(le32(entry, 0), le16(entry, 8));
        let Some((key, value)) = key.zip(text(le32(entry, 4), le16(entry, 10))) else {
            return wrong("a key or a value lies outside it or is not text");
        };
        match key.as_str() {
            "parent_linkage" | "parent_linkage2" => ids.extend(guid::parse(value.as_bytes())),
            // A relative path still holds after both files were moved.
            "relative_path" => ranked.push((0, value)),
            "absolute_win32_path" => ranked.push((1, value)),
            _ => {}
        }
    }
    // An unused `parent_linkage2` is all zeros.
    ids.retain(|id| *id != [0; 16]);
    if ids.is_empty() {
        return wrong("it has no `parent_linkage`, which identifies the parent");
    }
    ranked.sort();
    Ok(Parent { ids, names: ranked.into_iter().map(|(_, name)| name).collect() })
}
