//! VDI: images written by QEMU, and broken ones.

use proptest::prelude::*;
use seawall_store::image::{Format, OpenOptions, open};

use super::hostile::{put, read_source};
use super::qemu::{Bench, fails, runs};

const MIB: u64 = 1 << 20;

#[test]
fn images_of_qemu_read_as_in_qemu() {
    for (disk_len, options) in [(5 * MIB + 2560, "static=off"), (5 * MIB + 2560, "static=on")] {
        let bench = Bench::new();
        bench.raw("disk.raw", disk_len);
        bench.run(&format!("qemu-img convert -f raw -O vdi -o {options} disk.raw disk.vdi"));
        bench.assert_same("disk.vdi");
    }
    let bench = Bench::new();
    for size in ["0", "512", "1M"] {
        bench.run(&format!("qemu-img create -q -f vdi disk.vdi {size}"));
        bench.assert_same("disk.vdi");
    }
}

#[test]
fn blocks_in_any_order_and_discarded_ones_read_as_qemu_does() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vdi disk.vdi 64M");
    bench.io("disk.vdi", &["write -P 1 41M 3M", "write -P 2 5M 100k", "write -P 3 44M 1M"]);
    bench.assert_same("disk.vdi");
    let mut bytes = std::fs::read(bench.path("disk.vdi")).unwrap();
    let table = usize::try_from(u32::from_le_bytes(bytes[340..344].try_into().unwrap())).unwrap();
    put(&mut bytes, table + 42 * 4, &0xffff_fffeu32.to_le_bytes());
    std::fs::write(bench.path("disk.vdi"), &bytes).unwrap();
    bench.assert_same("disk.vdi");
    let opened = open(&bench.path("disk.vdi"), &OpenOptions::default()).unwrap();
    let starts: Vec<u64> = runs(&*opened).iter().map(|run| run.start / MIB).collect();
    assert_eq!(starts, [5, 41, 43]);
}

#[test]
fn a_vdi_that_is_not_read_is_refused_by_name() {
    let bench = Bench::new();
    let whole = sound(&bench);
    for (at, value, expected) in [
        (68, 0x0000_0001u32, "VDI version 0.1"),
        (76, 3, "a parent, as a VDI of type 3"),
        (76, 4, "a parent, as a VDI of type 4"),
        (440, 1, "a parent"),
        (376, 1000, "blocks of 1000"),
        (380, 0x7fff_ffff, "before each block"),
        (384, 1, "do not hold"),
        (340, 0x7fff_ffff, "past the end"),
        (372, 0x7fff_ffff, "64 TiB"),
    ] {
        let mut bytes = whole.clone();
        put(&mut bytes, at, &value.to_le_bytes());
        std::fs::write(bench.path("disk.vdi"), &bytes).unwrap();
        let message = fails(&bench.path("disk.vdi"), &OpenOptions::default());
        assert!(message.contains(expected) && message.contains("disk.vdi"), "{at}: {message}");
    }
    let mut bytes = whole;
    let table = usize::try_from(u32::from_le_bytes(bytes[340..344].try_into().unwrap())).unwrap();
    put(&mut bytes, table, &9u32.to_le_bytes());
    let message = read_source(&bytes, Format::Vdi).unwrap_err().to_string();
    assert!(message.contains("VDI table entry"), "{message}");
}

/// Creates a disk of 4 MiB with data in two of four blocks.
fn sound(bench: &Bench) -> Vec<u8> {
    bench.run("qemu-img create -q -f vdi sound.vdi 4M");
    bench.io("sound.vdi", &["write -P 1 0 64k", "write -P 2 3M 64k"]);
    std::fs::read(bench.path("sound.vdi")).unwrap()
}

#[test]
fn each_header_field_bears_every_extreme() {
    let whole = sound(&Bench::new());
    let extremes: [u64; 10] =
        [0, 1, 2, 511, 512, 1 << 20, 1 << 31, u64::MAX >> 1, u64::MAX - 511, u64::MAX];
    for at in (64..84).chain(340..460).chain(512..540) {
        for value in extremes {
            for bytes in [&value.to_le_bytes()[..], &value.to_le_bytes()[..4]] {
                let mut image = whole.clone();
                put(&mut image, at, bytes);
                // Any result is fine, if it comes soon and without a panic.
                let _ = read_source(&image, Format::Vdi);
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
        flips in prop::collection::vec((0usize..700, 0u8..=255), 1..6),
    ) {
        static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = SOUND.get_or_init(|| sound(&Bench::new())).clone();
        for (at, value) in flips {
            bytes[at] = value;
        }
        let _ = read_source(&bytes, Format::Vdi);
    }
}
