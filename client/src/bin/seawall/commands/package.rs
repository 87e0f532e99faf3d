//! `seawall inspect` of an OVA or OVF package: the machines in it and their disks.

use std::path::{Path, PathBuf};

use seawall::ovf::Package;
use seawall_api::names::{DiskName, MachineName};
use seawall_api::units::HumanBytes;
use serde::Serialize;

use crate::output::{Style, answer, count, table};
use crate::report::Failure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    format: &'static str,
    file: PathBuf,
    machines: Vec<InspectedMachine>,
    /// What of the description has no place in a release.
    not_mapped: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InspectedMachine {
    machine: MachineName,
    cpus: u32,
    memory_mib: u64,
    disks: Vec<InspectedDisk>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InspectedDisk {
    disk: DiskName,
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
}

/// The kind of package that a file's name says; `None` for an image.
pub(super) fn kind_of(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "ova" => Some("ova"),
        "ovf" => Some("ovf"),
        _ => None,
    }
}

pub(super) fn inspect(path: &Path, format: &'static str, style: Style) -> Result<(), Failure> {
    let package = Package::open(path)?;
    let machines = package.spec().machines.iter().map(|machine| InspectedMachine {
        machine: machine.name.clone(),
        cpus: machine.cpus,
        memory_mib: machine.memory_mib,
        disks: machine
            .disks
            .iter()
            .map(|disk| InspectedDisk {
                disk: disk.name.clone(),
                file: disk.path.clone(),
                disk_bytes: disk.packed.as_ref().and_then(|packed| packed.capacity),
            })
            .collect(),
    });
    let inspected = Inspected {
        format,
        file: path.to_owned(),
        machines: machines.collect(),
        not_mapped: package.unmapped().len() as u64,
    };
    answer(style, &inspected, text)
}

fn text(inspected: &Inspected) -> String {
    let machines = count(inspected.machines.len() as u64, "machine");
    let mut text = format!(
        "format  {} package of {machines}\nfile    {}\n\n",
        inspected.format.to_uppercase(),
        inspected.file.display()
    );
    let rows = inspected.machines.iter().flat_map(|machine| {
        machine.disks.iter().map(|disk| {
            let len = disk.disk_bytes.map_or("-".to_owned(), |len| HumanBytes(len).to_string());
            vec![
                machine.machine.to_string(),
                machine.cpus.to_string(),
                HumanBytes(machine.memory_mib << 20).to_string(),
                disk.disk.to_string(),
                len,
                disk.file.display().to_string(),
            ]
        })
    });
    text += &table(&["MACHINE", "CPUS", "MEMORY", "DISK", "LENGTH", "FILE"], rows);
    if inspected.not_mapped > 0 {
        let lines = count(inspected.not_mapped, "item");
        text += &format!(
            "\n{lines} of its description would not be mapped; `seawall push` lists them\n"
        );
    }
    text
}
