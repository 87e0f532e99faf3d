//! VHD: images written by QEMU and by us, broken images, and hand-made chains.

use std::path::Path;

use proptest::prelude::*;
use seawall_api::digest::ContentDigest;
use seawall_store::image::layout::{LayoutError, Round, VhdKind, VhdLayout};
use seawall_store::image::{Format, ImageError, OpenOptions, open, open_source};

use super::hostile::{put, read_source};
use super::qemu::{Bench, content, fails, forced, read_mapped, runs};
use super::written;

const MIB: u64 = 1 << 20;

#[test]
fn images_of_qemu_read_as_in_qemu() {
    for (disk_len, subformat) in [(5 * MIB + 2560, "dynamic"), (5 * MIB + 2560, "fixed")] {
        for size in ["", ",force_size=on"] {
            let bench = Bench::new();
            bench.raw("disk.raw", disk_len);
            bench.run(&format!(
                "qemu-img convert -f raw -O vpc -o subformat={subformat}{size} disk.raw disk.vhd"
            ));
            bench.assert_same("disk.vhd");
        }
    }
}

#[test]
fn blocks_that_were_never_written_are_holes() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vpc -o force_size=on disk.vhd 64M");
    bench.io("disk.vhd", &["write -P 1 5M 100k", "write -P 2 41M 3M"]);
    bench.assert_same("disk.vhd");
    let opened = open(&bench.path("disk.vhd"), &OpenOptions::default()).unwrap();
    let runs = runs(&*opened);
    let data: u64 = runs.iter().map(|run| run.end - run.start).sum();
    // Pages of the file that bitmaps and the footer share with blocks count as data.
    assert!((3 * MIB + 100 * 1024..3 * MIB + 120 * 1024).contains(&data), "{runs:?}");
    assert!(runs.iter().all(|run| run.end <= 8 * MIB || run.start >= 40 * MIB), "{runs:?}");
}

#[test]
fn disks_of_awkward_lengths_keep_them() {
    for size in ["512", "1M", "1000448", "127G", "2040G"] {
        let bench = Bench::new();
        bench.run(&format!("qemu-img create -q -f vpc -o force_size=on disk.vhd {size}"));
        let info = bench.run("qemu-img info -f vpc --output=json disk.vhd");
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        let opened = open(&bench.path("disk.vhd"), &OpenOptions::default()).unwrap();
        assert_eq!(Some(opened.disk_len()), info["virtual-size"].as_u64(), "{size}");
    }
}

#[test]
fn a_large_sparse_disk_is_mapped_at_once() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vpc -o force_size=on disk.vhd 2000G");
    bench.io("disk.vhd", &["write -P 1 0 64k", "write -P 2 700G 1M", "write -P 3 1999G 64k"]);
    let opened = open(&bench.path("disk.vhd"), &OpenOptions::default()).unwrap();
    let mut starts: Vec<u64> = runs(&*opened).iter().map(|run| run.start >> 30).collect();
    starts.dedup();
    assert_eq!(starts, [0, 700, 1999]);
}

#[test]
fn our_footer_is_the_one_that_azure_gets_from_qemu() {
    let bench = Bench::new();
    for (kind, subformat) in [(VhdKind::Fixed, "fixed"), (VhdKind::Dynamic, "dynamic")] {
        let layout =
            VhdLayout::new(kind, Round::Exact, 3 * MIB, &ContentDigest::of(b""), []).unwrap();
        let disk = written::disk(&bench, 3 * MIB, &[]);
        written::write(&bench, &layout, &disk, &[]);
        let options = format!("subformat={subformat},force_size=on");
        bench.run(&format!("qemu-img create -q -f vpc -o {options} theirs 3M"));
        let [ours, theirs] = ["one", "theirs"].map(|name| {
            let file = std::fs::read(bench.path(name)).unwrap();
            let mut footer = file[file.len() - 512..].to_vec();
            // Time, version of the creator, checksum and identifier.
            for masked in [24..28, 32..36, 64..68, 68..84] {
                footer[masked].fill(0);
            }
            footer
        });
        assert!(ours == theirs, "{subformat}");
    }
}

