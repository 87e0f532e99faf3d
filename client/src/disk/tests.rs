//! Tests of reads from compressed disks.

use std::io::Write;
use std::path::PathBuf;

use seawall_store::image::Format;

use super::*;
use crate::error::{ErrorKind, Failure};
use crate::progress::Silent;

const MIB: usize = 1 << 20;

/// A disk with a boot signature, a hole and a marked end.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; 3 * MIB];
    disk[..512].fill(7);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk[3 * MIB - 4..].copy_from_slice(b"end.");
    disk
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let len = zstd_safe::compress(&mut out[..], bytes, 1).unwrap();
    out.truncate(len);
    out
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, path: &Path, format: Option<Format>) -> Result<OpenDisk, DiskError> {
        let scratch = Scratch::new(self.0.path().to_owned());
        let access = DiskAccess { scratch, ..DiskAccess::default() };
        access.open(path, format, &Silent)
    }
}

fn bytes(disk: &OpenDisk) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(disk.image.disk_len()).unwrap()];
    disk.image.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_compressed_disk_reads_as_the_disk_that_it_holds() {
    let bench = Bench::new();
    // Several members in sequence, as written by bgzip, pigz and `cat`.
    let (first, second) = (&disk()[..MIB], &disk()[MIB..]);
    for (name, compressed, wrapping) in [
        ("d.gz", gzip(&disk()), "gzip"),
        ("d.raw.gz", [gzip(first), gzip(second)].concat(), "gzip"),
        // Padded to whole blocks, as by dd or on tape.
        ("e.raw.gz", [gzip(&disk()), vec![0; 70_000]].concat(), "gzip"),
        ("d.img.zst", zstd(&disk()), "zstd"),
        ("f.zst", [b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(), zstd(&disk())].concat(), "zstd"),
        ("e.zst", [zstd(first), zstd(second)].concat(), "zstd"),
        ("d.img.bz2", bzip2(&disk()), "bzip2"),
        ("e.bz2", [bzip2(first), bzip2(second)].concat(), "bzip2"),
    ] {
        let opened = bench.open(&bench.file(name, &compressed), None).unwrap();
        assert!(bytes(&opened) == disk(), "{name}");
        assert_eq!(opened.source.format, "raw");
        assert_eq!(opened.source.compression.as_deref(), Some(wrapping));
        assert_eq!(opened.source.files.len(), 1);
        let data = opened.image.next_data(MIB as u64).unwrap().unwrap();
        assert!(data.start >= 2 * MIB as u64, "zeros are holes in the scratch file: {data:?}");
    }
    // An explicit `raw` means the compressed bytes.
    let opened = bench.open(&bench.file("d.gz", &gzip(&disk())), Some(Format::Raw)).unwrap();
    assert!(bytes(&opened) == gzip(&disk()));
}

#[test]
fn a_stream_that_is_broken_off_or_damaged_is_refused() {
    let bench = Bench::new();
    for (name, whole) in
        [("d.gz", gzip(&disk())), ("d.zst", zstd(&disk())), ("d.bz2", bzip2(&disk()))]
    {
        for len in [whole.len() - 1, whole.len() / 2, 12] {
            let error = bench.open(&bench.file(name, &whole[..len]), None).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name} {len}: {error}");
        }
        let tail = [&whole[..], &[0; 512], b"more"].concat();
        assert!(bench.open(&bench.file(name, &tail), None).is_err(), "{name}");
        let mut damaged = whole.clone();
        let at = whole.len() / 2;
        damaged[at] ^= 0x55;
        assert!(bench.open(&bench.file(name, &damaged), None).is_err(), "{name}");
    }
}

#[test]
fn a_scratch_folder_that_cannot_be_used_is_named() {
    let bench = Bench::new();
    let path = bench.file("d.gz", &gzip(&disk()));
    let scratch = Scratch::new("/nowhere/at/all".into());
    let access = DiskAccess { scratch, ..DiskAccess::default() };
    let error = access.open(&path, None, &Silent).err().unwrap();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(error.remedy().unwrap().contains("--scratch"));
    let full = Scratch::new(bench.0.path().to_owned()).file(u64::MAX).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
}
