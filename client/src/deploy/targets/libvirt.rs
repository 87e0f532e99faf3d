//! libvirt: an XML file for each machine and network, and scripts to start, stop and undefine them.
//!
//! Targets libvirt 9 (Debian 12). `virt-xml-validate` checks its schema.

use seawall_api::names::NetworkName;
use seawall_api::release::{Architecture, Bus, NetworkModel};

use crate::deploy::guest::{
    architecture_name, bus_name, device, host_name, model_name, qemu_format,
};
use crate::deploy::identity::{self, Vendor};
use crate::deploy::quote::shell;
use crate::deploy::xml::Xml;
use crate::deploy::{DescriptorTarget, Draft, Guest, OVERLAY, Subject, Writes, state_name};

/// The XML namespace of a domain's metadata about its release.
const NAMESPACE: &str = "urn:seawall:release:1";
/// The fixed beginnings of the scripts.
const START: &str = include_str!("libvirt-start.sh");
const STOP: &str = include_str!("libvirt-stop.sh");
const UNDEFINE: &str = include_str!("libvirt-undefine.sh");
/// Units of an LSI controller, of an AHCI controller, and of a PC's two IDE channels.
const LSI_UNITS: usize = 7;
const AHCI_UNITS: usize = 6;
const IDE_UNITS: usize = 4;

