//! What a descriptor says, without its XML: the neutral description of a package.

use std::collections::BTreeSet;
use std::fmt;

use seawall_api::release::{Architecture, Bus, Firmware, NetworkModel, Parameter};
use seawall_store::image::{Format, Wrapping};
use serde::Serialize;

/// Something of a descriptor that a release does not carry, or carries changed.
///
/// The original descriptor still has it: it is kept byte for byte.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Unmapped {
    /// The section it stands in.
    pub section: String,
    /// The virtual system it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What it is.
    pub what: String,
    /// What became of it, and why.
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
    /// The files of the package, in the order of References.
    pub files: Vec<FileReference>,
    /// The disks.
    pub disks: Vec<VirtualDisk>,
    /// The networks.
    pub networks: Vec<OvfNetwork>,
    /// The virtual systems, those of nested collections too, in document order.
    pub systems: Vec<VirtualSystem>,
    /// Properties of collections.
    pub properties: Vec<Property>,
    /// Positions of the disks that an item names, of whatever machine and configuration.
    pub named: BTreeSet<usize>,
    /// What was read and has no place above.
    pub unmapped: Vec<Unmapped>,
}

/// A file of the package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileReference {
    /// What the descriptor calls it.
    pub id: String,
    /// Its name in the package, as it is written there: what it names is for the package to tell.
    pub href: String,
    /// Its length in bytes, where it is told.
    pub len: Option<u64>,
    /// What it is compressed by, as the descriptor says.
    pub compression: Option<Wrapping>,
    /// It is stored in chunks of this many bytes (`ovf:chunkSize`).
    pub chunk_len: Option<u64>,
}

/// A disk of the package.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VirtualDisk {
    /// What the descriptor calls it.
    pub id: String,
    /// The position of its file; `None` for an empty disk.
    pub file: Option<usize>,
    /// Its length in bytes, as the guest sees it; `None` where only the file tells it.
    pub capacity: Option<u64>,
    /// The URI of its format.
    pub format: String,
    /// The format that its file has, as the descriptor says.
    pub stated: Option<Format>,
    /// What it is attached to, where no controller tells it.
    pub bus: Option<Bus>,
    /// The machine boots from it.
    pub is_boot: bool,
}

/// A network of the package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OvfNetwork {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// A virtual machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualSystem {
    /// What the descriptor calls it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The guest's operating system, in words.
    pub operating_system: String,
    /// What it is for.
    pub annotation: String,
    /// The instruction set.
    pub architecture: Architecture,
    /// What starts its boot disk.
    pub firmware: Firmware,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Its place in the start order, and before it those of the collections it is in.
    pub start: Vec<u32>,
    /// Its disks in bus order.
    pub disks: Vec<AttachedDisk>,
    /// Its network cards.
    pub cards: Vec<Card>,
    /// Facts about the product in it, by key.
    pub facts: Vec<(&'static str, String)>,
    /// Properties of the product in it.
    pub properties: Vec<Property>,
}

/// A disk of a virtual machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttachedDisk {
    /// Its position in [`Envelope::disks`].
    pub disk: usize,
    /// What it is attached to.
    pub bus: Bus,
    /// What the release that it was written from called it.
    pub name: Option<String>,
}

/// A network card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    /// The network's name in the descriptor.
    pub network: String,
    /// The device the guest sees.
    pub model: NetworkModel,
}

/// A property of a product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// `class.key.instance`, without the parts that are not given.
    pub key: String,
    /// Whether whoever deploys the package may set it.
    pub is_configurable: bool,
    /// Its meaning and value.
    pub parameter: Parameter,
}
