//! What to push: the machines of a release and the files that hold their disks.
//!
//! Comes from an `application.toml` ([`file`], docs/application-toml.md) or from `--machine`
//! flags ([`flags`]); both give the same [`ReleaseSpec`]. Nothing here opens a disk.
//!
//! # Invariants
//!
//! 1. A [`ReleaseSpec`] that exists follows every rule of a release document: what a push finds
//!    wrong later is in the disks, not in the description.
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
use seawall_store::image::{FileSlice, Format};

mod error;
pub mod file;
pub mod flags;
mod memory;

pub use error::SpecError;

/// The machine's processors where none are given.
const CPUS_DEFAULT: u32 = 1;

/// A release that is about to be pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseSpec {
    /// The machines, ordered by name; at least one.
    pub machines: Vec<MachineSpec>,
    /// The networks that the machines share, ordered by name.
    pub networks: Vec<Network>,
    /// What an operator may set when the release is deployed, by key.
    pub parameters: BTreeMap<String, Parameter>,
    /// Free text by key.
    pub annotations: BTreeMap<String, String>,
}

/// A machine whose disks are still files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineSpec {
    /// Its name, unique in the release.
    pub name: MachineName,
    /// The instruction set its disks are built for.
    pub architecture: Architecture,
    /// What starts its boot disk.
    pub firmware: Firmware,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Lower numbers start first.
    pub start_order: u32,
    /// The disks in bus order; the first is the one it boots from.
    pub disks: Vec<DiskSpec>,
    /// The network cards in slot order.
    pub network_cards: Vec<NetworkCard>,
    /// Free text by key.
    pub annotations: BTreeMap<String, String>,
    /// The original descriptor, where there was one.
    pub descriptor: Option<Descriptor>,
}

/// How a disk's file lies in a package.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packed {
    /// The ranges of files that hold it, end to end; none for an empty disk.
    pub slices: Vec<FileSlice>,
    /// How its bytes are taken out of them, the first step first; none where they are its bytes.
    pub steps: Vec<Unpack>,
    /// The disk's length, if the package says it.
    pub capacity: Option<u64>,
    /// The format of its file, if the package says it.
    pub stated: Option<Format>,
}

/// A step in taking a file out of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unpack {
    /// Inflates gzip.
    Gzip,
    /// Inflates a member of a zip archive.
    Deflate,
    /// Takes a range of the bytes.
    Part(Range<u64>),
}

/// A disk that is still a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskSpec {
    /// Its name, unique in the machine.
    pub name: DiskName,
    /// What it is attached to.
    pub bus: Bus,
    /// The file that holds it; what errors call it where it is in a package.
    pub path: PathBuf,
    /// The file's format; recognised from its content where `None`.
    pub format: Option<Format>,
    /// Where its file lies, if that is in a package.
    pub packed: Option<Packed>,
}

/// What a scan found in a disk's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskContent {
    /// Length as the guest sees it.
    pub len: DiskLen,
    /// Its identity.
    pub content: ContentDigest,
    /// The index that lists its chunks.
    pub index: IndexDigest,
}

impl ReleaseSpec {
    /// Every disk with the machine it belongs to, in document order.
    pub fn disks(&self) -> impl Iterator<Item = (&MachineSpec, &DiskSpec)> {
        self.machines.iter().flat_map(|m| m.disks.iter().map(move |disk| (m, disk)))
    }

    /// The release document, each disk as `content_of` says it is.
    ///
    /// # Errors
    /// The first of `content_of`.
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

    /// Holds the rules of a release document against everything but the disks' content, so that
    /// a mistake is found before gigabytes are read.
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

/// The architecture of this host, which is the default for machines.
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

/// `disk0`, `disk1`, …: a disk's name where none is given.
fn default_disk_name(position: usize) -> Result<DiskName, SpecError> {
    Ok(format!("disk{position}").parse()?)
}

#[cfg(test)]
mod tests;
