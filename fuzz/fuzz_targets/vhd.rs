//! Opens, maps and reads bytes as a VHD image; nothing may panic, hang or take much memory.
//!
//! Checksums guard footer and header, so a mutation alone rarely gets past them. The target reads
//! the bytes twice: unchanged, and with correct checksums, as a hostile author would write them.
//! Seeds: images with blocks of 4 KiB, in `fuzz/seeds/vhd`.

#![no_main]

mod walk;

use libfuzzer_sys::fuzz_target;
use seawall_store::image::{Format, open_source};

const FOOTER_LEN: usize = 512;
const HEADER_LEN: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    check(bytes.to_vec());
    let mut sealed = bytes.to_vec();
    if let Some(end) = bytes.len().checked_sub(FOOTER_LEN) {
        seal(&mut sealed, 0, FOOTER_LEN, 64);
        seal(&mut sealed, end, FOOTER_LEN, 64);
        seal(&mut sealed, FOOTER_LEN, HEADER_LEN, 36);
        check(sealed);
    }
});

fn check(bytes: Vec<u8>) {
    let Ok(image) = open_source("fuzz".into(), Box::new(bytes), Format::Vhd) else { return };
    walk::walk(&*image);
}

/// Writes a structure's checksum, the one's complement of the sum of its bytes.
fn seal(bytes: &mut [u8], start: usize, len: usize, checksum_at: usize) {
    let Some(structure) = bytes.get_mut(start..start + len) else { return };
    structure[checksum_at..checksum_at + 4].fill(0);
    let sum: u32 = structure.iter().map(|byte| u32::from(*byte)).sum();
    structure[checksum_at..checksum_at + 4].copy_from_slice(&(!sum).to_be_bytes());
}