#[test]
fn a_disk_is_rounded_up_to_a_mib_on_request() {
    let bench = Bench::new();
    for kind in [VhdKind::Fixed, VhdKind::Dynamic] {
        let data = [0..1000, 2 * MIB..2 * MIB + 1537];
        let disk = written::disk(&bench, 2 * MIB + 1537, &data);
        let content = ContentDigest::of(&disk);
        let len = 2 * MIB + 1537;
        let layout = VhdLayout::new(kind, Round::UpToMib, len, &content, data.clone()).unwrap();
        written::write(&bench, &layout, &disk, &data);
        std::fs::rename(bench.path("one"), bench.path("disk.vhd")).unwrap();
        let opened = open(&bench.path("disk.vhd"), &OpenOptions::default()).unwrap();
        assert_eq!(opened.disk_len(), 3 * MIB);
        let mut read = read_mapped(&*opened, 1 << 20);
        assert!(read.split_off(disk.len()).iter().all(|byte| *byte == 0));
        assert!(read == disk);
        bench.assert_same("disk.vhd");
        if kind == VhdKind::Fixed {
            assert_eq!(std::fs::metadata(bench.path("disk.vhd")).unwrap().len(), 3 * MIB + 512);
        }
        let odd = VhdLayout::new(kind, Round::Exact, 2 * MIB + 1537, &content, []);
        assert!(matches!(odd, Err(LayoutError::NotSectors { .. })), "{odd:?}");
        let long = VhdLayout::new(kind, Round::Exact, 2041 << 30, &content, []);
        assert!(matches!(long, Err(LayoutError::DiskTooLong { .. })), "{long:?}");
    }
}

#[test]
fn identifiers_follow_the_disk_alone() {
    let footer = |kind, content: &[u8]| {
        use seawall_store::image::layout::{Layout, Part};
        let content = ContentDigest::of(content);
        let layout = VhdLayout::new(kind, Round::Exact, MIB, &content, [0..512]).unwrap();
        let Some(Part::Bytes(footer)) = layout.parts().last() else { panic!("a footer is last") };
        footer
    };
    let one = footer(VhdKind::Fixed, b"a");
    assert_eq!(one, footer(VhdKind::Fixed, b"a"));
    assert_ne!(one, footer(VhdKind::Fixed, b"b"));
    assert_ne!(one[68..84], footer(VhdKind::Dynamic, b"a")[68..84]);
    assert_eq!((one[74] >> 4, one[76] >> 6), (8, 2), "a UUID of version 8");
}

#[test]
fn the_footer_at_the_end_serves_when_the_one_at_the_start_is_damaged() {
    let bench = Bench::new();
    let mut bytes = dynamic(&bench);
    let expected = read_source(&bytes, Format::Vhd).unwrap();
    bytes[100] ^= 1;
    assert!(read_source(&bytes, Format::Vhd).unwrap() == expected);
    let end = bytes.len() - 400;
    bytes[end] ^= 1;
    let message = read_source(&bytes, Format::Vhd).unwrap_err();
    assert!(message.to_string().contains("VHD footer") && message.to_string().contains("checksum"));
    assert!(message.remedy().unwrap().contains("Test-VHD"));
}

/// A disk may end with bytes that look like a footer, for instance a VHD copied onto a partition.
#[test]
fn a_raw_disk_that_ends_like_a_vhd_is_named_raw_or_refused() {
    let bench = Bench::new();
    let mut bytes = vec![7; 65_536];
    put(&mut bytes, 65_024, b"conectix");
    std::fs::write(bench.path("disk.img"), &bytes).unwrap();
    let message = fails(&bench.path("disk.img"), &OpenOptions::default());
    assert!(message.contains("checksum") && message.contains("format `raw`"), "{message}");
    let raw = open(&bench.path("disk.img"), &forced(Format::Raw)).unwrap();
    assert_eq!(raw.disk_len(), 65_536);
}

