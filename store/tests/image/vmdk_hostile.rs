//! Hostile VMDK files: each gives a clear error or the right bytes, at a bounded cost.

use std::fs;
use std::os::unix::fs::symlink;

use seawall_store::image::{DiskImage, ImageError, OpenOptions, VmdkImage};

use super::qemu::{Bench, fails};

const MIB: usize = 1 << 20;

/// Creates a sound image of 1 MiB of this kind, to break.
fn sound(kind: &str) -> Vec<u8> {
    let bench = Bench::new();
    bench.run("qemu-img create -f raw disk.raw 1M");
    bench.io("disk.raw", &["write -P 1 0 128k", "write -P 2 512k 64k", "write -P 3 960k 64k"]);
    bench.run(&format!("qemu-img convert -f raw -O vmdk -o subformat={kind} disk.raw disk.vmdk"));
    fs::read(bench.path("disk.vmdk")).unwrap()
}

/// Opens an image and reads everything that is not too long. Must not panic.
fn read(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let image = VmdkImage::from_source("hostile".into(), Box::new(bytes.to_vec()))?;
    let mut at = 0;
    // A hostile map can be long; each step of it is cheap.
    for _ in 0..1000 {
        let Some(run) = image.next_data(at)? else { break };
        assert!(at <= run.start && run.start < run.end && run.end <= image.disk_len());
        at = run.end;
    }
    let len = usize::try_from(image.disk_len()).unwrap().min(2 * MIB);
    let mut disk = vec![0; len];
    image.read_at(0, &mut disk)?;
    Ok(disk)
}

fn le32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Breaks a sound image at some offset, reads it, and returns the message.
#[track_caller]
fn broken(kind: &str, at: usize, value: &[u8]) -> String {
    let mut bytes = sound(kind);
    bytes[at..at + value.len()].copy_from_slice(value);
    let error = read(&bytes).expect_err("a broken image is refused");
    assert!(error.remedy().is_some(), "{error}");
    error.to_string()
}

#[test]
fn the_images_to_break_are_sound() {
    for kind in ["monolithicSparse", "streamOptimized"] {
        let disk = read(&sound(kind)).unwrap();
        assert_eq!((disk[0], disk[MIB / 2], disk[MIB - 1], disk[MIB / 4]), (1, 2, 3, 0), "{kind}");
    }
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    for (at, value, what) in [
        (4, &9u32.to_le_bytes()[..], "version 9"),
        (8, &(1u32 << 9).to_le_bytes(), "unknown flags"),
        (8, &(1u32 << 16 | 3).to_le_bytes(), "on whether grains are compressed"),
        (12, &(1u64 << 40).to_le_bytes(), "longer than 64 TiB"),
        (12, &(1u64 << 36).to_le_bytes(), "entries"),
        (20, &0u64.to_le_bytes(), "power of two"),
        (20, &96u64.to_le_bytes(), "power of two"),
        (20, &(1u64 << 20).to_le_bytes(), "power of two"),
        (28, &(1u64 << 60).to_le_bytes(), "past the end of file"),
        (36, &(1u64 << 12).to_le_bytes(), "past the end of file"),
        (44, &0u32.to_le_bytes(), "grain table"),
        (44, &u32::MAX.to_le_bytes(), "grain table"),
        (48, &u64::MAX.to_le_bytes(), "past the end of file"),
        (56, &(u64::MAX - 1).to_le_bytes(), "past the end of file"),
        (56, &u64::MAX.to_le_bytes(), "does not end with a footer"),
        (73, b"\n\n\r\n", "transferred as text"),
        (77, &7u16.to_le_bytes(), "compression of type 7"),
    ] {
        let message = broken("monolithicSparse", at, value);
        assert!(message.contains(what), "{at}: {message}");
    }
}

