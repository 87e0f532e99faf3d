//! The grid of 4 KiB blocks on which chunks are cut.
//!
//! The grid begins at the disk's start, or is shifted to align with the first partition. A file
//! system in a DOS partition at sector 63 lays out its files in blocks relative to the partition.

use seawall_api::units::{BLOCK_LEN, SECTOR_LEN};

use crate::image::{DiskImage, ImageError};

/// Returns the last block boundary at or before `offset`; 0 before the first.
pub(super) fn floor(offset: u64, grid_offset: u32) -> u64 {
    let shift = u64::from(grid_offset);
    if offset < shift { 0 } else { offset - (offset - shift) % BLOCK_LEN }
}

/// Returns the first block boundary at or after `offset`.
pub(super) fn ceil(offset: u64, grid_offset: u32) -> u64 {
    let below = floor(offset, grid_offset);
    match below {
        _ if below == offset => offset,
        // The block before the grid's first boundary is short.
        0 if grid_offset > 0 && offset <= u64::from(grid_offset) => u64::from(grid_offset),
        _ => below + BLOCK_LEN,
    }
}

/// Returns the offset of the first whole block of a disk's grid: the first partition's offset
/// within a block, from the partition table (UEFI 2.10, sections 5.2.1 and 5.3), or 0 without one.
///
/// # Errors
/// Fails if the image cannot be read.
pub fn grid_offset(image: &dyn DiskImage) -> Result<u32, ImageError> {
    // The protective MBR, the GPT header and its usual 128 entries.
    let mut head = [0; 34 * 512];
    let len = usize::try_from(image.disk_len()).unwrap_or(usize::MAX).min(head.len());
    image.read_at(0, &mut head[..len])?;
    let start = first_partition(&head, image.disk_len()).unwrap_or(0);
    // Below BLOCK_LEN, by the remainder.
    Ok(u32::try_from(start % BLOCK_LEN).unwrap_or(0))
}

/// Returns the offset in bytes of the first partition on the disk.
fn first_partition(head: &[u8], disk_len: u64) -> Option<u64> {
    const GPT_PROTECTIVE: u8 = 0xEE;
    if head.get(510..512)? != [0x55, 0xAA] {
        return None;
    }
    let entries: Vec<&[u8]> = head[446..510].chunks_exact(16).collect();
    // A boot sector without a partition table has code here: an entry begins with 0x00 or 0x80.
    if entries.iter().any(|entry| entry[0] & 0x7F != 0) {
        return None;
    }
    let used: Vec<_> = entries.iter().filter(|entry| entry[4] != 0).collect();
    let sectors: Vec<u64> = if used.iter().any(|entry| entry[4] == GPT_PROTECTIVE) {
        gpt_starts(head)
    } else {
        used.iter().filter_map(|entry| Some(u64::from(u32_at(entry, 8)?))).collect()
    };
    let offsets = sectors.iter().filter_map(|sector| sector.checked_mul(SECTOR_LEN));
    offsets.filter(|&offset| offset > 0 && offset < disk_len).min()
}

/// Returns the first sectors of the used entries in a GPT with its table in the usual place.
fn gpt_starts(head: &[u8]) -> Vec<u64> {
    const ENTRY_LEN: usize = 128;
    let sector = usize::try_from(SECTOR_LEN).unwrap_or(512);
    if head.get(sector..sector + 8) != Some(b"EFI PART".as_slice()) {
        return Vec::new();
    }
    head[2 * sector..]
        .chunks_exact(ENTRY_LEN)
        .filter(|entry| entry[..16].iter().any(|&b| b != 0))
        .filter_map(|entry| Some(u64::from_le_bytes(entry.get(32..40)?.try_into().ok()?)))
        .collect()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_lie_where_the_grid_says() {
        for (offset, grid_offset, down, up) in [
            (0, 0, 0, 0),
            (1, 0, 0, 4096),
            (4096, 0, 4096, 4096),
            (4097, 0, 4096, 8192),
            (0, 512, 0, 0),
            (1, 512, 0, 512),
            (512, 512, 512, 512),
            (513, 512, 512, 4608),
            (4608, 512, 4608, 4608),
        ] {
            assert_eq!(floor(offset, grid_offset), down, "floor of {offset} at {grid_offset}");
            assert_eq!(ceil(offset, grid_offset), up, "ceil of {offset} at {grid_offset}");
        }
    }

    fn table(entries: &[(u8, u8, u32)]) -> Vec<u8> {
        let mut head = vec![0; 34 * 512];
        for (i, (status, kind, start)) in entries.iter().enumerate() {
            let at = 446 + 16 * i;
            head[at] = *status;
            head[at + 4] = *kind;
            head[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        }
        head[510..512].copy_from_slice(&[0x55, 0xAA]);
        head
    }

    #[test]
    fn the_first_partition_is_found() {
        let disk_len = 1 << 30;
        assert_eq!(first_partition(&[0; 34 * 512], disk_len), None);
        assert_eq!(first_partition(&table(&[(0x80, 0x83, 63)]), disk_len), Some(63 * 512));
        let two = table(&[(0, 0x83, 4096), (0, 0x82, 2048)]);
        assert_eq!(first_partition(&two, disk_len), Some(2048 * 512));
        assert_eq!(first_partition(&table(&[(0x33, 0x83, 63)]), disk_len), None, "boot code");
        assert_eq!(first_partition(&table(&[(0, 0x83, u32::MAX)]), disk_len), None, "past the end");
        let mut gpt = table(&[(0, 0xEE, 1)]);
        gpt[512..520].copy_from_slice(b"EFI PART");
        gpt[1024] = 1;
        gpt[1024 + 32..1024 + 40].copy_from_slice(&34u64.to_le_bytes());
        assert_eq!(first_partition(&gpt, disk_len), Some(34 * 512));
    }
}
