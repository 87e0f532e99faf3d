//! Xen: an `xl.cfg` for each machine, and a script that makes the bridges and starts them.
//!
//! Written for Xen 4.17 (Debian 12). Full virtualisation throughout: the disks boot themselves.

use seawall_api::release::{Bus, NetworkModel};

use super::guest::{architecture_name, device, model_name};
use super::identity::{self, Vendor};
use super::quote::{shell, xl};
use super::{DescriptorTarget, Draft, Guest, Subject};

/// Disks that the device model emulates on its first controllers; later ones are paravirtual.
const EMULATED_MAX: usize = 4;
/// Units of the SCSI controller that the device model emulates.
const LSI_UNITS: usize = 7;
/// What `xl` takes for a machine with emulated devices.
const CPUS_MAX: u32 = 128;

pub(super) fn describe(
    draft: &mut Draft,
    subject: &Subject<'_>,
    guests: &[Guest<'_>],
    place: &str,
) {
    let mut described = Vec::new();
    for guest in guests {
        if guest.is_pc() {
            let text = machine(draft, subject, guest, place);
            draft.file(&format!("{}.cfg", guest.machine.name), text);
            described.push(guest);
        } else {
            let name = architecture_name(guest.machine.architecture);
            let instead = "left out: Xen boots disks by themselves on x86 only";
            draft.lose(guest, format!("architecture {name}"), instead);
        }
    }
    draft.script("start.sh", start(subject, &described));
}

fn machine(draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>, place: &str) -> String {
    let (release, machine) = (subject.release, guest.machine);
    let takes = DescriptorTarget::Xen.formats();
    guest.lose_formats(draft, takes, "not opened by Xen: pull with --format raw");
    guest.lose_annotations(draft);
    if guest.is_secure() {
        draft.lose(guest, "secure boot", "UEFI that does not enforce it");
    }
    let cpus = guest.cpus(draft, CPUS_MAX);
    let firmware = if guest.is_uefi() { "ovmf" } else { "seabios" };
    let mut text = format!(
        "# Machine {} of {} {}, {}.\n\
         # Written by seawall, and anew by `seawall patch`: change a copy.\n\
         name = {}\n\
         uuid = {}\n\
         type = \"hvm\"\n\
         bios = \"{firmware}\"\n\
         vcpus = {}\n\
         memory = {}\n\
         serial = \"pty\"\n\
         vnc = 1\n\
         boot = \"c\"\n",
        machine.name,
        release.application(),
        release.version(),
        release.digest(),
        xl(&guest.name),
        xl(&guest.uuid),
        cpus,
        machine.memory_mib,
    );
    disks(&mut text, draft, guest, place);
    text.push_str("vif = [\n");
    for (card, mac) in guest.cards(subject, Vendor::Xen) {
        let bridge = identity::bridge(release.application(), &card.network);
        let model = match card.model {
            NetworkModel::Virtio => "virtio-net",
            other => model_name(other),
        };
        let vif = xl(&format!("mac={mac}, bridge={bridge}, model={model}"));
        text.push_str(&format!("  {vif}, # {}\n", card.network));
    }
    text.push_str("]\n");
    text
}

fn disks(text: &mut String, draft: &mut Draft, guest: &Guest<'_>, place: &str) {
    // One kind of controller serves every `hd`.
    let is_ahci = guest.has(Bus::Sata) && !guest.has(Bus::Ide);
    if is_ahci {
        text.push_str("hdtype = \"ahci\"\n");
    }
    text.push_str("disk = [\n");
    for (at, disk) in guest.disks.iter().enumerate() {
        // `hda`, `xvda` and `sda` are one number to a guest, so each place has its own letter.
        let (prefix, lost) = match disk.disk.bus {
            Bus::Ide if at < EMULATED_MAX => ("hd", None),
            Bus::Sata if at < EMULATED_MAX && is_ahci => ("hd", None),
            Bus::Sata if at < EMULATED_MAX => ("hd", Some("ide, as other disks of the machine")),
            Bus::Scsi if at < LSI_UNITS => ("sd", None),
            _ => ("xvd", Some("Xen's paravirtual disk: the guest needs its driver (xen-blkfront)")),
        };
        if let Some(instead) = lost {
            disk.lose_bus(draft, guest, instead);
        }
        let device = device(prefix, at);
        // What follows `target=` is the path to the end, commas and all.
        let line = format!(
            "format={}, vdev={device}, access=rw, target={place}/{}",
            disk.format, disk.file
        );
        text.push_str(&format!("  {},\n", xl(&line)));
    }
    text.push_str("]\n");
}

fn start(subject: &Subject<'_>, guests: &[&Guest<'_>]) -> String {
    let (application, version) = (subject.release.application(), subject.release.version());
    let mut script = format!(
        "#!/bin/sh\n\
         # Makes the bridges of {application} {version} and starts its machines in order.\n\
         # Written by seawall, and anew by `seawall patch`: change a copy.\n\
         set -eu\n\
         here=$(CDPATH='' cd -- \"$(dirname -- \"$0\")\" && pwd)\n\
         \n\
         bridge() {{\n\
         \x20 ip link show dev \"$1\" >/dev/null 2>&1 || ip link add name \"$1\" type bridge\n\
         \x20 ip link set dev \"$1\" up\n\
         }}\n\n"
    );
    for network in &subject.release.document().networks {
        let bridge = shell(&identity::bridge(application, &network.name));
        script.push_str(&format!("bridge {bridge} # {}\n", network.name));
    }
    for guest in guests {
        let file = shell(&format!("{}.cfg", guest.machine.name));
        let name = shell(&guest.name);
        script
            .push_str(&format!("xl domid {name} >/dev/null 2>&1 || xl create \"$here/\"{file}\n"));
    }
    script
}
