//! QEMU: a script for each machine, and a script that starts all machines in order.
//!
//! Targets QEMU 7.2 (Debian 12). Guests write to overlays, so that the pulled disks stay unchanged
//! and can be patched. The state of a run is in a folder named after the release, because an
//! overlay on other disks would be corrupt.

use seawall_api::release::{Architecture, Bus, NetworkModel};

use crate::deploy::guest::{GuestDisk, architecture_name, bus_name, model_name, qemu_format};
use crate::deploy::identity::{self, Vendor};
use crate::deploy::quote::shell;
use crate::deploy::{Draft, Guest, OVERLAY, Subject, state_name};

/// Units of an LSI controller, of an AHCI controller, and of a PC's two IDE channels.
const LSI_UNITS: usize = 7;
const AHCI_UNITS: usize = 6;
const IDE_UNITS: usize = 4;
/// Slots of a board's first bus, without the board's own devices.
const SLOTS_MAX: usize = 24;

/// The parts of the script that are the same for every machine.
const RUN: &str = include_str!("qemu-run.sh");
const MACHINE: &str = include_str!("qemu-machine.sh");

pub(in crate::deploy) fn describe(draft: &mut Draft, subject: &Subject<'_>, guests: &[Guest<'_>]) {
    let (application, version) = (subject.release.application(), subject.release.version());
    for guest in guests {
        let script = run(draft, subject, guest);
        draft.script(&format!("run-{}.sh", guest.machine.name), script);
    }
    let mut all = format!(
        "#!/bin/sh\n\
         # Starts the machines of {application} {version} in order, in the background.\n\
         # Written by seawall; `seawall patch` rewrites it: change a copy.\n\
         # Options and arguments go to each machine's script.\n\
         set -eu\n\
         here=$(CDPATH='' cd -- \"$(dirname -- \"$0\")\" && pwd)\n"
    );
    for guest in guests {
        let file = shell(&format!("run-{}.sh", guest.machine.name));
        all.push_str(&format!("\"$here/\"{file} --background \"$@\"\n"));
    }
    draft.script("start-all.sh", all);
}

/// QEMU's name of an architecture, its board, and the board's virtio transport.
struct Board {
    program: &'static str,
    kind: &'static str,
    /// The suffix of the names of virtio devices.
    virtio: &'static str,
}

fn board(guest: &Guest<'_>) -> Board {
    let pc = if guest.is_i440fx() { "pc" } else { "q35" };
    let (program, kind, virtio) = match guest.machine.architecture {
        Architecture::X86_64 => ("x86_64", pc, "pci"),
        Architecture::I686 => ("i386", pc, "pci"),
        Architecture::Aarch64 => ("aarch64", "virt,gic-version=max", "pci"),
        Architecture::Riscv64 => ("riscv64", "virt", "pci"),
        Architecture::Ppc64le => ("ppc64", "pseries", "pci"),
        Architecture::S390x => ("s390x", "s390-ccw-virtio", "ccw"),
    };
    Board { program, kind, virtio }
}

fn run(draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>) -> String {
    let (release, machine) = (subject.release, guest.machine);
    guest.report_lost_annotations(draft);
    let board = board(guest);
    let firmware = firmware(draft, guest);
    let digest = release.digest().to_string();
    let state = state_name(release.digest());
    let networks: Vec<_> =
        release.document().networks.iter().map(|network| network.name.as_str()).collect();
    let architecture = architecture_name(machine.architecture);
    let mut script = format!(
        "#!/bin/sh\n\
         # Runs machine {name} of {application} {version}, {digest}.\n\
         name={quoted}\n\
         machine={name}\n\
         release={state}\n\
         networks={networks}\n\
         program=qemu-system-{program}\n\
         architecture={architecture}\n\
         board={kind}\n\
         firmware={firmware}\n\
         {RUN}{OVERLAY}{MACHINE}\n\
         set -- -smp {cpus} -m {memory}M -uuid {uuid} \"$@\"\n",
        name = machine.name,
        application = release.application(),
        version = release.version(),
        quoted = shell(&guest.name),
        networks = shell(&networks.join(" ")),
        program = board.program,
        kind = board.kind,
        cpus = guest.cpus(draft, guest.qemu_cpus_max()),
        memory = machine.memory_mib,
        uuid = guest.uuid,
    );
    disks(&mut script, draft, guest, &board);
    for (slot, (card, mac)) in guest.cards(subject, Vendor::Qemu).into_iter().enumerate() {
        let group = identity::multicast(release.application(), &card.network);
        let model = model_name(card.model);
        let device = match card.model {
            NetworkModel::Virtio => format!("virtio-net-{}", board.virtio),
            _ if machine.architecture == Architecture::S390x => {
                draft.lose(guest, format!("a network card {model}"), "virtio");
                "virtio-net-ccw".to_owned()
            }
            _ => model.to_owned(),
        };
        script.push_str(&format!("card {slot} {device} {mac} {group} {}\n", card.network));
    }
    let slots = guest.disks.len() + machine.network_cards.len();
    if machine.architecture != Architecture::S390x && slots > SLOTS_MAX {
        draft.lose(guest, format!("{slots} disks and cards"), "QEMU may lack slots for them");
    }
    script.push_str("run \"$@\"\n");
    script
}