pub(in crate::deploy) fn describe(
    draft: &mut Draft,
    subject: &Subject<'_>,
    guests: &[Guest<'_>],
    place: &str,
) {
    for guest in guests {
        let name = &guest.machine.name;
        let xml = domain(draft, subject, guest, (place, Writes::Overlay));
        draft.file(&format!("{name}.xml"), xml);
        // The first draft reported the losses.
        let mut unheard = Draft { folder: draft.folder.clone(), ..Draft::default() };
        let xml = domain(&mut unheard, subject, guest, (place, Writes::Disk));
        draft.file(&format!("{}{name}.xml", Writes::Disk.folder()), xml);
    }
    for network in &subject.release.document().networks {
        let xml = network_xml(subject, &network.name);
        draft.file(&format!("networks/{}.xml", network.name), xml);
    }
    draft.script("start.sh", start(subject, guests));
    draft.script("stop.sh", stop(subject, guests));
    draft.script("undefine.sh", undefine(subject, guests));
}

fn domain(
    draft: &mut Draft,
    subject: &Subject<'_>,
    guest: &Guest<'_>,
    (place, writes): (&str, Writes),
) -> String {
    let machine = guest.machine;
    let cpus = guest.cpus(draft, guest.qemu_cpus_max());
    let mut xml = Xml::new();
    xml.open("domain", &[("type", "kvm")]);
    xml.comment("Written by seawall; `seawall patch` rewrites it: change a copy.");
    xml.text("name", &[], &guest.name);
    xml.text("uuid", &[], &guest.uuid);
    metadata(&mut xml, subject, guest);
    xml.text("memory", &[("unit", "MiB")], &machine.memory_mib.to_string());
    xml.text("vcpu", &[("placement", "static")], &cpus.to_string());
    let takes = DescriptorTarget::Libvirt.formats();
    guest.report_lost_formats(draft, takes, "not opened by libvirt: pull with --format qcow2");
    boot(&mut xml, draft, guest);
    // The other architectures do not support `host-passthrough`: their default applies.
    if !matches!(machine.architecture, Architecture::Riscv64 | Architecture::Ppc64le) {
        xml.empty("cpu", &[("mode", "host-passthrough"), ("check", "none")]);
    }
    xml.open("devices", &[]);
    let folder = draft.folder.clone();
    let files = guest.disks.iter().map(|disk| {
        let (file, format) = disk.written(writes, subject, guest, &folder);
        (format!("{place}/{file}"), qemu_format(format).to_owned())
    });
    let files: Vec<_> = files.collect();
    disks(&mut xml, draft, guest, &files);
    for (card, mac) in guest.cards(subject, Vendor::Qemu) {
        let mut model = model_name(card.model);
        if machine.architecture == Architecture::S390x && card.model != NetworkModel::Virtio {
            draft.lose(guest, format!("a network card {model}"), "virtio");
            model = "virtio";
        }
        xml.open("interface", &[("type", "network")]);
        xml.empty("mac", &[("address", &mac)]);
        xml.empty("source", &[("network", &host_name(subject, card.network.as_str()))]);
        xml.empty("model", &[("type", model)]);
        xml.close();
    }
    xml.empty("console", &[("type", "pty")]);
    if guest.is_pc() {
        xml.empty("graphics", &[("type", "vnc"), ("port", "-1"), ("autoport", "yes")]);
        xml.open("video", &[]);
        xml.empty("model", &[("type", "vga")]);
        xml.close();
    }
    xml.finish()
}

fn metadata(xml: &mut Xml, subject: &Subject<'_>, guest: &Guest<'_>) {
    let release = subject.release;
    xml.open("metadata", &[]);
    let (digest, order) = (release.digest().to_string(), guest.machine.start_order.to_string());
    let attributes = [
        ("xmlns:seawall", NAMESPACE),
        ("application", release.application().as_str()),
        ("version", release.version().as_str()),
        ("digest", &digest),
        ("machine", guest.machine.name.as_str()),
        ("startOrder", &order),
    ];
    xml.open("seawall:release", &attributes);
    for (key, text) in &guest.machine.annotations {
        xml.text("seawall:annotation", &[("key", key)], text);
    }
    xml.close();
    xml.close();
}

/// Writes `os` and `features`: the board and the firmware.
fn boot(xml: &mut Xml, draft: &mut Draft, guest: &Guest<'_>) {
    let architecture = guest.machine.architecture;
    let kind = match architecture {
        Architecture::X86_64 | Architecture::I686 if guest.is_i440fx() => "pc",
        Architecture::X86_64 | Architecture::I686 => "q35",
        Architecture::Aarch64 | Architecture::Riscv64 => "virt",
        Architecture::Ppc64le => "pseries",
        Architecture::S390x => "s390-ccw-virtio",
    };
    let has_uefi = !matches!(architecture, Architecture::Ppc64le | Architecture::S390x);
    if guest.is_uefi() && !has_uefi {
        draft.lose(guest, "UEFI", "the firmware of its architecture");
    }
    if !guest.is_uefi() && !guest.is_pc() {
        let instead = if has_uefi { "UEFI" } else { "the firmware of its architecture" };
        draft.lose(guest, "a PC BIOS", instead);
    }
    let is_uefi = has_uefi && (guest.is_uefi() || !guest.is_pc());
    let is_secure = guest.is_secure() && architecture == Architecture::X86_64;
    if guest.is_secure() && has_uefi && !is_secure {
        draft.lose(guest, "secure boot", "UEFI that does not enforce it");
    }
    xml.open("os", if is_uefi { &[("firmware", "efi")] } else { &[] });
    let name = if architecture == Architecture::Ppc64le {
        "ppc64le"
    } else {
        architecture_name(architecture)
    };
    xml.text("type", &[("arch", name), ("machine", kind)], "hvm");
    if is_secure {
        xml.open("firmware", &[]);
        xml.empty("feature", &[("enabled", "yes"), ("name", "secure-boot")]);
        xml.empty("feature", &[("enabled", "yes"), ("name", "enrolled-keys")]);
        xml.close();
        xml.empty("loader", &[("secure", "yes")]);
    }
    xml.close();
    // On a `virt` board, ACPI comes with UEFI. Other boards have a device tree or channels.
    if guest.is_pc() || architecture == Architecture::Aarch64 {
        xml.open("features", &[]);
        xml.empty("acpi", &[]);
        if guest.is_pc() {
            xml.empty("apic", &[]);
        }
        if is_secure {
            xml.empty("smm", &[("state", "on")]);
        }
        xml.close();
    }
}

/// A disk's place: libvirt's name of the bus and, except for virtio, the drive's address.
struct Slot {
    bus: &'static str,
    target: String,
    /// Controller, bus, target, unit.
    address: Option<[usize; 4]>,
}

/// An allocator of slots. SATA and SCSI share device names, but count addresses separately.
#[derive(Default)]
struct Slots {
    vd: usize,
    hd: usize,
    sd: usize,
    sata: usize,
    scsi: usize,
    lsi: usize,
}

impl Slots {
    fn next(&mut self, bus: Bus, first_lsi: usize) -> Slot {
        let take = |count: &mut usize| {
            *count += 1;
            *count - 1
        };
        match bus {
            Bus::Virtio | Bus::Nvme => {
                let target = device("vd", take(&mut self.vd));
                Slot { bus: "virtio", target, address: None }
            }
            Bus::Ide => {
                let at = take(&mut self.hd);
                let address = Some([0, at / 2, 0, at % 2]);
                Slot { bus: "ide", target: device("hd", at), address }
            }
            Bus::Sata => {
                let at = take(&mut self.sata);
                let address = Some([at / AHCI_UNITS, 0, 0, at % AHCI_UNITS]);
                Slot { bus: "sata", target: device("sd", take(&mut self.sd)), address }
            }
            Bus::VirtioScsi => {
                let address = Some([0, 0, take(&mut self.scsi), 0]);
                Slot { bus: "scsi", target: device("sd", take(&mut self.sd)), address }
            }
            Bus::Scsi => {
                let at = take(&mut self.lsi);
                let address = Some([first_lsi + at / LSI_UNITS, 0, 0, at % LSI_UNITS]);
                Slot { bus: "scsi", target: device("sd", take(&mut self.sd)), address }
            }
        }
    }
}

/// Returns the replacement of a bus that the machine lacks or has no room on, otherwise `None`.
fn instead(guest: &Guest<'_>, bus: Bus, ide_count: usize) -> Option<Bus> {
    let is_pc = guest.is_pc();
    match bus {
        Bus::Virtio | Bus::VirtioScsi => None,
        // libvirt 9 supports NVMe only as a host's device. Every PC guest has AHCI drivers.
        Bus::Nvme => Some(if is_pc { Bus::Sata } else { Bus::Virtio }),
        Bus::Ide if guest.is_i440fx() && ide_count < IDE_UNITS => None,
        Bus::Ide if is_pc => Some(Bus::Sata),
        Bus::Ide => Some(Bus::Virtio),
        Bus::Sata if is_pc || guest.machine.architecture == Architecture::Aarch64 => None,
        Bus::Sata => Some(Bus::Virtio),
        Bus::Scsi if is_pc => None,
        Bus::Scsi => Some(Bus::VirtioScsi),
    }
}

fn disks(xml: &mut Xml, draft: &mut Draft, guest: &Guest<'_>, files: &[(String, String)]) {
    let mut placed = Vec::with_capacity(guest.disks.len());
    let mut ide_count = 0;
    for disk in &guest.disks {
        let bus = instead(guest, disk.disk.bus, ide_count);
        if let Some(bus) = bus {
            disk.report_lost_bus(draft, guest, bus_name(bus));
        }
        let bus = bus.unwrap_or(disk.disk.bus);
        ide_count += usize::from(bus == Bus::Ide);
        placed.push(bus);
    }
    let count = |bus| placed.iter().filter(|placed| **placed == bus).count();
    let first_lsi = usize::from(count(Bus::VirtioScsi) > 0);
    if first_lsi > 0 {
        xml.empty("controller", &[("type", "scsi"), ("index", "0"), ("model", "virtio-scsi")]);
    }
    for at in 0..count(Bus::Scsi).div_ceil(LSI_UNITS) {
        let index = (first_lsi + at).to_string();
        xml.empty("controller", &[("type", "scsi"), ("index", &index), ("model", "lsilogic")]);
    }
    let mut slots = Slots::default();
    for (at, ((file, format), bus)) in files.iter().zip(placed).enumerate() {
        let slot = slots.next(bus, first_lsi);
        xml.open("disk", &[("type", "file"), ("device", "disk")]);
        xml.empty("driver", &[("name", "qemu"), ("type", format)]);
        xml.empty("source", &[("file", file)]);
        xml.empty("target", &[("dev", &slot.target), ("bus", slot.bus)]);
        if at == 0 {
            xml.empty("boot", &[("order", "1")]);
        }
        if let Some(address) = slot.address {
            let [controller, bus, target, unit] = address.map(|number| number.to_string());
            let drive = [("type", "drive"), ("controller", &*controller), ("bus", &bus)];
            xml.empty("address", &[&drive[..], &[("target", &target), ("unit", &unit)]].concat());
        }
        xml.close();
    }
}

/// Returns the XML of an isolated network: no address of the host, no forwarding.
fn network_xml(subject: &Subject<'_>, network: &NetworkName) -> String {
    let application = subject.release.application();
    let mut xml = Xml::new();
    xml.open("network", &[]);
    xml.comment("Written by seawall; `seawall patch` rewrites it: change a copy.");
    xml.text("name", &[], &host_name(subject, network.as_str()));
    xml.text("uuid", &[], &identity::network_uuid(application, network));
    let bridge = identity::bridge(application, network);
    xml.empty("bridge", &[("name", &bridge), ("stp", "on"), ("delay", "0")]);
    xml.finish()
}

/// Returns the head of a script: its purpose and the release.
fn begin(subject: &Subject<'_>, what: &str) -> String {
    let (application, version) = (subject.release.application(), subject.release.version());
    format!(
        "#!/bin/sh\n\
         # {what} {application} {version}.\n\
         # Written by seawall; `seawall patch` rewrites it: change a copy.\n"
    )
}

fn start(subject: &Subject<'_>, guests: &[Guest<'_>]) -> String {
    let release = subject.release;
    let networks = &release.document().networks;
    let names: Vec<_> = networks.iter().map(|network| network.name.as_str()).collect();
    let mut script = begin(subject, "Defines the networks and starts the machines of");
    script.push_str(&format!(
        "release={}\nnetworks={}\n{START}{OVERLAY}\n",
        state_name(release.digest()),
        shell(&names.join(" "))
    ));
    for network in networks {
        let name = shell(&host_name(subject, network.name.as_str()));
        let file = shell(&format!("networks/{}.xml", network.name));
        let subnet = identity::subnet(release.application(), &network.name);
        let key = shell(network.name.as_str());
        script.push_str(&format!("network {name} {file} {key} {subnet}\n"));
    }
    script.push_str("if [ -z \"$direct\" ]; then\n  :\n");
    for guest in guests {
        guest.overlay_lines().lines().for_each(|line| script.push_str(&format!("  {line}\n")));
    }
    script.push_str("fi\n");
    let file_of = |guest: &Guest<'_>| {
        let architecture = architecture_name(guest.machine.architecture);
        format!("{} {architecture}", shell(&format!("{}.xml", guest.machine.name)))
    };
    for guest in guests {
        script.push_str(&format!("define {}\n", file_of(guest)));
    }
    for guest in guests {
        script.push_str(&format!("start {} {}\n", shell(&guest.name), file_of(guest)));
    }
    script
}

/// Returns the script to stop the machines in reverse start order.
fn stop(subject: &Subject<'_>, guests: &[Guest<'_>]) -> String {
    let mut script = begin(subject, "Shuts down, in reverse order, the machines of");
    script.push_str(STOP);
    for guest in guests.iter().rev() {
        script.push_str(&format!("stop {}\n", shell(&guest.name)));
    }
    script
}

fn undefine(subject: &Subject<'_>, guests: &[Guest<'_>]) -> String {
    let mut script = begin(subject, "Makes libvirt forget the machines and networks of");
    script.push_str(UNDEFINE);
    for verb in ["stopped", "undefine"] {
        for guest in guests {
            script.push_str(&format!("{verb} {}\n", shell(&guest.name)));
        }
    }
    for network in &subject.release.document().networks {
        let name = shell(&host_name(subject, network.name.as_str()));
        script.push_str(&format!("network {name}\n"));
    }
    script.push_str("if [ -n \"$purge\" ]; then rm -rf -- \"$here/state\"; fi\n");
    script
}
