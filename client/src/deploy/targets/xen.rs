//! Xen: an `xl.cfg` for each machine, and a script that creates the bridges and starts the
//! machines.
//!
//! Targets Xen 4.17 (Debian 12). All machines are fully virtualised, because the disks boot
//! themselves.

use seawall_api::release::{Bus, NetworkModel};

use crate::deploy::guest::{architecture_name, device, model_name};
use crate::deploy::identity::{self, Vendor};
use crate::deploy::quote::{shell, xl};
use crate::deploy::{DescriptorTarget, Draft, Guest, OVERLAY, Subject, Writes, state_name};

/// The number of disks on the device model's emulated controllers. Later disks are paravirtual.
const EMULATED_MAX: usize = 4;
/// Units of the SCSI controller that the device model emulates.
const LSI_UNITS: usize = 7;
/// The fixed beginning of the start script.
const START: &str = include_str!("xen-start.sh");
/// The maximum number of processors that `xl` accepts for a fully virtualised machine.
const CPUS_MAX: u32 = 128;

pub(in crate::deploy) fn describe(
    draft: &mut Draft,
    subject: &Subject<'_>,
    guests: &[Guest<'_>],
    place: &str,
) {
    let mut described = Vec::new();
    for guest in guests {
        if guest.is_pc() {
            let name = &guest.machine.name;
            let text = machine(draft, subject, guest, (place, Writes::Overlay));
            draft.file(&format!("{name}.cfg"), text);
            // The first draft reported the losses.
            let mut unheard = Draft { folder: draft.folder.clone(), ..Draft::default() };
            let text = machine(&mut unheard, subject, guest, (place, Writes::Disk));
            draft.file(&format!("{}{name}.cfg", Writes::Disk.folder()), text);
            described.push(guest);
        } else {
            let name = architecture_name(guest.machine.architecture);
            let instead = "left out: Xen boots disks by themselves on x86 only";
            draft.lose(guest, format!("architecture {name}"), instead);
        }
    }
    draft.script("start.sh", start(subject, &described));
}

fn machine(
    draft: &mut Draft,
    subject: &Subject<'_>,
    guest: &Guest<'_>,
    (place, writes): (&str, Writes),
) -> String {
    let (release, machine) = (subject.release, guest.machine);
    let takes = DescriptorTarget::Xen.formats();
    guest.report_lost_formats(draft, takes, "not opened by Xen: pull with --format raw");
    guest.report_lost_annotations(draft);
    if guest.is_secure() {
        draft.lose(guest, "secure boot", "UEFI that does not enforce it");
    }
    let cpus = guest.cpus(draft, CPUS_MAX);
    let firmware = if guest.is_uefi() { "ovmf" } else { "seabios" };
    let mut text = format!(
        "# Machine {} of {} {}, {}.\n\
         # Written by seawall; `seawall patch` rewrites it: change a copy.\n\
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
    let folder = draft.folder.clone();
    let files = guest.disks.iter().map(|disk| {
        let (file, format) = disk.written(writes, subject, guest, &folder);
        (format!("{place}/{file}"), format.to_owned())
    });
    let files: Vec<_> = files.collect();
    disks(&mut text, draft, guest, &files);
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

fn disks(text: &mut String, draft: &mut Draft, guest: &Guest<'_>, files: &[(String, String)]) {
    // A machine has `hd` controllers of one kind only.
    let is_ahci = guest.has(Bus::Sata) && !guest.has(Bus::Ide);
    if is_ahci {
        text.push_str("hdtype = \"ahci\"\n");
    }
    text.push_str("disk = [\n");
    for (at, (disk, (file, format))) in guest.disks.iter().zip(files).enumerate() {
        // `hda`, `xvda` and `sda` have the same number in a guest, so every disk has its own
        // letter.
        let (prefix, lost) = match disk.disk.bus {
            Bus::Ide if at < EMULATED_MAX => ("hd", None),
            Bus::Sata if at < EMULATED_MAX && is_ahci => ("hd", None),
            Bus::Sata if at < EMULATED_MAX => ("hd", Some("ide, as other disks of the machine")),
            Bus::Scsi if at < LSI_UNITS => ("sd", None),
            _ => ("xvd", Some("Xen's paravirtual disk: the guest needs its driver (xen-blkfront)")),
        };
        if let Some(instead) = lost {
            disk.report_lost_bus(draft, guest, instead);
        }
        let device = device(prefix, at);
        // `target=` takes the rest of the line as the path, including commas.
        let line = format!("format={format}, vdev={device}, access=rw, target={file}");
        text.push_str(&format!("  {},\n", xl(&line)));
    }
    text.push_str("]\n");
}

fn start(subject: &Subject<'_>, guests: &[&Guest<'_>]) -> String {
    let release = subject.release;
    let (application, version) = (release.application(), release.version());
    let networks = &release.document().networks;
    let names: Vec<_> = networks.iter().map(|network| network.name.as_str()).collect();
    let mut script = format!(
        "#!/bin/sh\n\
         # Makes the bridges of {application} {version} and starts its machines in order.\n\
         # Written by seawall; `seawall patch` rewrites it: change a copy.\n\
         release={}\n\
         networks={}\n\
         {START}{OVERLAY}\n",
        state_name(release.digest()),
        shell(&names.join(" "))
    );
    for network in networks {
        let bridge = shell(&identity::bridge(application, &network.name));
        script.push_str(&format!("bridge {bridge} {}\n", shell(network.name.as_str())));
    }
    script.push_str("if [ -z \"$direct\" ]; then\n  :\n");
    for guest in guests {
        guest.overlay_lines().lines().for_each(|line| script.push_str(&format!("  {line}\n")));
    }
    script.push_str("fi\n");
    for guest in guests {
        let file = shell(&format!("{}.cfg", guest.machine.name));
        script.push_str(&format!("start {} {file}\n", shell(&guest.name)));
    }
    script
}
