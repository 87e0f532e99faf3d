//! VHDX: images written by QEMU and by us, broken images, and logs to replay.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use seawall_api::digest::ContentDigest;
use seawall_store::image::layout::{Layout, LayoutError, VhdxKind, VhdxLayout, VhdxSectors};
use seawall_store::image::{Format, ImageError, OpenOptions, Source, open, open_source};

use super::hostile::{put, read_source};
use super::qemu::{Bench, read_mapped, runs};
use super::written;

const MIB: u64 = 1 << 20;
pub(super) const HEADERS: [usize; 2] = [64 << 10, 128 << 10];
const REGIONS: [usize; 2] = [192 << 10, 256 << 10];

#[test]
fn images_of_qemu_read_as_in_qemu() {
    for subformat in ["dynamic", "fixed"] {
        for block in ["1M", "8M", "256M"] {
            let bench = Bench::new();
            bench.raw("disk.raw", 5 * MIB + 2560);
            bench.run(&format!(
                "qemu-img convert -f raw -O vhdx -o subformat={subformat},block_size={block} \
                 disk.raw disk.vhdx"
            ));
            bench.assert_same("disk.vhdx");
        }
    }
    let bench = Bench::new();
    for size in ["0", "512", "1M"] {
        bench.run(&format!("qemu-img create -q -f vhdx disk.vhdx {size}"));
        bench.assert_same("disk.vhdx");
    }
}

/// QEMU's map of a VHDX is one run of data, so holes are compared with the written data.
#[test]
fn blocks_that_were_never_written_are_holes() {
    for zero in ["on", "off"] {
        let bench = Bench::new();
        let options = format!("block_size=1M,block_state_zero={zero}");
        bench.run(&format!("qemu-img create -q -f vhdx -o {options} disk.vhdx 9G"));
        // Both sides of the entry for a sector bitmap, which comes after each 4 GiB.
        bench.io(
            "disk.vhdx",
            &["write -P 1 4095M 64k", "write -P 2 4096M 1M", "write -P 3 9215M 8k"],
        );
        let opened = open(&bench.path("disk.vhdx"), &OpenOptions::default()).unwrap();
        let found = runs(&*opened);
        let starts: Vec<u64> = found.iter().map(|run| run.start / MIB).collect();
        assert_eq!(starts, [4095, 4096, 9215], "{found:?}");
        let mut bytes = [9; 3];
        for (byte, at) in bytes.iter_mut().zip([4095 * MIB, 4097 * MIB - 1, 9215 * MIB]) {
            opened.read_at(at, std::slice::from_mut(byte)).unwrap();
        }
        assert_eq!(bytes, [1, 2, 3]);
    }
}

#[test]
fn a_large_sparse_disk_is_mapped_at_once() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vhdx disk.vhdx 60T");
    bench.io("disk.vhdx", &["write -P 1 0 64k", "write -P 2 700G 1M", "write -P 3 59T 64k"]);
    let opened = open(&bench.path("disk.vhdx"), &OpenOptions::default()).unwrap();
    let starts: Vec<u64> = runs(&*opened).iter().map(|run| run.start >> 30).collect();
    assert_eq!(starts, [0, 700, 59 << 10]);
}