#[test]
fn a_fixed_vhd_that_lost_its_end_is_refused() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vpc -o subformat=fixed,force_size=on disk.vhd 1M");
    let bytes = std::fs::read(bench.path("disk.vhd")).unwrap();
    let cut = [&bytes[..500_000], &bytes[bytes.len() - 512..]].concat();
    let message = read_source(&cut, Format::Vhd).unwrap_err().to_string();
    assert!(message.contains("1048576") && message.contains("500000"), "{message}");
}

#[test]
fn a_sector_whose_bit_is_not_set_reads_as_zeros() {
    let bench = Bench::new();
    let mut bytes = dynamic(&bench);
    let block = block_at(&bytes, 0);
    bytes[block] = 0b1101_1111;
    let disk = read_source(&bytes, Format::Vhd).unwrap();
    assert_eq!((disk[1023], disk[1024], disk[1535], disk[1536]), (1, 0, 0, 1));
}

#[test]
fn a_block_past_the_end_is_refused() {
    let bench = Bench::new();
    let whole = dynamic(&bench);
    for entry in [0x7fff_ffffu32, 0xffff_fffe] {
        let mut bytes = whole.clone();
        put(&mut bytes, 1536, &entry.to_be_bytes());
        let message = read_source(&bytes, Format::Vhd).unwrap_err().to_string();
        assert!(message.contains("VHD table entry at offset 1536"), "{message}");
    }
    let cut = &whole[..whole.len() - 4096];
    assert!(read_source(cut, Format::Vhd).unwrap_err().to_string().contains("past the end"));
}

/// Creates an image of 8 MiB by QEMU, with data in two of four blocks.
fn dynamic(bench: &Bench) -> Vec<u8> {
    bench.run("qemu-img create -q -f vpc -o force_size=on sound.vhd 8M");
    bench.io("sound.vhd", &["write -P 1 0 64k", "write -P 2 5M 64k"]);
    std::fs::read(bench.path("sound.vhd")).unwrap()
}

/// Returns the offset of a block's bitmap.
fn block_at(bytes: &[u8], block: usize) -> usize {
    let entry = &bytes[1536 + block * 4..1540 + block * 4];
    usize::try_from(u32::from_be_bytes(entry.try_into().unwrap())).unwrap() * 512
}

/// Corrects the checksum of a changed structure.
fn seal(bytes: &mut [u8], start: usize, len: usize, at: usize) {
    bytes[start + at..start + at + 4].fill(0);
    let sum: u32 = bytes[start..start + len].iter().map(|byte| u32::from(*byte)).sum();
    put(bytes, start + at, &(!sum).to_be_bytes());
}

fn seal_all(bytes: &mut [u8]) {
    seal(bytes, 0, 512, 64);
    seal(bytes, 512, 1024, 36);
    let end = bytes.len() - 512;
    seal(bytes, end, 512, 64);
}

