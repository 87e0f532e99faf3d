//! Opens, maps and reads bytes as a VDI image; nothing may panic, hang or take much memory.
//!
//! Seeds: images with blocks of 512 bytes, in `fuzz/seeds/vdi`.

#![no_main]

mod walk;

use libfuzzer_sys::fuzz_target;
use seawall_store::image::{Format, open_source};

fuzz_target!(|bytes: &[u8]| {
    let opened = open_source("fuzz".into(), Box::new(bytes.to_vec()), Format::Vdi);
    let Ok(image) = opened else { return };
    walk::walk(&*image);
});