#[test]
fn large_disks_are_laid_out_as_qemu_reads_them() {
    let tib = 1u64 << 40;
    for (kind, disk_len) in [
        (VhdxKind::Dynamic, 9 << 30),
        (VhdxKind::Fixed, 9 << 30),
        (VhdxKind::Dynamic, 5 * tib + 512),
        (VhdxKind::Dynamic, 64 * tib),
    ] {
        let bench = Bench::new();
        let data = [0..1, (4 << 30) - 1..(4 << 30) + 1, disk_len - 1..disk_len];
        let content = ContentDigest::of(b"large");
        let sectors = VhdxSectors::Emulated512;
        let layout = VhdxLayout::new(kind, sectors, disk_len, &content, data.clone()).unwrap();
        let file = std::fs::File::create(bench.path("disk.vhdx")).unwrap();
        seawall_store::image::layout::write_metadata(&layout, &file).unwrap();
        for at in data.iter().flat_map(|run| run.clone()) {
            use std::os::unix::fs::FileExt;
            let host = layout.host_offset(at).unwrap();
            file.write_all_at(&[7], host.offset).unwrap();
        }
        bench.run("qemu-img check -f vhdx disk.vhdx");
        let info = bench.run("qemu-img info -f vhdx --output=json disk.vhdx");
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"].as_u64(), Some(disk_len));
        let reads = |at: u64, byte: u8| format!("read -P {byte} {at} 1");
        let checks: Vec<String> = data
            .iter()
            .flat_map(|run| run.clone())
            .map(|at| reads(at, 7))
            .chain([reads(3 << 30, 0), reads(disk_len - 2, 0)])
            .collect();
        let mut args = vec!["-r", "-f", "vhdx"];
        checks.iter().for_each(|check| args.extend(["-c", check]));
        args.push("disk.vhdx");
        let output = bench.run_args("qemu-io", &args);
        assert!(!output.contains("failed"), "{disk_len}: {output}");
        let opened = open(&bench.path("disk.vhdx"), &OpenOptions::default()).unwrap();
        let covered = |at: u64| runs(&*opened).iter().any(|run| run.contains(&at));
        assert!(data.iter().all(|run| covered(run.start)));
        assert!(!covered(3 << 30));
    }
}

#[test]
fn sectors_of_4_kib_are_read_and_written() {
    for kind in [VhdxKind::Dynamic, VhdxKind::Fixed] {
        let bench = Bench::new();
        let data = [0..5000, 3 * MIB..3 * MIB + 1, 5 * MIB..5 * MIB + 4096];
        let disk = written::disk(&bench, 5 * MIB + 4096, &data);
        let (content, len) = (ContentDigest::of(&disk), 5 * MIB + 4096);
        let native = VhdxSectors::Native4k;
        let layout = VhdxLayout::new(kind, native, len, &content, data.clone()).unwrap();
        written::write(&bench, &layout, &disk, &data);
        let opened = open(&bench.path("one"), &OpenOptions::default()).unwrap();
        assert!(read_mapped(&*opened, 1 << 20) == disk);
        let odd = VhdxLayout::new(kind, native, 5 * MIB + 512, &content, []);
        assert!(matches!(odd, Err(LayoutError::NotSectors { sector_len: 4096, .. })), "{odd:?}");
        let long = VhdxLayout::new(kind, native, (64 << 40) + 4096, &content, []);
        assert!(matches!(long, Err(LayoutError::DiskTooLong { .. })), "{long:?}");
    }
    // QEMU's image, relabelled with such sectors; a chunk then has eight times as many blocks.
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vhdx -o block_size=1M disk.vhdx 9G");
    bench.io("disk.vhdx", &["write -P 1 4095M 64k", "write -P 2 4096M 1M"]);
    let mut bytes = std::fs::read(bench.path("disk.vhdx")).unwrap();
    let item = item(&bytes, [0x1d, 0xbf, 0x41, 0x81]);
    put(&mut bytes, item, &4096u32.to_le_bytes());
    let image = open_source("x".into(), Box::new(bytes), Format::Vhdx).unwrap();
    let found = runs(&*image);
    assert_eq!(found.iter().map(|run| run.start / MIB).collect::<Vec<_>>(), [4095, 4097]);
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

/// Corrects the checksum of a changed structure.
fn seal(bytes: &mut [u8], at: usize, len: usize) {
    bytes[at + 4..at + 8].fill(0);
    let crc = crc(&bytes[at..at + len]);
    put(bytes, at + 4, &crc.to_le_bytes());
}

pub(super) fn word(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

/// Returns the offset of a region in QEMU's order: 0 is the table of blocks, 1 the metadata.
pub(super) fn region(bytes: &[u8], index: usize) -> usize {
    word(bytes, REGIONS[0] + 16 + index * 32 + 16)
}

/// Returns the offset of the metadata item whose GUID has this prefix.
pub(super) fn item(bytes: &[u8], id: [u8; 4]) -> usize {
    let table = region(bytes, 1);
    let entry = (0..5).map(|i| table + 32 + i * 32).find(|at| bytes[*at..at + 4] == id).unwrap();
    table + (word(bytes, entry + 16) & 0xffff_ffff)
}

/// Creates an image of 5 MiB by QEMU, with data in two of five blocks.
fn sound() -> &'static Vec<u8> {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let bench = Bench::new();
        bench.run("qemu-img create -q -f vhdx -o block_size=1M sound.vhdx 5M");
        bench.io("sound.vhdx", &["write -P 1 0 64k", "write -P 2 3M 64k"]);
        std::fs::read(bench.path("sound.vhdx")).unwrap()
    })
}

