//! Partition tables: MBR with extended partitions, and GPT.
//!
//! For display only: no decision depends on it. A broken table is shown as far as it can be read.
//!
//! # Invariants
//!
//! 1. At most [`ENTRIES_MAX`] entries are read, and chains of extended partitions end.

use super::formats::fields::{le32, le64};
use super::{DiskImage, ImageError};

/// Maximum number of entries of a GPT, or of links in a chain of extended partitions. Tools make
/// 128.
const ENTRIES_MAX: u64 = 1024;
/// Lengths of a GPT entry, in bytes (UEFI 2.10, section 5.3.2: 128 times a power of two).
const ENTRY_LENS: std::ops::RangeInclusive<u64> = 128..=4096;
const SECTOR_LEN: u64 = 512;
const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
const GPT_SIGNATURE: &[u8] = b"EFI PART";
const GPT_PROTECTIVE: u8 = 0xee;
/// Types of extended partitions: CHS, LBA, Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The kind of a partition table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableKind {
    /// A table in the first sector, in the format of DOS.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// The number by which Linux names the partition, from 1.
    pub number: u64,
    /// The offset of the partition on the disk, in bytes.
    pub start: u64,
    /// The length of the partition, in bytes.
    pub len: u64,
    /// The type: a byte as hexadecimal digits, or a GUID.
    pub kind: String,
    /// The name; only GPT has names.
    pub name: String,
}

/// A disk's partition table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionTable {
    /// The kind of the table.
    pub kind: TableKind,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
}

/// Reads the partition table of a disk; `None` if there is none.
///
/// # Errors
/// Fails if the image cannot be read.
pub fn partition_table(image: &dyn DiskImage) -> Result<Option<PartitionTable>, ImageError> {
    let Some(sector) = read(image, 0, SECTOR_LEN)? else { return Ok(None) };
    let Some(entries) = table_of(&sector) else { return Ok(None) };
    if entries.iter().any(|entry| entry.kind == GPT_PROTECTIVE) {
        // Sectors have 512 bytes, or 4 KiB on some devices.
        for sector_len in [SECTOR_LEN, 4096] {
            if let Some(partitions) = gpt(image, sector_len)? {
                return Ok(Some(PartitionTable { kind: TableKind::Gpt, partitions }));
            }
        }
    }
    let partitions = mbr(image, &entries)?;
    Ok(Some(PartitionTable { kind: TableKind::Mbr, partitions }))
}

/// An entry of the partition table in a boot sector.
#[derive(Clone, Copy)]
struct Entry {
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Entry {
    fn partition(self, number: u64, base: u64) -> Partition {
        Partition {
            number,
            // Sums and products of values of 32 bits: no overflow.
            start: (base + self.first) * SECTOR_LEN,
            len: self.sectors * SECTOR_LEN,
            kind: format!("{:02x}", self.kind),
            name: String::new(),
        }
    }
}

/// Returns the four entries of a boot sector, if it has a partition table.
fn table_of(sector: &[u8]) -> Option<Vec<Entry>> {
    if sector.get(510..512)? != BOOT_SIGNATURE {
        return None;
    }
    let entries = sector.get(446..510)?.chunks_exact(16);
    // A boot sector without a table has code here: an entry begins with 0x00 or 0x80.
    entries
        .map(|entry| {
            let is_entry = entry[0] & 0x7f == 0;
            is_entry.then_some(Entry {
                kind: entry[4],
                first: u64::from(le32(entry, 8)),
                sectors: u64::from(le32(entry, 12)),
            })
        })
        .collect()
}

fn mbr(image: &dyn DiskImage, entries: &[Entry]) -> Result<Vec<Partition>, ImageError> {
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        if entry.kind != 0 {
            partitions.push(entry.partition(number, 0));
        }
    }
    let extended = entries.iter().find(|entry| EXTENDED.contains(&entry.kind));
    let Some(extended) = extended else { return Ok(partitions) };
    let (mut link, mut number) = (extended.first, 5);
    for _ in 0..ENTRIES_MAX {
        let Some(sector) = read(image, link * SECTOR_LEN, SECTOR_LEN)? else { break };
        let Some(entries) = table_of(&sector) else { break };
        if let Some(logical) = entries.first().filter(|entry| entry.kind != 0) {
            partitions.push(logical.partition(number, link));
            number += 1;
        }
        match entries.get(1) {
            // The next link must lie further on, or the chain could loop.
            Some(next) if next.kind != 0 && extended.first + next.first > link => {
                link = extended.first + next.first;
            }
            _ => break,
        }
    }
    Ok(partitions)
}

fn gpt(image: &dyn DiskImage, sector_len: u64) -> Result<Option<Vec<Partition>>, ImageError> {
    let Some(header) = read(image, sector_len, SECTOR_LEN)? else { return Ok(None) };
    if !header.starts_with(GPT_SIGNATURE) {
        return Ok(None);
    }
    let table = le64(&header, 72).checked_mul(sector_len);
    let count = u64::from(le32(&header, 80)).min(ENTRIES_MAX);
    let entry_len = u64::from(le32(&header, 84));
    let Some(table) = table.filter(|_| ENTRY_LENS.contains(&entry_len)) else {
        return Ok(Some(Vec::new()));
    };
    // At most 4 MiB. A table that ends past the disk is ignored.
    let Some(bytes) = read(image, table, count * entry_len)? else { return Ok(Some(Vec::new())) };
    let entries = bytes.chunks_exact(usize::try_from(entry_len).unwrap_or(usize::MAX));
    let partitions = (1..).zip(entries).filter_map(|(number, entry)| {
        let kind = entry.get(..16)?;
        let (first, last) = (le64(entry, 32), le64(entry, 40));
        let is_used = kind.iter().any(|byte| *byte != 0) && first <= last;
        let len = (last - first.min(last)).checked_add(1)?.checked_mul(sector_len)?;
        is_used.then_some(Partition {
            number,
            start: first.checked_mul(sector_len)?,
            len,
            kind: guid(kind),
            name: utf16(entry.get(56..128)?),
        })
    });
    Ok(Some(partitions.collect()))
}

/// Reads bytes of the disk; `None` if the range goes past its end.
fn read(image: &dyn DiskImage, offset: u64, len: u64) -> Result<Option<Vec<u8>>, ImageError> {
    if offset.checked_add(len).is_none_or(|end| end > image.disk_len()) {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    image.read_at(offset, &mut bytes)?;
    Ok(Some(bytes))
}

/// Formats a GUID, whose first three groups are little-endian.
fn guid(bytes: &[u8]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (place, index) in ORDER.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{:02x}", bytes.get(index).copied().unwrap_or(0));
    }
    text
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}
