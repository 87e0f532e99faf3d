//! The descriptors of each kind of host, and the scripts among them.

pub(super) mod hyperv;
pub(super) mod libvirt;
pub(super) mod proxmox;
pub(super) mod qemu;
pub(super) mod xen;
