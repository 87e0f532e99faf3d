//! `--machine NAME=[DISK:]PATH[,[DISK:]PATH…]`, the short way to describe a release.
//!
//! Everything else has its default: 1 CPU, 1024 MiB, BIOS, this host's architecture, virtio disks
//! named `disk0`, `disk1`, … in the order given. A comma cannot be part of a path here, and a
//! path that would read as `DISK:PATH` is written with a `./` before it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::{Bus, Firmware};

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
    /// Its disks, at least one.
    pub disks: Vec<(DiskName, PathBuf)>,
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
            let named = text
                .split_once(':')
                .and_then(|(name, path)| Some((name.parse::<DiskName>().ok()?, path)));
            let (name, path) = match named {
                Some((name, path)) => (name, path),
                None => (default_disk_name(position)?, text),
            };
            if path.is_empty() {
                Err(bad("a disk's path is empty"))
            } else {
                Ok((name, path.into()))
            }
        };
        let disks = paths.split(',').enumerate().map(disk).collect::<Result<_, _>>()?;
        Ok(Self { name, disks })
    }
}

/// Describes a release by flags.
///
/// # Errors
/// When there is none, a machine is named twice, or a rule of release documents is broken.
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
                .map(|(name, path)| {
                    let bus = Bus::Virtio;
                    DiskSpec { name, bus, path, format: None, packed: None }
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
