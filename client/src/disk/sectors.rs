//! Sectors of other than 512 bytes, as the host of a disk had them.
//!
//! A release has no field for their length: it is an annotation of the machine, so that whoever
//! describes or exports the disk can say what its next host has to be told.

use seawall_api::names::DiskName;
use seawall_api::release::Machine;

/// The key of the annotation.
pub(crate) fn key(disk: &DiskName) -> String {
    format!("sector-length.{disk}")
}

/// The length of a disk's sectors in bytes, where its release says that it is not 512.
pub(crate) fn len_of(machine: &Machine, disk: &DiskName) -> Option<u64> {
    let len = machine.annotations.get(&key(disk))?.parse().ok()?;
    (len != 512).then_some(len)
}

/// What to tell the host that gets such a disk.
pub(crate) fn advice(len: u64) -> String {
    format!(
        "attach the disk with it (in QEMU `logical_block_size={len},physical_block_size={len}`, in \
         libvirt `<blockio logical_block_size='{len}' physical_block_size='{len}'/>`), or a guest \
         does not find its partitions"
    )
}