#[test]
fn the_newer_of_two_sound_headers_counts() {
    let mut bytes = sound().clone();
    let expected = read_source(&bytes, Format::Vhdx).unwrap();
    assert_eq!((expected[0], expected[3 << 20], expected[1 << 20]), (1, 2, 0));
    // The log of the older header is out of place, which matters only if that header is the only
    // one.
    let older = if word(&bytes, HEADERS[0] + 8) < word(&bytes, HEADERS[1] + 8) { 0 } else { 1 };
    bytes[HEADERS[older] + 48] = 1;
    put(&mut bytes, HEADERS[older] + 72, &(1u64 << 40).to_le_bytes());
    seal(&mut bytes, HEADERS[older], 4096);
    assert!(read_source(&bytes, Format::Vhdx).unwrap() == expected);
    bytes[HEADERS[1 - older] + 100] ^= 1;
    let message = read_source(&bytes, Format::Vhdx).unwrap_err().to_string();
    assert!(message.contains("VHDX header") && message.contains("log"), "{message}");
    bytes[HEADERS[older] + 100] ^= 1;
    let error = read_source(&bytes, Format::Vhdx).unwrap_err();
    assert!(error.to_string().contains("VHDX header at offset 65536"), "{error}");
    assert!(error.remedy().unwrap().contains("qemu-img check"));
}

#[test]
fn the_second_region_table_serves_when_the_first_is_damaged() {
    let mut bytes = sound().clone();
    let expected = read_source(&bytes, Format::Vhdx).unwrap();
    bytes[REGIONS[0] + 20] ^= 1;
    assert!(read_source(&bytes, Format::Vhdx).unwrap() == expected);
    bytes[REGIONS[1] + 20] ^= 1;
    let message = read_source(&bytes, Format::Vhdx).unwrap_err().to_string();
    assert!(message.contains("VHDX region table at offset 196608"), "{message}");
}

#[test]
fn blocks_that_point_astray_are_refused() {
    for (entry, expected) in [
        (6u64, "not in the file"),
        (1 << 40 | 6, "not in the file"),
        (!7 | 6, "not in the file"),
        (4 << 20 | 4, "state 4"),
        (4 << 20 | 7, "state 7"),
    ] {
        let mut bytes = sound().clone();
        let bat = region(&bytes, 0);
        put(&mut bytes, bat, &entry.to_le_bytes());
        let message = read_source(&bytes, Format::Vhdx).unwrap_err().to_string();
        assert!(message.contains("VHDX table entry") && message.contains(expected), "{message}");
    }
}

/// Bytes in memory with some changes, so that thousands of cases need no copies.
struct Patched {
    whole: &'static Vec<u8>,
    patches: Vec<(usize, Vec<u8>)>,
}

