//! `--machine NAME=[DISK:][FORMAT:]PATH[,…]`, the short form of a release description.
//!
//! Everything else has a default: 1 CPU, 1024 MiB, BIOS, this host's architecture, and virtio disks
//! named `disk0`, `disk1`, … in the given order. A path in a flag cannot contain a comma.
//!
//! Before a colon, the name of a format (`raw`, `qcow2`, `vmdk`, `vhd`, `vhdx`, `vdi`) is a format.
//! Any other name is a disk's. A disk named `raw` is written `raw:raw:PATH`. A path that would be
//! read as one of these forms needs a leading `./`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::{Bus, Firmware};
use seawall_store::image::Format;

use super::memory::MemoryMib;
use super::{
    CPUS_DEFAULT, DiskSpec, MachineSpec, ReleaseSpec, SpecError, default_disk_name,
    host_architecture,
};

/// One `--machine` flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineFlag {
    /// The machine's name.
    pub name: MachineName,
    /// The machine's disks, at least one.
    pub disks: Vec<FlaggedDisk>,
}

/// One disk of a `--machine` flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlaggedDisk {
    /// The disk's name.
    pub name: DiskName,
    /// The disk's format, if given.
    pub format: Option<Format>,
    /// The disk's file.
    pub path: PathBuf,
}

impl FromStr for MachineFlag {
    type Err = SpecError;

    fn from_str(flag: &str) -> Result<Self, SpecError> {
        let bad = |why: &str| SpecError::Flag {
            flag: flag.escape_debug().to_string(),
            why: why.to_owned(),
        };
        let (name, paths) = flag.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
        let name = name.parse().map_err(|error| bad(&format!("{error}")))?;
        let disk = |(position, text): (usize, &str)| {
            let (name, rest) = match named(text) {
                Some((name, rest)) => (name, rest),
                None => (default_disk_name(position)?, text),
            };
            let (format, path) = Format::split_path(rest.as_ref());
            if path.as_os_str().is_empty() {
                Err(bad("a disk's path is empty"))
            } else {
                Ok(FlaggedDisk { name, format, path })
            }
        };
        let disks = paths.split(',').enumerate().map(disk).collect::<Result<_, _>>()?;
        Ok(Self { name, disks })
    }
}

/// Splits the disk's name off `DISK:…`.
///
/// The name of a format is a disk's name only if another format follows.
fn named(text: &str) -> Option<(DiskName, &str)> {
    let (name, rest) = text.split_once(':')?;
    let is_format = name.parse::<Format>().is_ok();
    let is_name = !is_format || Format::split_path(rest.as_ref()).0.is_some();
    is_name.then(|| Some((name.parse().ok()?, rest)))?
}

/// Describes a release by `--machine` flags.
///
/// # Errors
/// Fails without flags, on a repeated machine, or on a violation of a rule of release documents.
pub fn describe(flags: Vec<MachineFlag>) -> Result<ReleaseSpec, SpecError> {
    let architecture = host_architecture()?;
    let mut machines: Vec<_> = flags
        .into_iter()
        .map(|flag| MachineSpec {
            name: flag.name,
            architecture,
            firmware: Firmware::Bios,
            cpus: CPUS_DEFAULT,
            memory_mib: MemoryMib::default().0,
            start_order: 0,
            disks: flag
                .disks
                .into_iter()
                .map(|FlaggedDisk { name, format, path }| {
                    let bus = Bus::Virtio;
                    DiskSpec { name, bus, path, format, packed: None }
                })
                .collect(),
            network_cards: Vec::new(),
            annotations: BTreeMap::new(),
            descriptor: None,
        })
        .collect();
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    ReleaseSpec {
        machines,
        networks: Vec::new(),
        parameters: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
    .proven()
}