#[test]
fn the_second_directory_stands_in_for_the_first() {
    let whole = sound("monolithicSparse");
    let (second, first) = (le32(&whole, 48) * 512, le32(&whole, 56) * 512);
    let disk = read(&whole).unwrap();
    let mut bytes = whole.clone();
    bytes[first..first + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read(&bytes).unwrap() == disk);
    bytes[second..second + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let message = read(&bytes).unwrap_err().to_string();
    assert!(message.contains("grain directory") && message.contains("entry 0"), "{message}");
    // A file with only the second grain directory.
    let mut bytes = whole.clone();
    bytes[56..64].fill(0);
    assert!(read(&bytes).unwrap() == disk);
}

#[test]
fn a_grain_that_cannot_be_is_refused() {
    let plain = sound("monolithicSparse");
    let table = le32(&plain, le32(&plain, 56) * 512) * 512;
    let message = broken("monolithicSparse", table, &u32::MAX.to_le_bytes());
    assert!(message.contains("grain table") && message.contains("past the end"), "{message}");

    let packed = sound("streamOptimized");
    let table = le32(&packed, le32(&packed, 56) * 512) * 512;
    let grain = le32(&packed, table) * 512;
    for (at, value, what) in [
        (table, &u32::MAX.to_le_bytes()[..], "past the end"),
        (grain, &1u64.to_le_bytes(), "marked as sector 1, not 0"),
        (grain + 8, &0u32.to_le_bytes(), "0 bytes"),
        (grain + 8, &u32::MAX.to_le_bytes(), "too many for a grain"),
        (grain + 8, &3u32.to_le_bytes(), "zlib"),
        (grain + 12, &[0xff; 40], "zlib"),
    ] {
        let message = broken("streamOptimized", at, value);
        assert!(message.contains(what), "{at}: {message}");
    }
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let mut stream = vec![0; compressor.zlib_compress_bound(content.len())];
    let len = compressor.zlib_compress(content, &mut stream).unwrap();
    stream.truncate(len);
    stream
}

#[test]
fn a_grain_that_inflates_to_another_length_is_refused() {
    let whole = sound("streamOptimized");
    let table = le32(&whole, le32(&whole, 56) * 512) * 512;
    for (len, is_right) in
        [(65_536, true), (0, false), (65_535, false), (65_537, false), (64 * MIB, false)]
    {
        let stream = zlib(&vec![9; len]);
        let mut bytes = whole.clone();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        let sector = u32::try_from(bytes.len() / 512).unwrap();
        bytes[table..table + 4].copy_from_slice(&sector.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(u32::try_from(stream.len()).unwrap().to_le_bytes());
        bytes.extend(stream);
        match read(&bytes) {
            Ok(disk) => assert!(is_right && disk[..65_536] == [9; 65_536], "{len}"),
            Err(error) => assert!(!is_right && error.to_string().contains("compressed grain")),
        }
    }
}

#[test]
fn a_truncated_image_is_an_error_or_right() {
    for kind in ["monolithicSparse", "streamOptimized"] {
        let whole = sound(kind);
        let disk = read(&whole).unwrap();
        let lens = (0..600).chain((600..whole.len()).step_by(997)).chain([whole.len() - 1]);
        for len in lens {
            if let Ok(read) = read(&whole[..len]) {
                // QEMU, too, accepts such data as an incomplete last grain.
                let lost = read.iter().zip(&disk).filter(|(read, disk)| read != disk);
                assert!(lost.clone().all(|(read, _)| *read == 0), "{kind} {len}");
                assert!(lost.count() < 65_536, "{kind} {len}");
            }
        }
    }
}

const HEAD: &str = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n";

#[test]
fn a_descriptor_that_cannot_be_is_refused() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("o.raw"), vec![1; 51_200]).unwrap();
    symlink(outside.path().join("o.raw"), bench.path("link.raw")).unwrap();
    symlink(outside.path(), bench.path("link")).unwrap();
    fs::write(bench.path(".hidden.raw"), vec![1; 51_200]).unwrap();
    fs::write(bench.path("a.raw"), vec![1; 51_200]).unwrap();
    fs::create_dir(bench.path("sub")).unwrap();
    fs::write(bench.path("sub/b.raw"), vec![1; 51_200]).unwrap();
    fs::write(bench.path("se.vmdk"), 0xcafe_babe_u64.to_le_bytes().repeat(64)).unwrap();
    bench.run("qemu-img create -q -f vmdk s.vmdk 1M");
    for (lines, what) in [
        ("", "names no extent"),
        ("RW", "length in sectors"),
        ("RW x FLAT \"a.raw\" 0", "length in sectors"),
        ("RW -1 FLAT \"a.raw\" 0", "length in sectors"),
        ("RW 0 FLAT \"a.raw\" 0", "length in sectors"),
        ("RW 99999999999999999999 FLAT \"a.raw\" 0", "length in sectors"),
        ("RW 100 FLAT \"a.raw\" x", "offset is not a number"),
        ("RW 100 FLAT \"a.raw\" 18446744073709551615", "offset is not a number"),
        ("RW 100 FLAT \"a.raw\" 1", "a.raw has 51200 bytes"),
        ("RW 101 FLAT \"a.raw\"", "a.raw has 51200 bytes"),
        ("RW 100 SPARSE \"a.raw\"", "KDMV or COWD"),
        ("RW 100 SPARSE \"s.vmdk\"", "says 2048"),
        ("RW 100 SPARSE \"se.vmdk\"", "seSparse"),
        ("RW 100 SESPARSE \"se.vmdk\"", "seSparse"),
        ("RW 100 VMFSRDM \"a.raw\"", "VMFSRDM"),
        ("NOACCESS 100 FLAT \"a.raw\" 0", "NOACCESS"),
        ("WR 100 FLAT \"a.raw\" 0", "may be an extent"),
        ("RW 100 FLAT \"/etc/passwd\" 0", "own folder"),
        ("RW 100 FLAT \"../../../../../../../../etc/passwd\" 0", "own folder"),
        ("RW 100 FLAT \"link.raw\" 0", "own folder"),
        ("RW 100 FLAT \"link/o.raw\" 0", "own folder"),
        ("RW 100 FLAT \".hidden.raw\" 0", "own folder"),
        ("RW 100 FLAT \"\" 0", "names no file"),
        ("RW 100 FLAT \"/dev/sda\" 0", "the device /dev/sda"),
        ("RW 100 FLAT \"\\\\.\\PhysicalDrive0\" 0", "the device"),
        ("createType=\"fullDevice\"\nRW 100 FLAT \"a.raw\" 0", "represents a device"),
        ("RW 100 FLAT \"a.raw 0", "no second quote"),
        ("RW 100 FLAT \"nosuch\" 0", "cannot be opened"),
        ("RW 100 FLAT \"sub\" 0", "a directory"),
        ("CID=xyz\nRW 100 ZERO", "hexadecimal"),
        ("parentCID=12\nRW 100 ZERO", "does not name its file"),
        ("parentCID=12\nparentFileNameHint=\"nbd://x\"\nRW 100 ZERO", "URI"),
        ("parentCID=12\nparentFileNameHint=\"a.raw\"\nRW 100 ZERO", "neither a sparse extent nor"),
        ("RW 137438953472 ZERO\nRW 1 ZERO", "longer than 64 TiB"),
        (&"RW 1 ZERO\n".repeat(8193), "more than 8192 extents"),
        (&"#\n".repeat(MIB), "at most 1 MiB"),
    ] {
        fs::write(bench.path("disk.vmdk"), format!("{HEAD}{lines}\n")).unwrap();
        let message = fails(&bench.path("disk.vmdk"), &OpenOptions::default());
        assert!(message.contains(what), "{}: {message}", &lines[..lines.len().min(100)]);
    }
}

