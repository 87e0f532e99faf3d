//! Opens, maps and reads bytes as a qcow2 image; nothing may panic, hang or take much memory.
//!
//! Seeds: `qemu-img create -f qcow2 -o cluster_size=512 x.qcow2 64k` and the like in
//! `fuzz/corpus/qcow2`; small clusters keep the tables close to the header.

#![no_main]

mod walk;

use libfuzzer_sys::fuzz_target;
use seawall_store::image::{Format, open_source};

fuzz_target!(|bytes: &[u8]| {
    let opened = open_source("fuzz".into(), Box::new(bytes.to_vec()), Format::Qcow2);
    let Ok(image) = opened else { return };
    walk::walk(&*image);
});
