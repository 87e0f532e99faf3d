//! The parts of a release document and the rules between them.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DISKS_MAX, ENTRIES_MAX, InvalidRelease, MACHINES_MAX, TEXT_LEN_MAX};
use crate::digest::{ContentDigest, DescriptorDigest, IndexDigest};
use crate::names::{ApplicationName, DiskName, MachineName, NetworkName, Version};
use crate::units::DiskLen;

/// The schema of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub enum Schema {
    /// The first schema, of format epoch 1.
    #[serde(rename = "seawall.release/1")]
    V1,
}

/// The parts of a release document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    /// The schema of the document.
    pub schema: Schema,
    /// The application of the release.
    pub application: ApplicationName,
    /// The version of the release. A version is never reused.
    pub version: Version,
    /// The machines, ordered by name.
    pub machines: Vec<Machine>,
    /// The networks that the machines share, ordered by name.
    pub networks: Vec<Network>,
    /// The values an operator may set at deployment, by key.
    pub parameters: BTreeMap<String, Parameter>,
    /// Free text by key, stored and not interpreted.
    pub annotations: BTreeMap<String, String>,
}

/// A machine: a role in the release, with hardware and disks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Machine {
    /// The machine's name, unique in the release.
    pub name: MachineName,
    /// The instruction set that the disks are built for.
    pub architecture: Architecture,
    /// The firmware that starts the boot disk.
    pub firmware: Firmware,
    /// The number of virtual processors, 1 to 4096.
    pub cpus: u32,
    /// The memory, in MiB, 1 to 2^26 (64 TiB).
    pub memory_mib: u64,
    /// The position in the start order. Lower numbers start first, equal ones together.
    pub start_order: u32,
    /// The disks in bus order. The machine boots from the first.
    pub disks: Vec<Disk>,
    /// The network cards in slot order.
    pub network_cards: Vec<NetworkCard>,
    /// Free text by key, stored and not interpreted.
    pub annotations: BTreeMap<String, String>,
    /// The original descriptor, byte for byte, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
}

/// A disk of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Disk {
    /// The disk's name, unique in the machine.
    pub name: DiskName,
    /// The length visible to the guest, in bytes.
    pub len: u64,
    /// The identity: BLAKE3 of all guest-visible bytes.
    pub content: ContentDigest,
    /// The index with the disk's chunks.
    pub index: IndexDigest,
    /// The bus that the disk is attached to.
    pub bus: Bus,
}

/// An instruction set, with the name used by the Linux kernel and libvirt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say all there is
pub enum Architecture {
    #[serde(rename = "x86_64")]
    X86_64,
    I686,
    Aarch64,
    Riscv64,
    Ppc64le,
    S390x,
}

/// The firmware that starts a machine's boot disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
    /// UEFI with Secure Boot enforced.
    UefiSecure,
}

/// The bus that a disk is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names say all there is
pub enum Bus {
    Virtio,
    VirtioScsi,
    Scsi,
    Sata,
    Ide,
    Nvme,
}

/// A network shared by machines of the release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Network {
    /// The network's name, unique in the release.
    pub name: NetworkName,
    /// The purpose of the network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A machine's card on a network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NetworkCard {
    /// The network of the card, one of the release's.
    pub network: NetworkName,
    /// The device visible to the guest.
    pub model: NetworkModel,
}

/// The network device visible to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say all there is
pub enum NetworkModel {
    Virtio,
    E1000,
    E1000e,
    Vmxnet3,
    Rtl8139,
}

/// A value that an operator may set at deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Parameter {
    /// The meaning of the parameter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The default value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// True if the value must be set at deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// An original descriptor, stored byte for byte.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Descriptor {
    /// The digest of the descriptor's bytes.
    pub digest: DescriptorDigest,
    /// The media type, such as `application/ovf+xml`.
    pub media_type: String,
}

fn rule(place: impl Into<String>, why: impl Into<String>) -> InvalidRelease {
    InvalidRelease::Rule { place: place.into(), why: why.into() }
}