#[test]
fn a_descriptor_of_any_writer_is_read() {
    let bench = Bench::new();
    fs::write(bench.path("a.raw"), vec![1; 51_200]).unwrap();
    fs::create_dir(bench.path("sub")).unwrap();
    fs::write(bench.path("sub/b.raw"), vec![1; 51_200]).unwrap();
    bench.run("qemu-img create -q -f vmdk s.vmdk 1M");
    let absolute = format!("RW 100 FLAT \"{}\" 0", bench.path("a.raw").display());
    for lines in [
        "RW 100 FLAT \"a.raw\" 0",
        "RW 9 FLAT \"sub/b.raw\" 91",
        "RW\t5  ZERO ",
        "RW 2048 SPARSE \"s.vmdk\" 5",
        "rw 100 flat a.raw",
        "RW 100 FLAT 'a.raw' 0 partitionUUID x",
        "RW 100 VMFS \"C:\\VMs\\a.raw\"",
        "RW 100 VMFS \"/vmfs/volumes/1/a.raw\"",
        "RW 9 FLAT \"sub\\b.raw\" 91",
        &absolute,
        "some words\nRW 5 ZERO",
    ] {
        fs::write(bench.path("disk.vmdk"), format!("{HEAD}{lines}\n")).unwrap();
        let options = OpenOptions { allow_backing: false, ..OpenOptions::default() };
        assert!(seawall_store::image::open(&bench.path("disk.vmdk"), &options).is_ok(), "{lines}");
    }
}

#[test]
fn a_descriptor_that_is_no_file_has_no_extents() {
    let bytes = format!("{HEAD}RW 100 FLAT \"a.raw\" 0\n").into_bytes();
    let message = read(&bytes).unwrap_err().to_string();
    assert!(message.contains("a.raw") && message.contains("not a file"), "{message}");
    assert_eq!(read(format!("{HEAD}RW 100 ZERO").as_bytes()).unwrap(), [0; 51_200]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 300, failure_persistence: None, ..proptest::test_runner::Config::default()
    })]

    /// No change of the metadata causes a panic.
    #[test]
    fn flipped_bytes_of_a_vmdk_never_panic(
        kind in 0usize..2,
        flips in proptest::collection::vec((0usize..2000, 0usize..4, 0u8..=255), 1..6),
    ) {
        static SOUND: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let sound = SOUND.get_or_init(|| {
            ["monolithicSparse", "streamOptimized"].map(sound).to_vec()
        });
        let mut bytes = sound[kind].clone();
        let directory = le32(&bytes, 56) * 512;
        let table = le32(&bytes, directory) * 512;
        for (at, place, value) in flips {
            let at = match place {
                0 => at % 80,
                1 => 512 + at % 400,
                2 => directory + at % 8,
                _ => table + at % 128,
            };
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let _ = read(&bytes);
    }
}
