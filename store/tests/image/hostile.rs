//! Hostile images: each gives a clear error or the right bytes, at a bounded cost.

use seawall_store::image::{Format, ImageError, open_source};

use super::qemu::Bench;

const MIB: usize = 1 << 20;

/// Creates a sound image of 1 MiB to break: three clusters of data, one of them compressed.
fn sound(options: &str) -> Vec<u8> {
    let bench = Bench::new();
    bench.run(&format!("qemu-img create -f qcow2 -o {options} disk.qcow2 1M"));
    bench.io("disk.qcow2", &["write -P 1 0 128k", "write -P 2 512k 64k", "write -c -P 3 960k 64k"]);
    std::fs::read(bench.path("disk.qcow2")).unwrap()
}

/// Opens an image and reads everything that is not too long. Must not panic.
fn read(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    read_source(bytes, Format::Qcow2)
}

/// As [`read`], for any format.
pub(super) fn read_source(bytes: &[u8], format: Format) -> Result<Vec<u8>, ImageError> {
    let image = open_source("hostile".into(), Box::new(bytes.to_vec()), format)?;
    let mut at = 0;
    // A hostile map can be long; each step of it is cheap.
    for _ in 0..1000 {
        let Some(run) = image.next_data(at)? else { break };
        assert!(at <= run.start && run.start < run.end && run.end <= image.disk_len());
        at = run.end;
    }
    let len = usize::try_from(image.disk_len()).unwrap().min(8 * MIB);
    let mut disk = vec![0; len];
    image.read_at(0, &mut disk)?;
    Ok(disk)
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn offset(bytes: &[u8], at: usize) -> usize {
    usize::try_from(word(bytes, at) & 0x00ff_ffff_ffff_fe00).unwrap()
}

/// Breaks a sound image, reads it, and returns the message.
fn broken(breaks: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = sound("cluster_size=64k");
    breaks(&mut bytes);
    let err = read(&bytes).expect_err("a broken image is refused");
    assert!(!err.to_string().contains(" at offset 0: no"), "{err}");
    err.to_string()
}

/// Breaks the L2 entry of a cluster. Returns the message.
fn broken_entry(cluster: usize, entry: u64) -> String {
    broken(|bytes| {
        let at = offset(bytes, offset(bytes, 40)) + cluster * 8;
        put(bytes, at, &entry.to_be_bytes());
    })
}

#[test]
fn the_image_to_break_is_sound() {
    for options in ["cluster_size=64k", "extended_l2=on", "compression_type=zstd"] {
        let disk = read(&sound(options)).unwrap();
        assert_eq!((disk[0], disk[MIB / 2], disk[MIB - 1], disk[MIB / 4]), (1, 2, 3, 0));
    }
}

#[test]
fn a_truncated_image_is_an_error_or_right() {
    for options in ["cluster_size=64k", "extended_l2=on", "compression_type=zstd"] {
        let whole = sound(options);
        let disk = read(&whole).unwrap();
        let lens = (0..200).chain((200..whole.len()).step_by(997)).chain([whole.len() - 1]);
        for len in lens {
            if let Ok(read) = read(&whole[..len]) {
                // QEMU, too, accepts such data as an incomplete last cluster.
                let lost = read.iter().zip(&disk).filter(|(read, disk)| read != disk);
                assert!(lost.clone().all(|(read, _)| *read == 0), "{options} {len}");
                assert!(lost.count() < 64 << 10, "{options} {len}");
            }
        }
    }
}

#[test]
fn each_header_field_bears_every_extreme() {
    let whole = sound("cluster_size=64k");
    let extremes: [u64; 12] =
        [0, 1, 2, 8, 511, 512, 65_535, 65_536, 1 << 31, u64::MAX >> 1, u64::MAX - 7, u64::MAX];
    for at in 4..120 {
        for value in extremes {
            for (width, bytes) in [(8, value.to_be_bytes()), (4, (value << 32).to_be_bytes())] {
                let mut image = whole.clone();
                put(&mut image, at, &bytes[..width]);
                // Any result is fine, if it comes soon and without a panic.
                let _ = read(&image);
            }
        }
    }
}

#[test]
fn each_broken_header_names_its_field() {
    let cases: [(usize, &[u8], &str); 14] = [
        (0, b"QFI!", "magic"),
        (7, &[1], "qcow version 1"),
        (7, &[4], "qcow version 4"),
        (23, &[8], "cluster_bits"),
        (23, &[22], "cluster_bits"),
        (24, &[0, 0, 0x40, 0, 0, 0, 2, 0], "64 TiB"),
        (24, &[0, 0, 0, 1, 0, 0, 0, 0], "L1 table"),
        (40, &[0, 0, 0, 0, 0, 0, 1, 0], "L1 table"),
        (40, &[0x7f, 0, 0, 0, 0, 0, 0, 0], "L1 table"),
        (79, &[2], "marked as corrupt"),
        (79, &[8], "compression"),
        (76, &[1, 0, 0, 0], "unknown incompatible features 0x1000000"),
        (100, &[0, 0, 0, 103], "header_length"),
        (104, &[1], "compression"),
    ];
    for (at, value, expected) in cases {
        let message = broken(|bytes| put(bytes, at, value));
        assert!(message.contains(expected), "{at}: {message}");
    }
}

#[test]
fn a_huge_l1_costs_nothing() {
    // 64 TiB at clusters of 512 bytes would need an L1 table of 16 GiB.
    let message = broken(|bytes| {
        put(bytes, 23, &[9]);
        put(bytes, 24, &(64u64 << 40).to_be_bytes());
        put(bytes, 36, &u32::MAX.to_be_bytes());
    });
    assert!(message.contains("L1 table"), "{message}");
    // An L1 table that is longer than the disk needs is read as far as needed.
    let mut long = sound("cluster_size=64k");
    put(&mut long, 36, &u32::MAX.to_be_bytes());
    assert!(read(&long).is_ok());
}

#[test]
fn tables_that_point_astray_are_refused() {
    let l1 = |entry: u64| {
        broken(|bytes| {
            let at = offset(bytes, 40);
            put(bytes, at, &entry.to_be_bytes());
        })
    };
    assert!(l1(0x200).contains("L1 table"), "unaligned");
    assert!(l1(1 << 40).contains("L1 table"), "past the end");
    assert!(broken_entry(0, 0x200).contains("not at a cluster"));
    assert!(broken_entry(0, 1 << 40).contains("past the end"));
    assert!(broken_entry(8, 0x00ff_ffff_ffff_0000).contains("past the end"));
}

#[test]
fn tables_that_point_at_themselves_end() {
    let whole = sound("cluster_size=64k");
    let l1_at = offset(&whole, 40);
    // L1 as its own L2 table: its only entry then refers to a data cluster, which is the table
    // itself.
    let mut image = whole.clone();
    put(&mut image, l1_at, &u64::try_from(l1_at).unwrap().to_be_bytes());
    let disk = read(&image).unwrap();
    assert_eq!(disk[..65_536], image[l1_at..l1_at + 65_536]);
    // An L2 entry whose data is the L2 table, and one whose data is the header.
    let l2_at = offset(&whole, l1_at);
    let mut image = whole;
    put(&mut image, l2_at, &u64::try_from(l2_at).unwrap().to_be_bytes());
    assert_eq!(read(&image).unwrap()[..65_536], image[l2_at..l2_at + 65_536]);
}

#[test]
fn version_2_has_no_zero_clusters() {
    let mut bytes = sound("compat=0.10");
    let at = offset(&bytes, offset(&bytes, 40));
    put(&mut bytes, at, &1u64.to_be_bytes());
    assert!(read(&bytes).unwrap_err().to_string().contains("version 2"));
}

#[test]
fn subclusters_that_contradict_are_refused() {
    for bitmap in [0x0000_0001_0000_0001u64, 0xffff_ffff_ffff_ffff] {
        let mut bytes = sound("extended_l2=on");
        let at = offset(&bytes, offset(&bytes, 40)) + 8;
        put(&mut bytes, at, &bitmap.to_be_bytes());
        assert!(read(&bytes).unwrap_err().to_string().contains("both data and zeros"));
    }
    let mut bytes = sound("extended_l2=on");
    let at = offset(&bytes, offset(&bytes, 40)) + 2 * 16;
    put(&mut bytes, at + 8, &1u64.to_be_bytes());
    assert!(read(&bytes).unwrap_err().to_string().contains("no cluster"));
}

#[test]
fn compressed_clusters_past_the_end_are_refused() {
    let message = broken_entry(0, 1 << 62 | ((1 << 54) - 1));
    assert!(message.contains("compressed data is past the end"), "{message}");
    // A descriptor with all bits set.
    assert!(broken_entry(0, u64::MAX).contains("past the end"));
    // A stream that starts in the file and ends after it is clipped; here it is noise.
    assert!(broken_entry(0, 1 << 62 | 0xff << 54).contains("compressed cluster"));
}

/// Puts `stream` at the end of an image as the compressed first cluster.
fn with_stream(options: &str, stream: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut bytes = sound(options);
    let entry = 1 << 62 | 0xff << 54 | u64::try_from(bytes.len()).unwrap();
    let at = offset(&bytes, offset(&bytes, 40));
    put(&mut bytes, at, &entry.to_be_bytes());
    bytes.extend_from_slice(stream);
    read(&bytes)
}

fn zstd(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
    let len = zstd_safe::compress(&mut frame[..], content, 19).unwrap();
    frame.truncate(len);
    frame
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let mut stream = vec![0; compressor.deflate_compress_bound(content.len())];
    let len = compressor.deflate_compress(content, &mut stream).unwrap();
    stream.truncate(len);
    stream
}

#[test]
fn a_cluster_that_inflates_to_another_length_is_refused() {
    for (options, pack) in [
        ("compression_type=zlib", deflate as fn(&[u8]) -> Vec<u8>),
        ("compression_type=zstd", zstd),
    ] {
        let right = with_stream(options, &pack(&[9; 65_536])).unwrap();
        assert_eq!(right[..65_536], [9; 65_536]);
        for len in [0, 1, 65_535, 65_537, 64 * MIB] {
            let err = with_stream(options, &pack(&vec![9; len])).unwrap_err().to_string();
            assert!(err.contains("compressed cluster"), "{options} {len}: {err}");
        }
        let mut cut = pack(&super::qemu::content(65_536, 1));
        cut.truncate(cut.len() - 9);
        assert!(with_stream(options, &cut).is_err());
        assert!(with_stream(options, b"").is_err());
    }
}

#[test]
fn zstd_frames_add_up_and_empty_ones_do_not_loop() {
    let halves = [zstd(&[1; 32_768]), zstd(b""), zstd(&[2; 32_768])].concat();
    let disk = with_stream("compression_type=zstd", &halves).unwrap();
    assert_eq!((disk[32_767], disk[32_768]), (1, 2));
    let empty = zstd(b"").repeat(1000);
    assert!(with_stream("compression_type=zstd", &empty).is_err());
    // A frame that asks for a window of 2 GiB and holds one byte.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x09, 0x00, 0x00, 0x09];
    assert!(with_stream("compression_type=zstd", &window).is_err());
}

#[test]
fn an_image_in_memory_has_no_backing_file() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -u -f qcow2 -b base.raw -F raw top.qcow2 1M");
    let mut bytes = std::fs::read(bench.path("top.qcow2")).unwrap();
    assert!(read(&bytes).unwrap_err().to_string().contains("base.raw"));
    // The name of a backing file, and the extension with its format, out of bounds.
    for (at, value) in [(8, 1u64 << 40), (8, 80), (16, 0xffff << 32), (16, 1024 << 32)] {
        let mut image = bytes.clone();
        put(&mut image, at, &value.to_be_bytes()[..if at == 16 { 4 } else { 8 }]);
        assert!(read(&image).unwrap_err().to_string().contains("backing file name"), "{at}");
    }
    put(&mut bytes, 112 + 4, &u32::MAX.to_be_bytes());
    assert!(read(&bytes).unwrap_err().to_string().contains("header extension"));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 300, failure_persistence: None, ..proptest::test_runner::Config::default()
    })]

    /// No change of the metadata causes a panic.
    #[test]
    fn flipped_bytes_never_panic(
        kind in 0usize..3,
        flips in proptest::collection::vec((0usize..2000, 0usize..4, 0u8..=255), 1..6),
    ) {
        static SOUND: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let sound = SOUND.get_or_init(|| {
            ["cluster_size=512", "extended_l2=on,cluster_size=16k", "compression_type=zstd"]
                .map(sound).to_vec()
        });
        let mut bytes = sound[kind].clone();
        let l1_at = offset(&bytes, 40);
        let l2_at = offset(&bytes, l1_at);
        for (at, place, value) in flips {
            let at = match place {
                0 => at % 120,
                1 => l1_at + at % 64,
                2 => l2_at + at % 256,
                _ => bytes.len() - 1 - at % 600,
            };
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let _ = read(&bytes);
    }
}
