//! Disks with sectors of other lengths than 512 bytes.
//!
//! A release document has no field for the length. An annotation of the machine keeps it, so that
//! exports and host descriptors can tell the user.

use seawall_api::names::DiskName;
use seawall_api::release::Machine;

/// Returns the key of the annotation.
pub(crate) fn key(disk: &DiskName) -> String {
    format!("sector-length.{disk}")
}

/// Returns the length of a disk's sectors in bytes, if the release states one other than 512.
pub(crate) fn len_of(machine: &Machine, disk: &DiskName) -> Option<u64> {
    let len = machine.annotations.get(&key(disk))?.parse().ok()?;
    (len != 512).then_some(len)
}

/// Returns the advice for the disk's next host.
pub(crate) fn advice(len: u64) -> String {
    format!(
        "attach the disk with it (in QEMU `logical_block_size={len},physical_block_size={len}`, in \
         libvirt `<blockio logical_block_size='{len}' physical_block_size='{len}'/>`), or a guest \
         does not find its partitions"
    )
}
