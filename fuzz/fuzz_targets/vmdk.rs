//! Opens, maps and reads bytes as a VMDK image; nothing may panic, hang or take much memory.
//!
//! Seeds: images of each single-file kind, with grains of 4 KiB and tables of four entries, in
//! `fuzz/seeds/vmdk`.

#![no_main]

mod walk;

use libfuzzer_sys::fuzz_target;
use seawall_store::image::{Format, open_source};

fuzz_target!(|bytes: &[u8]| {
    let source = Box::new(bytes.to_vec());
    let Ok(image) = open_source("fuzz".into(), source, Format::Vmdk) else { return };
    walk::walk(&*image);
});
