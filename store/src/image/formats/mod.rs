//! The readers of container formats, one module each, and what they share: blocks, tables, fields.
//!
//! Files are found, chained and judged elsewhere ([`open`](super::open::open)).

pub(super) mod blocks;
mod cache;
pub(super) mod fields;
pub(super) mod qcow2;
pub(super) mod raw;
pub(super) mod vdi;
pub(super) mod vhd;
pub(super) mod vhdx;
pub(super) mod vmdk;
mod walk;

pub use qcow2::Qcow2Image;
pub use raw::RawImage;
pub use vmdk::VmdkImage;