fn at_most(place: &str, count: usize, max: usize) -> Result<(), InvalidRelease> {
    if count > max { Err(rule(place, format!("at most {max} are allowed"))) } else { Ok(()) }
}

fn texts(place: &str, map: &BTreeMap<String, String>) -> Result<(), InvalidRelease> {
    at_most(place, map.len(), ENTRIES_MAX)?;
    for (key, text) in map {
        if key.is_empty() || key.len() > TEXT_LEN_MAX || text.len() > TEXT_LEN_MAX {
            let shown: String = key.chars().take(40).collect();
            let why = format!("keys have 1 to {TEXT_LEN_MAX} bytes, texts at most as many");
            return Err(rule(format!("{place}, key `{}`", shown.escape_debug()), why));
        }
    }
    Ok(())
}

/// Fails unless the names are in strictly ascending order: one order, and no name twice.
fn ascending<'a, T: Ord + std::fmt::Display + 'a>(
    place: &str,
    mut names: impl Iterator<Item = &'a T>,
) -> Result<(), InvalidRelease> {
    let Some(mut last) = names.next() else { return Ok(()) };
    for name in names {
        if name <= last {
            return Err(rule(place, format!("`{name}` is listed twice or out of order")));
        }
        last = name;
    }
    Ok(())
}

impl Document {
    pub(super) fn check(&self) -> Result<(), InvalidRelease> {
        if self.machines.is_empty() {
            return Err(rule("machines", "a release has at least one machine"));
        }
        at_most("machines", self.machines.len(), MACHINES_MAX)?;
        at_most("networks", self.networks.len(), ENTRIES_MAX)?;
        at_most("parameters", self.parameters.len(), ENTRIES_MAX)?;
        ascending("machines", self.machines.iter().map(|machine| &machine.name))?;
        ascending("networks", self.networks.iter().map(|network| &network.name))?;
        texts("annotations", &self.annotations)?;
        for (key, parameter) in &self.parameters {
            let default_len = parameter.default.as_ref().map_or(0, String::len);
            let longest = key.len().max(parameter.description.len()).max(default_len);
            if key.is_empty() || longest > TEXT_LEN_MAX {
                let shown: String = key.chars().take(40).collect();
                let place = format!("parameters, key `{}`", shown.escape_debug());
                return Err(rule(place, "a key or text is empty or too long"));
            }
        }
        let networks: HashSet<_> = self.networks.iter().map(|network| &network.name).collect();
        self.machines.iter().try_for_each(|machine| machine.check(&networks))
    }
}

impl Machine {
    fn check(&self, networks: &HashSet<&NetworkName>) -> Result<(), InvalidRelease> {
        let place = |part: &str| format!("machine `{}`, {part}", self.name);
        if !(1..=4096).contains(&self.cpus) {
            return Err(rule(place("cpus"), "use 1 to 4096"));
        }
        if !(1..=1 << 26).contains(&self.memory_mib) {
            return Err(rule(place("memoryMib"), "use 1 to 67108864 (64 TiB)"));
        }
        if self.disks.is_empty() {
            return Err(rule(place("disks"), "a machine has at least one disk to boot from"));
        }
        at_most(&place("disks"), self.disks.len(), DISKS_MAX)?;
        at_most(&place("networkCards"), self.network_cards.len(), ENTRIES_MAX)?;
        texts(&place("annotations"), &self.annotations)?;
        let mut seen = HashSet::new();
        for disk in &self.disks {
            if !seen.insert(&disk.name) {
                return Err(rule(place("disks"), format!("`{}` is listed twice", disk.name)));
            }
            DiskLen::new(disk.len).map_err(|error| {
                rule(place(&format!("disk `{}`", disk.name)), error.to_string())
            })?;
        }
        if let Some(card) = self.network_cards.iter().find(|c| !networks.contains(&c.network)) {
            let why = format!("the release has no network `{}`", card.network);
            return Err(rule(place("networkCards"), why));
        }
        if self.descriptor.as_ref().is_some_and(|d| d.media_type.len() > 255) {
            return Err(rule(place("descriptor"), "a media type has at most 255 bytes"));
        }
        Ok(())
    }
}
