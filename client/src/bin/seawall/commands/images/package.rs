//! `seawall inspect` of an OVA or OVF package: the machines in it and their disks.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use seawall::convert::ConvertFailure;
use seawall::disk::DiskSource;
use seawall::ovf::{Package, Survey, Unmapped};
use seawall_api::names::{DiskName, MachineName};
use seawall_api::units::HumanBytes;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Style, answer, count, table};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    format: &'static str,
    file: PathBuf,
    machines: Vec<InspectedMachine>,
    /// The number of entries in `unmapped`.
    not_mapped: u64,
    /// The parts of the description without a counterpart in a release.
    unmapped: Vec<Unmapped>,
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
    disk_bytes: u64,
    /// The detected format of the disk's file, and all files read for the disk.
    #[serde(flatten)]
    source: DiskSource,
}

/// Opens the package at `path`; returns `None` for a disk or other file.
///
/// Folders and files named `.ova` or `.ovf` must be packages. Other files are packages if they are
/// archives with a descriptor.
pub(super) fn open(path: &Path) -> Result<Option<Package>, Failure> {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if path.is_dir() || matches!(&*extension.to_ascii_lowercase(), "ova" | "ovf") {
        return Ok(Some(Package::open(path)?));
    }
    Ok(if Package::may_be(path) { Package::open(path).ok() } else { None })
}

/// Prints the machines of a package. Opens every disk like a push, except that disks may be in use.
pub(super) async fn inspect(package: Package, file: PathBuf, style: Style) -> Result<(), Failure> {
    let (package, survey) = tokio::task::spawn_blocking(move || {
        let survey = package.survey();
        (package, survey)
    })
    .await
    .map_err(|_| ConvertFailure::Defect)?;
    let Survey { disks, unmapped } = survey?;
    let mut surveyed = disks.into_iter();
    let machines = package.spec().machines.iter().map(|machine| InspectedMachine {
        machine: machine.name.clone(),
        cpus: machine.cpus,
        memory_mib: machine.memory_mib,
        disks: machine
            .disks
            .iter()
            .zip(surveyed.by_ref())
            .map(|(disk, (disk_bytes, source))| InspectedDisk {
                disk: disk.name.clone(),
                file: disk.path.clone(),
                disk_bytes,
                source,
            })
            .collect(),
    });
    let inspected = Inspected {
        format: if package.is_archive() { "ova" } else { "ovf" },
        file,
        machines: machines.collect(),
        not_mapped: unmapped.len() as u64,
        unmapped,
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
            vec![
                machine.machine.to_string(),
                machine.cpus.to_string(),
                HumanBytes(machine.memory_mib << 20).to_string(),
                disk.disk.to_string(),
                HumanBytes(disk.disk_bytes).to_string(),
                disk.source.format.clone(),
                disk.file.display().to_string(),
            ]
        })
    });
    text += &table(&["MACHINE", "CPUS", "MEMORY", "DISK", "LENGTH", "FORMAT", "FILE"], rows);
    for disk in inspected.machines.iter().flat_map(|machine| &machine.disks) {
        if let Some(len) = disk.source.sector_len {
            text += &format!("\ndisk {} has sectors of {len} bytes\n", disk.disk);
        }
    }
    if !inspected.unmapped.is_empty() {
        text.push('\n');
    }
    for unmapped in &inspected.unmapped {
        text += &format!("not mapped: {unmapped}\n");
    }
    text
}
