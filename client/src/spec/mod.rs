//! Descriptions of releases to push: the machines and the files of their disks.
//!
//! A description is read from an `application.toml` ([`file`], docs/application-toml.md) or from
//! `--machine` flags ([`flags`]). Both produce a [`ReleaseSpec`]. Nothing here opens a disk.
//!
//! # Invariants
//!
//! 1. Every [`ReleaseSpec`] follows all rules of release documents. Later errors of a push are
//!    errors of the disks, not of the description.
//! 2. Machines and networks are in the order of a release document, by name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use seawall_api::digest::{ContentDigest, IndexDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::{
    Architecture, Bus, Descriptor, Disk, Document, Firmware, Machine, Network, NetworkCard,
    Parameter, Release, Schema,
};
use seawall_api::units::DiskLen;
use seawall_store::image::{FileSlice, Format, Wrapping};

mod error;
pub mod file;
pub mod flags;
mod memory;

pub use error::SpecError;

/// The default number of a machine's processors.
const CPUS_DEFAULT: u32 = 1;

/// A release to push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseSpec {
    /// The machines, ordered by name; at least one.
    pub machines: Vec<MachineSpec>,
    /// The networks that the machines share, ordered by name.
    pub networks: Vec<Network>,
    /// The parameters that an operator may set on deployment, by key.
    pub parameters: BTreeMap<String, Parameter>,
    /// Free texts by key.
    pub annotations: BTreeMap<String, String>,
}

/// A machine to push, with disks as files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineSpec {
    /// The machine's name, unique in the release.
    pub name: MachineName,
    /// The instruction set of the machine's software.
    pub architecture: Architecture,
    /// The firmware, which starts the boot disk.
    pub firmware: Firmware,
    /// The number of virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The position in the start order. Lower numbers start first.
    pub start_order: u32,
    /// The disks in bus order. The machine boots from the first.
    pub disks: Vec<DiskSpec>,
    /// The network cards in slot order.
    pub network_cards: Vec<NetworkCard>,
    /// Free texts by key.
    pub annotations: BTreeMap<String, String>,
    /// The descriptor of the package that the machine comes from, if any.
    pub descriptor: Option<Descriptor>,
}

/// The location of a disk's file in a package.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packed {
    /// The ranges of files that contain the file, in order. Empty for an empty disk.
    pub slices: Vec<FileSlice>,
    /// The steps that extract the file from the ranges, in order. Empty if the ranges are the file.
    pub steps: Vec<Unpack>,
    /// The disk's length in bytes, if the package states one.
    pub capacity: Option<u64>,
    /// The file's format, if the package states one.
    pub stated: Option<Format>,
}

/// A step in the extraction of a file from an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unpack {
    /// Inflates a file that is compressed as a whole.
    Inflate(Wrapping),
    /// Inflates a member of a zip archive.
    Deflate,
    /// Takes a range of the bytes.
    Part(Range<u64>),
}

/// A disk to push, stored as a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskSpec {
    /// The disk's name, unique in the machine.
    pub name: DiskName,
    /// The bus that the disk is attached to.
    pub bus: Bus,
    /// The disk's file. For a disk in a package, a name for errors.
    pub path: PathBuf,
    /// The file's format. If `None`, the format is detected from the content.
    pub format: Option<Format>,
    /// The file's location in a package. `None` for a file of its own.
    pub packed: Option<Packed>,
}

/// The result of a scan of a disk's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskContent {
    /// The length in the guest.
    pub len: DiskLen,
    /// The digest of the disk's content.
    pub content: ContentDigest,
    /// The digest of the disk's index, which lists its chunks.
    pub index: IndexDigest,
}

impl ReleaseSpec {
    /// Returns every disk with its machine, in document order.
    pub fn disks(&self) -> impl Iterator<Item = (&MachineSpec, &DiskSpec)> {
        self.machines.iter().flat_map(|m| m.disks.iter().map(move |disk| (m, disk)))
    }

    /// Returns the release document, with the contents of disks from `content_of`.
    ///
    /// # Errors
    /// Fails with the first error of `content_of`.
    pub fn into_document<E>(
        self,
        application: ApplicationName,
        version: Version,
        mut content_of: impl FnMut(&MachineName, &DiskSpec) -> Result<DiskContent, E>,
    ) -> Result<Document, E> {
        let mut machines = Vec::with_capacity(self.machines.len());
        for machine in self.machines {
            let mut disks = Vec::with_capacity(machine.disks.len());
            for disk in machine.disks {
                let DiskContent { len, content, index } = content_of(&machine.name, &disk)?;
                let (name, bus, len) = (disk.name, disk.bus, len.get());
                disks.push(Disk { name, len, content, index, bus });
            }
            machines.push(Machine {
                name: machine.name,
                architecture: machine.architecture,
                firmware: machine.firmware,
                cpus: machine.cpus,
                memory_mib: machine.memory_mib,
                start_order: machine.start_order,
                disks,
                network_cards: machine.network_cards,
                annotations: machine.annotations,
                descriptor: machine.descriptor,
            });
        }
        Ok(Document {
            schema: Schema::V1,
            application,
            version,
            machines,
            networks: self.networks,
            parameters: self.parameters,
            annotations: self.annotations,
        })
    }

    /// Checks all rules of release documents except for the disks' contents, so that a mistake is
    /// found before gigabytes are read.
    pub(crate) fn proven(self) -> Result<Self, SpecError> {
        let stand_in = |_: &MachineName, _: &DiskSpec| {
            Ok::<_, SpecError>(DiskContent {
                len: DiskLen::new(1)?,
                content: ContentDigest::from_bytes([0; 32]),
                index: IndexDigest::from_bytes([0; 32]),
            })
        };
        let document = self.clone().into_document("a".parse()?, "0".parse()?, stand_in)?;
        let release = Release::new(document)?;
        for (machine, disk) in release.disks() {
            machine.name.check_usable()?;
            disk.name.check_usable()?;
        }
        Ok(self)
    }
}

/// Returns this host's architecture, the default of machines.
fn host_architecture() -> Result<Architecture, SpecError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Architecture::X86_64),
        "x86" => Ok(Architecture::I686),
        "aarch64" => Ok(Architecture::Aarch64),
        "riscv64" => Ok(Architecture::Riscv64),
        "powerpc64" if cfg!(target_endian = "little") => Ok(Architecture::Ppc64le),
        "s390x" => Ok(Architecture::S390x),
        other => Err(SpecError::Architecture { host: other }),
    }
}

/// Returns the default name of a disk: `disk0`, `disk1`, ….
fn default_disk_name(position: usize) -> Result<DiskName, SpecError> {
    Ok(format!("disk{position}").parse()?)
}

#[cfg(test)]
mod tests;
