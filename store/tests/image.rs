//! Images read and written by Seawall, compared with the results of `qemu-img`.
//!
//! These tests need `qemu-img` and `qemu-io`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::single_range_in_vec_init, reason = "lists of runs, some with one run")]

mod image {
    mod backing;
    mod convert;
    mod costs;
    mod export;
    mod formats;
    mod hostile;
    mod qemu;
    mod random;
    mod vdi;
    mod vhd;
    mod vhdx;
    mod vhdx_children;
    mod vmdk;
    mod vmdk_hostile;
    mod written;
}