impl Source for Patched {
    fn source_len(&self) -> u64 {
        self.whole.source_len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.whole.read_exact_at(offset, buf)?;
        let start = usize::try_from(offset).unwrap();
        for (at, bytes) in &self.patches {
            let (from, to) = ((*at).max(start), (at + bytes.len()).min(start + buf.len()));
            if from < to {
                buf[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
            }
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.whole.next_run(from)
    }
}

/// Opens the sound image with these changes, with or without corrected checksums.
fn probe(changes: &[(usize, Vec<u8>)], sealed: bool) -> Result<(), ImageError> {
    let structures = [(HEADERS[0], 4096), (HEADERS[1], 4096), (REGIONS[0], 65_536)];
    let mut patches = Vec::new();
    for (at, bytes) in changes {
        patches.push((*at, bytes.clone()));
        let structure = structures.iter().find(|(start, len)| (*start..start + len).contains(at));
        if let Some((start, len)) = structure.filter(|_| sealed) {
            let mut copy = sound()[*start..start + len].to_vec();
            let end = bytes.len().min(start + len - at);
            copy[at - start..at - start + end].copy_from_slice(&bytes[..end]);
            seal(&mut copy, 0, *len);
            patches.push((*start, copy));
        }
    }
    let source = Patched { whole: sound(), patches };
    let image = open_source("hostile".into(), Box::new(source), Format::Vhdx)?;
    let mut at = 0;
    for _ in 0..100 {
        let Some(run) = image.next_data(at)? else { break };
        assert!(at <= run.start && run.start < run.end && run.end <= image.disk_len());
        at = run.end;
    }
    let len = image.disk_len().min(4096);
    let mut buf = vec![0; usize::try_from(len).unwrap()];
    for at in [0, image.disk_len() - len, image.disk_len() / 2 / 4096 * 4096] {
        image.read_at(at.min(image.disk_len() - len), &mut buf)?;
    }
    Ok(())
}

#[test]
fn each_field_bears_every_extreme() {
    let (bat, metadata) = (region(sound(), 0), region(sound(), 1));
    let current = if word(sound(), HEADERS[0] + 8) > word(sound(), HEADERS[1] + 8) { 0 } else { 1 };
    let fields = (HEADERS[current] + 8..HEADERS[current] + 80)
        .chain(REGIONS[0] + 8..REGIONS[0] + 80)
        .chain(metadata + 8..metadata + 200)
        .chain(metadata + 65_536..metadata + 65_600)
        .chain(bat..bat + 32);
    assert!(probe(&[], false).is_ok());
    for at in fields.step_by(2) {
        for value in [0, 1, 2, 7, 511, 1 << 20, 1 << 31, u64::MAX >> 1, u64::MAX - 7, u64::MAX] {
            for width in [2, 4, 8] {
                // Any result is fine, if it comes soon and without a panic.
                let _ = probe(&[(at, value.to_le_bytes()[..width].to_vec())], true);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn flipped_bytes_never_panic(
        flips in prop::collection::vec((0usize..5, 0usize..220, 0u8..=255), 1..5),
        sealed in any::<bool>(),
    ) {
        let (bat, metadata) = (region(sound(), 0), region(sound(), 1));
        let starts = [HEADERS[0], HEADERS[1], REGIONS[0], metadata, bat];
        let changes: Vec<_> =
            flips.iter().map(|(i, at, value)| (starts[*i] + at, vec![*value])).collect();
        let _ = probe(&changes, sealed);
    }
}

const LOG_LEN: usize = 1 << 20;
const LOG_ID: [u8; 16] = [0x5e; 16];

/// A change in a log entry: a new sector, or sectors of zeros.
enum Change<'a> {
    Sector(usize, &'a [u8]),
    Zeros(usize, u64),
}

/// Returns a log entry. `tail` is the offset in the log of the oldest entry of its sequence.
fn entry(sequence: u64, tail: u32, file_len: usize, changes: &[Change<'_>]) -> Vec<u8> {
    let mut head = b"loge\0\0\0\0".to_vec();
    let mut data = Vec::new();
    let mut descriptors = Vec::new();
    for change in changes {
        match change {
            Change::Sector(at, bytes) => {
                descriptors.extend([b"desc", &bytes[4092..]].concat());
                descriptors.extend(&bytes[..8]);
                descriptors.extend(u64::try_from(*at).unwrap().to_le_bytes());
                data.extend(b"data");
                data.extend([0; 4]);
                data.extend(&bytes[8..4092]);
                data.extend(u32::try_from(sequence).unwrap().to_le_bytes());
            }
            Change::Zeros(at, len) => {
                descriptors.extend(b"zero\0\0\0\0");
                descriptors.extend(len.to_le_bytes());
                descriptors.extend(u64::try_from(*at).unwrap().to_le_bytes());
            }
        }
        descriptors.extend(sequence.to_le_bytes());
    }
    head.extend(u32::try_from(4096 + data.len()).unwrap().to_le_bytes());
    head.extend(tail.to_le_bytes());
    head.extend(sequence.to_le_bytes());
    head.extend(u32::try_from(changes.len()).unwrap().to_le_bytes());
    head.extend([0; 4]);
    head.extend(LOG_ID);
    head.extend(u64::try_from(file_len).unwrap().to_le_bytes().repeat(2));
    head.extend(descriptors);
    head.resize(4096, 0);
    head.extend(data);
    let len = head.len();
    seal(&mut head, 0, len);
    head
}

/// Returns the sound image in the state of a crash between log and table: the table of blocks is
/// outdated, and the last of three entries in the log, a ring, has the new table. The log also
/// holds two entries of an older sequence.
fn dirty() -> Vec<u8> {
    let mut bytes = sound().clone();
    let (bat, len) = (region(&bytes, 0), bytes.len());
    let right = bytes[bat..bat + 4096].to_vec();
    let astray = [9; 4096];
    // The last of the three crosses the end of the ring.
    let start = LOG_LEN - 4 * 4096;
    let tail = u32::try_from(start).unwrap();
    let entries = [
        entry(7, tail, len, &[Change::Sector(bat, &astray), Change::Zeros(bat + 8192, 8192)]),
        entry(8, tail, len, &[Change::Zeros(bat, 4096)]),
        entry(9, tail, len, &[Change::Sector(bat, &right), Change::Sector(bat + 4096, &[0; 4096])]),
    ];
    let older = [
        entry(3, 81_920, len, &[Change::Sector(bat, &astray)]),
        entry(4, 81_920, len, &[Change::Sector(bat, &astray)]),
    ];
    let log = word(&bytes, HEADERS[0] + 72);
    for (start, entries) in [(start, &entries[..]), (81_920, &older[..])] {
        for (i, byte) in entries.concat().into_iter().enumerate() {
            bytes[log + (start + i) % LOG_LEN] = byte;
        }
    }
    bytes[bat..bat + 4096].fill(0);
    bytes[bat + 8192..bat + 16_384].fill(7);
    for header in HEADERS {
        put(&mut bytes, header + 48, &LOG_ID);
        seal(&mut bytes, header, 4096);
    }
    bytes
}

#[test]
fn a_dirty_log_is_replayed_in_memory_as_qemu_does_on_disk() {
    let bench = Bench::new();
    std::fs::write(bench.path("ours.vhdx"), dirty()).unwrap();
    bench.run("cp ours.vhdx theirs.vhdx");
    bench.run("qemu-img check -q -r all -f vhdx theirs.vhdx");
    bench.run("qemu-img convert -f vhdx -O raw theirs.vhdx expected.raw");
    let expected = std::fs::read(bench.path("expected.raw")).unwrap();
    assert_eq!((expected[0], expected[3 << 20]), (1, 2));
    let opened = open(&bench.path("ours.vhdx"), &OpenOptions::default()).unwrap();
    assert!(read_mapped(&*opened, 1 << 20) == expected);
    assert!(std::fs::read(bench.path("ours.vhdx")).unwrap() == dirty(), "no file is written");

    // Without the newest entry, only the older sequence is complete. QEMU replays it, too.
    let mut lost = dirty();
    let log = word(&lost, HEADERS[0] + 72);
    lost[log + 4096] ^= 1;
    assert_eq!(read_source(&lost, Format::Vhdx).unwrap()[0], 0);
    std::fs::write(bench.path("lost.vhdx"), lost).unwrap();
    bench.run("qemu-img check -q -r all -f vhdx lost.vhdx");
    bench.assert_same("lost.vhdx");
}

#[test]
fn a_file_that_lost_what_its_log_relies_on_is_refused() {
    let mut bytes = dirty();
    bytes.truncate(bytes.len() - 4096);
    let error = read_source(&bytes, Format::Vhdx).unwrap_err().to_string();
    assert!(error.contains("VHDX log entry") && error.contains("the file had"), "{error}");
}

#[test]
fn logs_that_break_are_refused_or_right() {
    let whole = dirty();
    let log = word(&whole, HEADERS[0] + 72);
    let first = log + LOG_LEN - 4 * 4096;
    assert_eq!(whole[first..first + 4], *b"loge");
    for at in (8..128).step_by(2) {
        for value in [0u32, 1, 4096, 1 << 20, u32::MAX] {
            let mut image = whole.clone();
            put(&mut image, first + at, &value.to_le_bytes());
            seal(&mut image, first, 2 * 4096);
            // Any result is fine, if it comes soon and without a panic.
            let _ = open_source("x".into(), Box::new(image), Format::Vhdx);
        }
    }
    // If an entry at each sector claims the whole log, not all checksums are computed.
    let mut many = whole.clone();
    for at in (log..log + LOG_LEN).step_by(4096) {
        let claim = entry(5, 0, 0, &[]);
        put(&mut many, at, &claim);
        put(&mut many, at + 8, &u32::try_from(LOG_LEN).unwrap().to_le_bytes());
    }
    let error = open_source("x".into(), Box::new(many), Format::Vhdx).err().unwrap();
    assert!(error.to_string().contains("dirty log with many entries"), "{error}");
    // A log that is too long for memory.
    let mut long = whole;
    for header in HEADERS {
        put(&mut long, header + 68, &(64u32 << 20).to_le_bytes());
        seal(&mut long, header, 4096);
    }
    long.resize(80 << 20, 0);
    let error = open_source("x".into(), Box::new(long), Format::Vhdx).err().unwrap();
    assert!(error.to_string().contains("dirty log of 67108864 bytes"), "{error}");
    assert!(error.remedy().unwrap().contains("qemu-img check -r all"));
}

#[test]
fn the_same_disk_gives_the_same_identifiers() {
    let head = |content: &[u8], kind| {
        let content = ContentDigest::of(content);
        let sectors = VhdxSectors::Emulated512;
        let layout = VhdxLayout::new(kind, sectors, MIB, &content, [0..512]).unwrap();
        let parts = layout.parts().take(4);
        parts.map(|part| format!("{part:?}")).collect::<String>()
    };
    let one = head(b"a", VhdxKind::Dynamic);
    assert_eq!(one, head(b"a", VhdxKind::Dynamic));
    assert_ne!(one, head(b"b", VhdxKind::Dynamic));
    assert_ne!(one, head(b"a", VhdxKind::Fixed));
}

#[test]
fn threads_share_an_image() {
    let image = open_source("x".into(), Box::new(sound().clone()), Format::Vhdx).unwrap();
    let image: Arc<dyn seawall_store::image::DiskImage> = image.into();
    let expected = read_mapped(&*image, 1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (image, expected) = (image.clone(), &expected);
            scope.spawn(move || {
                for at in (thread * 7_000..expected.len() - 50_000).step_by(23_456) {
                    let mut buf = vec![0; 50_000];
                    image.read_at(u64::try_from(at).unwrap(), &mut buf).unwrap();
                    assert!(buf == expected[at..at + 50_000]);
                    assert!(image.next_data(u64::try_from(at).unwrap()).is_ok());
                }
            });
        }
    });
}
