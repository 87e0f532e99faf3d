use std::ops::Range;
use std::path::PathBuf;

use proptest::prelude::*;
use seawall_api::digest::ContentDigest;
use seawall_api::index::DiskIndex;

use super::*;

/// A disk in memory. Its allocation map may list zeros as data, as files do.
struct MemoryDisk {
    bytes: Vec<u8>,
    data: Vec<Range<u64>>,
}

impl MemoryDisk {
    fn allocated(bytes: Vec<u8>) -> Self {
        let data = std::iter::once(0..bytes.len() as u64).collect();
        Self { bytes, data }
    }
}

impl DiskImage for MemoryDisk {
    fn disk_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let run = self.data.iter().find(|run| run.end > from);
        Ok(run.map(|run| run.start.max(from)..run.end))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.bytes[start..start + buf.len()]);
        Ok(())
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> crate::image::Variant {
        let format = crate::image::Format::Raw;
        crate::image::Variant { format, detail: String::new(), sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &[]
    }
}

fn scan(disk: &MemoryDisk, threads: usize) -> (DiskIndex, Vec<Leaf>) {
    let leaves = std::sync::Mutex::new(Vec::new());
    let keep = |position: usize, scan: &LeafScan| -> Result<(), ScanError> {
        leaves.lock().unwrap().push((position, scan.leaf.clone()));
        Ok(())
    };
    let index = scan_disk(disk, threads, &keep, &|_| {}).unwrap();
    let mut leaves = leaves.into_inner().unwrap();
    leaves.sort_by_key(|(position, _)| *position);
    (index, leaves.into_iter().map(|(_, leaf)| leaf).collect())
}

/// Checks that the extents cover the disk: every chunk hashes to its name, every hole is zero.
fn check(disk: &MemoryDisk) -> DiskIndex {
    let (index, leaves) = scan(disk, 1);
    assert_eq!(index.content(), ContentDigest::of(&disk.bytes), "b3sum agrees");
    let mut offset = 0;
    for leaf in &leaves {
        for extent in leaf.extents() {
            let end = offset + usize::try_from(extent.disk_len()).unwrap();
            let bytes = &disk.bytes[offset..end];
            match extent {
                Extent::Data(chunk) => assert_eq!(ChunkDigest::of(bytes), chunk.digest),
                Extent::Hole(_) => assert!(is_zero(bytes)),
            }
            offset = end;
        }
    }
    assert_eq!(offset, disk.bytes.len());
    index
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_block_of_zeros_is_a_hole_whether_or_not_the_file_has_it() {
    let mut bytes = noise(64 << 10);
    bytes[8192..12_288].fill(0);
    bytes[40_000..40_100].fill(0);
    let mut sparse = MemoryDisk::allocated(bytes.clone());
    sparse.data = vec![0..8192, 12_288..65_536];
    let full = MemoryDisk::allocated(bytes);
    assert_eq!(check(&full), check(&sparse));
    let holes =
        scan(&full, 1).1[0].extents().iter().filter(|e| matches!(e, Extent::Hole(4096))).count();
    assert_eq!(holes, 1, "a hundred zeros inside a block are data");
}

#[test]
fn each_chunk_is_given_with_its_bytes_in_disk_order() {
    let mut bytes = noise(3 << 20);
    bytes[1_000_000..1_500_000].fill(0);
    let disk = MemoryDisk::allocated(bytes);
    let disk_len = seawall_api::units::DiskLen::new(disk.disk_len()).unwrap();
    let of = LeafOf { image: &disk, disk_len, grid_offset: 0, position: 0 };
    let mut given = Vec::new();
    let mut on_chunk = |chunk: ChunkRef, bytes: &[u8]| -> Result<(), ScanError> {
        assert_eq!(ChunkDigest::of(bytes), chunk.digest);
        given.push(chunk);
        Ok(())
    };

    let scan = LeafScanner::default().scan_chunks(of, &|_| {}, &mut on_chunk).unwrap();

    let chunks = scan.leaf.extents().iter().filter_map(|extent| match extent {
        Extent::Data(chunk) => Some(*chunk),
        Extent::Hole(_) => None,
    });
    assert!(given.len() > 10 && chunks.eq(given), "the leaf has what was given");
}

#[test]
fn runs_off_the_grid_change_nothing() {
    let mut bytes = vec![0; 3 << 20];
    bytes[5000..5010].fill(1);
    bytes[2_000_000..2_000_001].fill(1);
    let mut sparse = MemoryDisk::allocated(bytes.clone());
    sparse.data = vec![5000..5010, 1_999_999..2_000_001];
    assert_eq!(check(&MemoryDisk::allocated(bytes)), check(&sparse));
}

#[test]
fn a_disk_of_any_length_is_covered() {
    for len in [1, 511, 512, 4095, 4096, 4097, (1 << 20) + 1, (2 << 20) - 1] {
        check(&MemoryDisk::allocated(noise(len)));
        check(&MemoryDisk::allocated(vec![0; len]));
    }
}

#[test]
fn leaves_are_scanned_apart_and_agree_with_the_whole() {
    let mut bytes = vec![0; (256 << 20) + (1 << 20) + 512];
    let start = (256 << 20) - 300_000;
    bytes[start..start + 600_000].copy_from_slice(&noise(600_000));
    let disk = MemoryDisk::allocated(bytes);
    let index = check(&disk);
    assert_eq!(index.leaves().len(), 2);
    assert_eq!(scan(&disk, 2).0, index, "threads change nothing");
}

#[test]
fn a_dos_partition_shifts_the_grid_and_keeps_its_chunks() {
    let content = noise(2 << 20);
    let at = |sector: usize| {
        let mut bytes = vec![0; 4 << 20];
        bytes[446 + 4] = 0x83;
        bytes[446 + 8..446 + 12].copy_from_slice(&u32::try_from(sector).unwrap().to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        bytes[sector * 512..sector * 512 + content.len()].copy_from_slice(&content);
        MemoryDisk::allocated(bytes)
    };
    let chunks = |disk: &MemoryDisk| -> Vec<ChunkDigest> {
        scan(disk, 1).1[0].chunks().skip(1).map(|chunk| chunk.digest).collect()
    };
    let (aligned, shifted) = (at(2048), at(63));
    assert_eq!(check(&shifted).grid_offset(), 63 * 512 % 4096);
    assert_eq!(chunks(&aligned), chunks(&shifted), "the partition's chunks are the same");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any mixture of data and zeros, allocated or not, is covered exactly, with the digest of
    /// b3sum.
    #[test]
    fn any_disk_is_covered(parts in prop::collection::vec((0u8..3, 1usize..300_000), 1..8)) {
        let mut disk = MemoryDisk { bytes: Vec::new(), data: Vec::new() };
        for (kind, len) in parts {
            let start = disk.bytes.len() as u64;
            match kind {
                0 => disk.bytes.extend(noise(len)),
                _ => disk.bytes.resize(disk.bytes.len() + len, 0),
            }
            if kind < 2 {
                disk.data.push(start..disk.bytes.len() as u64);
            }
        }
        let index = check(&disk);
        let full = MemoryDisk::allocated(disk.bytes);
        prop_assert_eq!(check(&full), index);
    }
}
