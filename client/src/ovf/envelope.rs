//! The contents of a descriptor, independent of XML.

use std::collections::BTreeSet;
use std::fmt;

use seawall_api::release::{Architecture, Bus, Firmware, NetworkModel, Parameter};
use seawall_store::image::{Format, Wrapping};
use serde::Serialize;

/// A part of a descriptor that a release cannot carry, or carries changed.
///
/// The registry keeps the original descriptor byte for byte, with all parts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Unmapped {
    /// The section of the part.
    pub section: String,
    /// The virtual system of the part. `None` if the part belongs to the whole package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The part.
    pub what: String,
    /// The outcome and its reason.
    pub why: String,
}

impl Unmapped {
    pub(crate) fn new(
        section: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { section: section.into(), machine: None, what: what.into(), why: why.into() }
    }

    pub(crate) fn of(self, machine: &str) -> Self {
        Self { machine: Some(machine.to_owned()), ..self }
    }
}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, machine, what, why } = self;
        let of = machine.as_ref().map_or(String::new(), |machine| format!(" of {machine}"));
        write!(f, "{section}{of}: {what}: {why}")
    }
}

/// A descriptor.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Envelope {
    /// The files of the package, in the order of `References`.
    pub files: Vec<FileReference>,
    /// The disks.
    pub disks: Vec<VirtualDisk>,
    /// The networks.
    pub networks: Vec<OvfNetwork>,
    /// The virtual systems, including those in nested collections, in document order.
    pub systems: Vec<VirtualSystem>,
    /// The properties of collections.
    pub properties: Vec<Property>,
    /// Positions of the disks that some item refers to, in any machine and configuration.
    pub named: BTreeSet<usize>,
    /// The parts without a place above.
    pub unmapped: Vec<Unmapped>,
}

/// A file of the package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileReference {
    /// The file's identifier in the descriptor.
    pub id: String,
    /// The file's name, as spelled in the descriptor. The package resolves the name.
    pub href: String,
    /// The file's length in bytes, if stated.
    pub len: Option<u64>,
    /// The stated compression.
    pub compression: Option<Wrapping>,
    /// The length of a chunk in bytes, if the file is stored in chunks (`ovf:chunkSize`).
    pub chunk_len: Option<u64>,
}

/// A disk of the package.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VirtualDisk {
    /// The disk's identifier in the descriptor.
    pub id: String,
    /// The position of the disk's file. `None` for an empty disk.
    pub file: Option<usize>,
    /// The disk's length in the guest, in bytes. `None` if only the file has it.
    pub capacity: Option<u64>,
    /// The URI of the disk's format.
    pub format: String,
    /// The stated format of the file.
    pub stated: Option<Format>,
    /// The stated bus, used for a disk without a controller.
    pub bus: Option<Bus>,
    /// True if the machine boots from the disk.
    pub is_boot: bool,
}

/// A network of the package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OvfNetwork {
    /// The network's name.
    pub name: String,
    /// The network's purpose.
    pub description: String,
}

/// A virtual machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualSystem {
    /// The system's identifier in the descriptor.
    pub id: String,
    /// The system's name for people.
    pub name: String,
    /// The guest's operating system, in words.
    pub operating_system: String,
    /// The system's purpose.
    pub annotation: String,
    /// The instruction set.
    pub architecture: Architecture,
    /// The firmware, which starts the boot disk.
    pub firmware: Firmware,
    /// The number of virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The position in the start order, preceded by the positions of the enclosing collections.
    pub start: Vec<u32>,
    /// The disks in bus order.
    pub disks: Vec<AttachedDisk>,
    /// The network cards.
    pub cards: Vec<Card>,
    /// Facts about the installed product, by key.
    pub facts: Vec<(&'static str, String)>,
    /// Properties of the installed product.
    pub properties: Vec<Property>,
}

/// A disk of a virtual machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttachedDisk {
    /// The disk's position in [`Envelope::disks`].
    pub disk: usize,
    /// The bus that the disk is attached to.
    pub bus: Bus,
    /// The disk's name in the release that the package was written from.
    pub name: Option<String>,
}

/// A network card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    /// The network's name in the descriptor.
    pub network: String,
    /// The device in the guest.
    pub model: NetworkModel,
}

/// A property of a product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// `class.key.instance`, without the parts that are not given.
    pub key: String,
    /// True if a deployer may set the property.
    pub is_configurable: bool,
    /// The meaning and the value.
    pub parameter: Parameter,
}
