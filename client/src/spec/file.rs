//! `application.toml` (docs/application-toml.md).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use seawall_api::names::{DiskName, MachineName, NetworkName};
use seawall_api::release::{
    Architecture, Bus, Firmware, Network, NetworkCard, NetworkModel, Parameter,
};
use seawall_store::image::Format;
use serde::{Deserialize, Deserializer, de};

use super::memory::MemoryMib;
use super::{
    CPUS_DEFAULT, DiskSpec, MachineSpec, ReleaseSpec, SpecError, default_disk_name,
    host_architecture,
};

/// The maximum length of an `application.toml`, in bytes.
pub const FILE_LEN_MAX: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawApplication {
    machines: BTreeMap<MachineName, RawMachine>,
    #[serde(default)]
    networks: BTreeMap<NetworkName, RawNetwork>,
    #[serde(default)]
    parameters: BTreeMap<String, RawParameter>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawMachine {
    architecture: Option<Architecture>,
    firmware: Option<Firmware>,
    cpus: Option<u32>,
    #[serde(default)]
    memory: MemoryMib,
    #[serde(default)]
    start_order: u32,
    #[serde(deserialize_with = "disks")]
    disks: Vec<RawDisk>,
    #[serde(default)]
    network_cards: Vec<RawCard>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawDisk {
    name: Option<DiskName>,
    path: PathBuf,
    #[serde(default, deserialize_with = "format")]
    format: Option<Format>,
    bus: Option<Bus>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCard {
    network: NetworkName,
    model: Option<NetworkModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawNetwork {
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawParameter {
    #[serde(default)]
    description: String,
    default: Option<String>,
    #[serde(default)]
    required: bool,
}

/// Reads an `application.toml`. Disks' paths are relative to its folder.
///
/// # Errors
/// Fails if the file cannot be read or violates the schema. The error quotes the line.
pub fn read(path: &Path) -> Result<ReleaseSpec, SpecError> {
    let read_error = |source| SpecError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(read_error)?;
    let mut text = String::new();
    // One byte more than the limit, to detect a longer file.
    file.take(FILE_LEN_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
    let len = text.len() as u64;
    if len > FILE_LEN_MAX {
        return Err(SpecError::TooLong { path: path.to_owned(), len, limit: FILE_LEN_MAX });
    }
    parse(&text, path)
}

/// Parses the text of an `application.toml`. `path` is used for errors and relative paths.
///
/// # Errors
/// Fails if the text violates the schema. The error quotes the line.
pub fn parse(text: &str, path: &Path) -> Result<ReleaseSpec, SpecError> {
    let raw: RawApplication = toml::from_str(text)
        .map_err(|error| SpecError::Toml { path: path.to_owned(), source: Box::new(error) })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let machines = raw
        .machines
        .into_iter()
        .map(|(name, machine)| machine.prove(name, folder))
        .collect::<Result<_, _>>()?;
    let networks = raw
        .networks
        .into_iter()
        .map(|(name, network)| Network { name, description: network.description });
    let parameters = raw.parameters.into_iter().map(|(key, parameter)| {
        let RawParameter { description, default, required } = parameter;
        (key, Parameter { description, default, required })
    });
    ReleaseSpec {
        machines,
        networks: networks.collect(),
        parameters: parameters.collect(),
        annotations: raw.annotations,
    }
    .proven()
}

impl RawMachine {
    fn prove(self, name: MachineName, folder: &Path) -> Result<MachineSpec, SpecError> {
        let disks = self.disks.into_iter().enumerate().map(|(position, disk)| {
            Ok(DiskSpec {
                name: disk.name.map_or_else(|| default_disk_name(position), Ok)?,
                bus: disk.bus.unwrap_or(Bus::Virtio),
                path: folder.join(disk.path),
                format: disk.format,
                packed: None,
            })
        });
        let cards = self.network_cards.into_iter().map(|card| NetworkCard {
            network: card.network,
            model: card.model.unwrap_or(NetworkModel::Virtio),
        });
        Ok(MachineSpec {
            name,
            architecture: self.architecture.map_or_else(host_architecture, Ok)?,
            firmware: self.firmware.unwrap_or(Firmware::Bios),
            cpus: self.cpus.unwrap_or(CPUS_DEFAULT),
            memory_mib: self.memory.0,
            start_order: self.start_order,
            disks: disks.collect::<Result<_, SpecError>>()?,
            network_cards: cards.collect(),
            annotations: self.annotations,
            descriptor: None,
        })
    }
}

/// Reads disks as tables or as plain paths, such as `disks = ["web.qcow2"]`.
fn disks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RawDisk>, D::Error> {
    struct Entry(RawDisk);

    impl<'de> Deserialize<'de> for Entry {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(EntryVisitor)
        }
    }

    struct EntryVisitor;

    impl<'de> de::Visitor<'de> for EntryVisitor {
        type Value = Entry;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(
                "a disk: a path, or a table such as { name = \"root\", path = \"web.raw\" }",
            )
        }

        fn visit_str<E: de::Error>(self, path: &str) -> Result<Entry, E> {
            Ok(Entry(RawDisk { name: None, path: path.into(), format: None, bus: None }))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
            RawDisk::deserialize(de::value::MapAccessDeserializer::new(map)).map(Entry)
        }
    }

    let entries = Vec::<Entry>::deserialize(deserializer)?;
    Ok(entries.into_iter().map(|Entry(disk)| disk).collect())
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}