#[test]
fn each_field_bears_every_extreme() {
    let bench = Bench::new();
    let whole = dynamic(&bench);
    let extremes: [u64; 10] =
        [0, 1, 2, 511, 512, 1 << 21, 1 << 31, u64::MAX >> 1, u64::MAX - 511, u64::MAX];
    for at in (8..84).chain(512 + 8..512 + 64).chain(512 + 576..512 + 600) {
        for value in extremes {
            for (width, bytes) in [(8, value.to_be_bytes()), (4, (value << 32).to_be_bytes())] {
                let mut image = whole.clone();
                put(&mut image, at, &bytes[..width]);
                if at < 512 {
                    let footer = image[..512].to_vec();
                    let end = image.len() - 512;
                    put(&mut image, end, &footer);
                }
                seal_all(&mut image);
                // Any result is fine, if it comes soon and without a panic.
                let _ = read_source(&image, Format::Vhd);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn flipped_bytes_never_panic(
        flips in prop::collection::vec((0usize..2600, 0u8..=255), 1..6),
        sealed in any::<bool>(),
    ) {
        static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = SOUND.get_or_init(|| dynamic(&Bench::new())).clone();
        for (at, value) in flips {
            bytes[at] = value;
        }
        if sealed {
            seal_all(&mut bytes);
        }
        let _ = read_source(&bytes, Format::Vhd);
    }
}

/// Makes a dynamic VHD the child of another: names the parent by a relative Windows path, and
/// clears the bits of the `absent` sectors in the first block.
fn adopt(bench: &Bench, child: &str, parent: &str, absent: &[usize]) {
    let above = std::fs::read(bench.path(parent)).unwrap();
    let parent_id = above[above.len() - 444..above.len() - 428].to_vec();
    let mut bytes = std::fs::read(bench.path(child)).unwrap();
    let name: Vec<u8> = format!(".\\{parent}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let end = bytes.len() - 512;
    for footer in [0, end] {
        put(&mut bytes, footer + 60, &4u32.to_be_bytes());
    }
    put(&mut bytes, 512 + 40, &parent_id);
    put(&mut bytes, 512 + 576, b"W2ru");
    put(&mut bytes, 512 + 576 + 8, &u32::try_from(name.len()).unwrap().to_be_bytes());
    // The path precedes the footer.
    put(&mut bytes, 512 + 576 + 16, &u64::try_from(end).unwrap().to_be_bytes());
    if block_at(&bytes, 0) < bytes.len() {
        let block = block_at(&bytes, 0);
        for sector in absent {
            bytes[block + sector / 8] &= !(0x80 >> (sector % 8));
        }
    }
    let footer = bytes.split_off(end);
    bytes.extend(name);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(footer);
    seal_all(&mut bytes);
    std::fs::write(bench.path(child), bytes).unwrap();
}

fn opened(path: &Path) -> Vec<u8> {
    read_mapped(&*open(path, &OpenOptions::default()).unwrap(), 1 << 20)
}

/// Creates a chain of three: `base.vhd` (of the given kind), `middle.vhd`, `top.vhd`.
fn chain(bench: &Bench, base: &str) {
    bench.run(&format!("qemu-img create -q -f vpc -o force_size=on,subformat={base} base.vhd 8M"));
    bench.io("base.vhd", &["write -P 1 0 64k", "write -P 1 3M 64k"]);
    for (child, parent) in [("middle.vhd", "base.vhd"), ("top.vhd", "middle.vhd")] {
        bench.run(&format!("qemu-img create -q -f vpc -o force_size=on {child} 8M"));
        bench.io(child, &[if child == "top.vhd" { "write -P 3 0 2k" } else { "write -P 2 0 8k" }]);
        let absent: Vec<usize> = match child {
            "top.vhd" => (4..4096).collect(),
            _ => [5].into_iter().chain(16..4096).collect(),
        };
        adopt(bench, child, parent, &absent);
    }
}

#[test]
fn sectors_that_a_child_has_not_come_from_its_parents() {
    for base in ["fixed", "dynamic"] {
        let bench = Bench::new();
        chain(&bench, base);
        let disk = opened(&bench.path("top.vhd"));
        let at = |sector: usize| disk[sector * 512];
        assert_eq!([at(0), at(3), at(4), at(5), at(6), at(15), at(16)], [3, 3, 2, 1, 2, 2, 1]);
        assert_eq!((disk[65_535], disk[65_536], disk[3 << 20], disk[(3 << 20) - 1]), (1, 0, 1, 0));
        let image = open(&bench.path("top.vhd"), &OpenOptions::default()).unwrap();
        let names: Vec<_> = image.files().iter().filter_map(|it| it.file_name()).collect();
        assert_eq!(names, ["top.vhd", "middle.vhd", "base.vhd"]);
        assert!(runs(&*image).iter().all(|run| run.start < 4 << 20));
    }
}

#[test]
fn a_vhd_serves_as_the_base_of_a_qcow2() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vpc -o force_size=on base.vhd 8M");
    bench.io("base.vhd", &["write -P 1 0 64k", "write -P 1 3M 64k"]);
    bench.run("qemu-img create -q -f qcow2 -b base.vhd -F vpc top.qcow2");
    bench.io("top.qcow2", &["write -P 2 10k 20k", "write -z 3M 8k"]);
    bench.assert_same_bytes("top.qcow2");
    let image = open(&bench.path("top.qcow2"), &OpenOptions::default()).unwrap();
    let names: Vec<_> = image.files().iter().filter_map(|it| it.file_name()).collect();
    assert_eq!(names, ["top.qcow2", "base.vhd"]);
}

#[test]
fn a_parent_that_is_another_or_absent_or_not_allowed_is_refused() {
    let bench = Bench::new();
    chain(&bench, "dynamic");
    let alone = OpenOptions { allow_backing: false, ..OpenOptions::default() };
    let message = fails(&bench.path("top.vhd"), &alone);
    assert!(message.contains("not allowed"), "{message}");

    // Its parent names itself.
    let middle = std::fs::read(bench.path("middle.vhd")).unwrap();
    adopt(&bench, "middle.vhd", "middle.vhd", &[]);
    let message = fails(&bench.path("top.vhd"), &OpenOptions::default());
    assert!(message.contains("comes back"), "{message}");
    std::fs::write(bench.path("middle.vhd"), middle).unwrap();

    bench.run("qemu-img create -q -f vpc -o force_size=on base.vhd 8M");
    let message = fails(&bench.path("top.vhd"), &OpenOptions::default());
    assert!(message.contains("has changed") && message.contains("middle.vhd"), "{message}");

    std::fs::remove_file(bench.path("base.vhd")).unwrap();
    let message = fails(&bench.path("top.vhd"), &OpenOptions::default());
    assert!(message.contains("base.vhd") && message.contains("Convert-VHD"), "{message}");

    let bytes = std::fs::read(bench.path("top.vhd")).unwrap();
    let in_memory = open_source("x".into(), Box::new(bytes), Format::Vhd).err().unwrap();
    assert!(matches!(in_memory, ImageError::Backing { .. }), "{in_memory}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default()
    })]

    /// Two layers of random sectors, compared with a hand-made overlay of both.
    #[test]
    fn random_children_read_as_laid_over(
        below in prop::collection::vec((0usize..12_000, 1usize..300), 0..5),
        above in prop::collection::vec((0usize..4096, 1usize..300), 1..8),
    ) {
        let bench = Bench::new();
        let len = 6 << 20;
        let mut disk = vec![0; len];
        for (seed, (at, sectors)) in below.iter().enumerate() {
            let (start, end) = (at * 512, len.min((at + sectors) * 512));
            disk[start..end].copy_from_slice(&content(end - start, 1 + seed as u64));
        }
        std::fs::write(bench.path("below.raw"), &disk).unwrap();
        bench.run("qemu-img convert -f raw -O vpc -o force_size=on below.raw below.vhd");
        // The child's first block consists of one byte value, except for its absent sectors.
        bench.run("qemu-img create -q -f vpc -o force_size=on above.vhd 6M");
        bench.io("above.vhd", &["write -P 9 0 2M"]);
        let held = |sector: &usize| {
            above.iter().any(|(at, sectors)| (*at..at + sectors).contains(sector))
        };
        let absent: Vec<usize> = (0..4096).filter(|sector| !held(sector)).collect();
        adopt(&bench, "above.vhd", "below.vhd", &absent);
        for sector in (0..4096).filter(held) {
            disk[sector * 512..sector * 512 + 512].fill(9);
        }
        prop_assert!(opened(&bench.path("above.vhd")) == disk);
    }
}