/// Returns the firmware that the script looks for. `bios` is the board's default firmware.
fn firmware(draft: &mut Draft, guest: &Guest<'_>) -> &'static str {
    let has_uefi =
        !matches!(guest.machine.architecture, Architecture::Ppc64le | Architecture::S390x);
    let is_secure = guest.is_secure() && guest.machine.architecture == Architecture::X86_64;
    if guest.is_uefi() && !has_uefi {
        draft.lose(guest, "UEFI", "the firmware of its architecture");
    } else if guest.is_secure() && !is_secure {
        draft.lose(guest, "secure boot", "UEFI that does not enforce it");
    }
    if !guest.is_uefi() && !guest.is_pc() {
        let instead = if has_uefi { "UEFI" } else { "the firmware of its architecture" };
        draft.lose(guest, "a PC BIOS", instead);
    }
    match (is_secure, has_uefi && (guest.is_uefi() || !guest.is_pc())) {
        (true, _) => "uefi-secure",
        (_, true) => "uefi",
        (_, false) => "bios",
    }
}

/// The number of disks on each bus so far.
#[derive(Default)]
struct Places {
    ide: usize,
    sata: usize,
    virtio_scsi: usize,
    lsi: usize,
}

impl Places {
    /// Returns the device of the next disk on a bus, and a controller to create before the disk.
    fn next(&mut self, bus: Bus, board: &Board) -> (String, Option<String>) {
        let take = |count: &mut usize| {
            *count += 1;
            *count - 1
        };
        match bus {
            Bus::Virtio => (format!("virtio-blk-{}", board.virtio), None),
            Bus::Nvme => ("nvme".to_owned(), None),
            Bus::Ide => {
                let at = take(&mut self.ide);
                (format!("ide-hd,bus=ide.{},unit={}", at / 2, at % 2), None)
            }
            Bus::Sata => {
                let at = take(&mut self.sata);
                let (controller, unit) = (at / AHCI_UNITS, at % AHCI_UNITS);
                let device = format!("ide-hd,bus=sata{controller}.{unit}");
                (device, (unit == 0).then(|| format!("ich9-ahci,id=sata{controller}")))
            }
            Bus::VirtioScsi => {
                let at = take(&mut self.virtio_scsi);
                let controller = format!("virtio-scsi-{},id=vscsi", board.virtio);
                (format!("scsi-hd,bus=vscsi.0,scsi-id={at}"), (at == 0).then_some(controller))
            }
            Bus::Scsi => {
                let at = take(&mut self.lsi);
                let (controller, unit) = (at / LSI_UNITS, at % LSI_UNITS);
                let device = format!("scsi-hd,bus=scsi{controller}.0,scsi-id={unit}");
                (device, (unit == 0).then(|| format!("lsi53c895a,id=scsi{controller}")))
            }
        }
    }
}

/// Returns the replacement of a bus that the board lacks or has no room on, otherwise `None`.
fn instead(guest: &Guest<'_>, bus: Bus, ide_count: usize) -> Option<Bus> {
    match bus {
        Bus::Ide if guest.is_i440fx() && ide_count < IDE_UNITS => None,
        Bus::Ide if guest.is_pc() => Some(Bus::Sata),
        Bus::Ide => Some(Bus::Virtio),
        Bus::Scsi | Bus::Sata | Bus::Nvme if guest.machine.architecture == Architecture::S390x => {
            Some(Bus::Virtio)
        }
        _ => None,
    }
}

fn disks(script: &mut String, draft: &mut Draft, guest: &Guest<'_>, board: &Board) {
    let mut places = Places::default();
    for (at, disk) in guest.disks.iter().enumerate() {
        let bus = instead(guest, disk.disk.bus, places.ide);
        if let Some(bus) = bus {
            disk.report_lost_bus(draft, guest, bus_name(bus));
        }
        let (device, controller) = places.next(bus.unwrap_or(disk.disk.bus), board);
        if let Some(controller) = controller {
            script.push_str(&format!("set -- \"$@\" -device {controller}\n"));
        }
        script.push_str(&disk_line(at, disk, &device));
    }
}

fn disk_line(at: usize, disk: &GuestDisk<'_>, device: &str) -> String {
    let format = qemu_format(disk.format);
    // QEMU requires a serial number for NVMe.
    let serial = if device == "nvme" { format!(",serial=seawall{at}") } else { String::new() };
    let (file, name) = (shell(&disk.file), shell(disk.disk.name.as_str()));
    format!(
        "disk {at} {name} {file} {format}\n\
         set -- \"$@\" -drive \"$drive\" -device {device},drive=disk{at},bootindex={}{serial}\n",
        at + 1
    )
}
