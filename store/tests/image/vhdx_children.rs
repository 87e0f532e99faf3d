//! VHDX: hand-made chains of differencing disks, because QEMU writes none.

use std::ops::Range;

use seawall_store::image::{OpenOptions, open};

use super::hostile::put;
use super::qemu::{Bench, fails, read_mapped};
use super::vhdx::{HEADERS, item, region, word};

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Formats a GUID from its bytes in a file.
fn guid(id: &[u8]) -> String {
    let group = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let turned = |range: Range<usize>| {
        let mut bytes = id[range].to_vec();
        bytes.reverse();
        group(&bytes)
    };
    let [a, b, c] = [turned(0..4), turned(4..6), turned(6..8)];
    format!("{{{a}-{b}-{c}-{}-{}}}", group(&id[8..10]), group(&id[10..16]))
}

/// Makes a VHDX the child of another. The child has the sectors in `held` of its first block; all
/// others come from its parent.
fn adopt(bench: &Bench, child: &str, parent: &str, held: impl Fn(usize) -> bool) {
    let above = std::fs::read(bench.path(parent)).unwrap();
    let newer = if word(&above, HEADERS[0] + 8) > word(&above, HEADERS[1] + 8) { 0 } else { 1 };
    let linkage = guid(&above[HEADERS[newer] + 32..HEADERS[newer] + 48]);

    let mut bytes = std::fs::read(bench.path(child)).unwrap();
    let (bat, metadata) = (region(&bytes, 0), region(&bytes, 1));
    // The locator: its type, then keys and values, each named by offset and length.
    let mut locator = LOCATOR_TYPE.to_vec();
    let pairs = [("parent_linkage", linkage), ("relative_path", format!(".\\{parent}"))];
    locator.extend([0, 0, 2, 0]);
    let mut texts = Vec::new();
    for (key, value) in &pairs {
        let (key, value) = (utf16(key), utf16(value));
        let at = u32::try_from(20 + 24 + texts.len()).unwrap();
        let key_len = u32::try_from(key.len()).unwrap();
        locator.extend(at.to_le_bytes());
        locator.extend((at + key_len).to_le_bytes());
        locator.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
        locator.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        texts.extend([key, value].concat());
    }
    locator.extend(texts);
    put(&mut bytes, metadata + 70_000, &locator);
    let count = u16::from_le_bytes(bytes[metadata + 10..metadata + 12].try_into().unwrap());
    let entry = metadata + 32 + usize::from(count) * 32;
    put(&mut bytes, metadata + 10, &(count + 1).to_le_bytes());
    put(&mut bytes, entry, &LOCATOR_ITEM);
    put(&mut bytes, entry + 16, &70_000u32.to_le_bytes());
    put(&mut bytes, entry + 20, &u32::try_from(locator.len()).unwrap().to_le_bytes());
    put(&mut bytes, entry + 24, &4u32.to_le_bytes());
    let parameters = item(&bytes, [0x37, 0x67, 0xa1, 0xca]);
    bytes[parameters + 4] |= 2;
    // Blocks that QEMU marks as zeros belong to the parent. The first block is partial, with its
    // bitmap at the end.
    let blocks = 8;
    for block in 1..blocks {
        put(&mut bytes, bat + block * 8, &[0; 8]);
    }
    bytes[bat] = bytes[bat] & !7 | 7;
    let bitmap = bytes.len().next_multiple_of(1 << 20);
    bytes.resize(bitmap + (1 << 20), 0);
    for sector in (0..2048).filter(|sector| held(*sector)) {
        bytes[bitmap + sector / 8] |= 1 << (sector % 8);
    }
    put(&mut bytes, bat + 4096 * 8, &(u64::try_from(bitmap).unwrap() | 6).to_le_bytes());
    std::fs::write(bench.path(child), bytes).unwrap();
}

const LOCATOR_TYPE: [u8; 16] = [
    0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13,
];
const LOCATOR_ITEM: [u8; 16] = [
    0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c,
];

#[test]
fn sectors_that_a_child_has_not_come_from_its_parent() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vhdx -o block_size=1M base.vhdx 8M");
    bench.io("base.vhdx", &["write -P 1 0 64k", "write -P 1 3M 64k"]);
    bench.run("qemu-img create -q -f vhdx -o block_size=1M top.vhdx 8M");
    bench.io("top.vhdx", &["write -P 2 0 1M"]);
    adopt(&bench, "top.vhdx", "base.vhdx", |sector| sector % 3 == 0 || sector > 1000);
    let mut expected = vec![0; 8 << 20];
    expected[..64 << 10].fill(1);
    expected[3 << 20..(3 << 20) + (64 << 10)].fill(1);
    for sector in (0..2048).filter(|sector| sector % 3 == 0 || *sector > 1000) {
        expected[sector * 512..sector * 512 + 512].fill(2);
    }
    let opened = open(&bench.path("top.vhdx"), &OpenOptions::default()).unwrap();
    assert!(read_mapped(&*opened, 100_000) == expected);

    let alone = OpenOptions { allow_backing: false, ..OpenOptions::default() };
    assert!(fails(&bench.path("top.vhdx"), &alone).contains("not allowed"));
    // A write to the parent changes its identifier.
    bench.io("base.vhdx", &["write -P 5 5M 1M"]);
    let message = fails(&bench.path("top.vhdx"), &OpenOptions::default());
    assert!(message.contains("has changed"), "{message}");
}
