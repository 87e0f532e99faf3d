//! Proxmox VE: a script of `qm` commands that imports the disks into a storage.
//!
//! Targets Proxmox VE 7.2 and later, whose `qm create` imports disk files.

use seawall_api::release::{Architecture, Bus};

use crate::deploy::guest::{architecture_name, bus_name, model_name};
use crate::deploy::identity::Vendor;
use crate::deploy::quote::shell;
use crate::deploy::{DescriptorTarget, Draft, Guest, Subject};

/// The number of disks on each bus of `qm`.
const IDE_PLACES: usize = 4;
const SATA_PLACES: usize = 6;
const SCSI_PLACES: usize = 31;
const VIRTIO_PLACES: usize = 16;
/// The maximum number of network cards of a machine.
const CARDS_MAX: usize = 32;
/// The minimum memory in MiB.
const MEMORY_MIN: u64 = 16;

const BEGIN: &str = r#"# Written by seawall; `seawall patch` rewrites it: change a copy.
# Run it as root on a node. It copies the disks: the machines do not use the pulled files.
set -eu
usage() {
  echo "usage: $0 STORAGE [FIRST-ID]" >&2
  echo "  STORAGE   where the disks go, local-lvm for instance" >&2
  echo "  FIRST-ID  the first machine's id, the others follow; the next free one if left out" >&2
  exit 2
}
case $# in 1 | 2) ;; *) usage ;; esac
storage=$1
id=${2:-$(pvesh get /cluster/nextid)}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case $root in
  *[,\"]*) echo "$root: qm takes no path with a comma or quote: move the folder" >&2; exit 2 ;;
esac
"#;

pub(in crate::deploy) fn describe(draft: &mut Draft, subject: &Subject<'_>, guests: &[Guest<'_>]) {
    let (application, version) = (subject.release.application(), subject.release.version());
    let mut script =
        format!("#!/bin/sh\n# Makes the machines of {application} {version} with qm.\n{BEGIN}");
    let networks = &subject.release.document().networks;
    if !networks.is_empty() {
        script
            .push_str("\n# The bridge that each network is; there is none to be had by default.\n");
    }
    for (at, network) in networks.iter().enumerate() {
        let name = &network.name;
        let ask = format!("set it to the bridge of network {name}, vmbr1 for instance");
        script.push_str(&format!("bridge{at}=${{BRIDGE{at}:?{ask}}}\n"));
    }
    for guest in guests {
        let architecture = guest.machine.architecture;
        if guest.is_pc() || architecture == Architecture::Aarch64 {
            script.push_str(&machine(draft, subject, guest));
        } else {
            let what = format!("architecture {}", architecture_name(architecture));
            draft.lose(guest, what, "left out: Proxmox VE has no such machines");
        }
    }
    draft.script("create.sh", script);
}

fn machine(draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>) -> String {
    let (release, machine) = (subject.release, guest.machine);
    let takes = DescriptorTarget::Proxmox.formats();
    guest.report_lost_formats(draft, takes, "not imported by qm: pull with --format qcow2");
    guest.report_lost_annotations(draft);
    let is_uefi = guest.is_uefi() || !guest.is_pc();
    if is_uefi != guest.is_uefi() {
        draft.lose(guest, "a PC BIOS", "UEFI");
    }
    if guest.is_secure() && !guest.is_pc() {
        draft.lose(guest, "secure boot", "UEFI that does not enforce it");
    }
    let name = dns_name(&guest.name);
    if name != guest.name {
        draft.lose(guest, format!("the name {}", guest.name), name.clone());
    }
    let memory = machine.memory_mib.max(MEMORY_MIN);
    if memory != machine.memory_mib {
        draft.lose(guest, format!("{} MiB of memory", machine.memory_mib), format!("{memory} MiB"));
    }
    let description = format!(
        "{} {}, machine {}, {}",
        release.application(),
        release.version(),
        machine.name,
        release.digest()
    );
    let mut options = vec![
        format!("--name {}", shell(&name)),
        format!("--description {}", shell(&description)),
        format!("--memory {memory} --cores {}", guest.cpus(draft, guest.qemu_cpus_max())),
        format!("--smbios1 uuid={}", guest.uuid),
        format!("--startup order={}", guest.rank),
    ];
    if guest.is_pc() {
        options.push(format!("--machine {}", if guest.is_i440fx() { "pc" } else { "q35" }));
    } else {
        options.push("--arch aarch64".to_owned());
    }
    if is_uefi {
        let keys = u8::from(guest.is_secure() && guest.is_pc());
        options.push("--bios ovmf".to_owned());
        let vars = format!(":1,efitype=4m,pre-enrolled-keys={keys}");
        options.push(format!("--efidisk0 \"$storage{vars}\""));
    }
    disks(&mut options, draft, guest);
    cards(&mut options, draft, subject, guest);
    let options = options.join(" \\\n  ");
    format!("\n# {}\nqm create \"$id\" \\\n  {options}\nid=$((id + 1))\n", machine.name)
}

/// The maximum length of a host name's label, and of a shortened name's stem, in bytes.
const LABEL_LEN_MAX: usize = 63;
const STEM_LEN_MAX: usize = 40;

/// Returns a machine's name as `qm` accepts it: a host name.
///
/// A name that is not a host name is shortened and ends with digits of its digest, so that no two
/// machines share a name. Three hyphens precede the digits; no other name has three in a row.
fn dns_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let is_label = |label: &str| {
        label.len() <= LABEL_LEN_MAX
            && label.chars().all(|c| is_plain(c) || c == '-')
            && label.starts_with(is_plain)
            && label.ends_with(is_plain)
    };
    if name.len() <= LABEL_LEN_MAX && name.split('.').all(is_label) {
        return name.to_owned();
    }
    let stem = name.chars().take(STEM_LEN_MAX);
    let stem: String = stem.map(|c| if is_plain(c) { c } else { '-' }).collect();
    let digits = &blake3::hash(name.as_bytes()).to_hex()[..8];
    format!("{}---{digits}", stem.trim_end_matches('-'))
}

/// The number of disks on each bus so far.
#[derive(Default)]
struct Places {
    ide: usize,
    sata: usize,
    scsi: usize,
    virtio: usize,
}

impl Places {
    /// Returns the next place on `bus`, or on a free bus for which most guests have drivers. `None`
    /// if every bus is full.
    fn next(&mut self, guest: &Guest<'_>, bus: Bus) -> Option<(Bus, String)> {
        let ide_places = if guest.is_i440fx() { IDE_PLACES } else { 0 };
        let sata_places = if guest.is_pc() { SATA_PLACES } else { 0 };
        let wanted = if bus == Bus::Nvme { Bus::Sata } else { bus };
        for bus in [wanted, Bus::Sata, Bus::VirtioScsi, Bus::Virtio] {
            let (count, places, name) = match bus {
                Bus::Ide => (&mut self.ide, ide_places, "ide"),
                Bus::Sata | Bus::Nvme => (&mut self.sata, sata_places, "sata"),
                Bus::Scsi | Bus::VirtioScsi => (&mut self.scsi, SCSI_PLACES, "scsi"),
                Bus::Virtio => (&mut self.virtio, VIRTIO_PLACES, "virtio"),
            };
            if *count < places {
                *count += 1;
                return Some((bus, format!("{name}{}", *count - 1)));
            }
        }
        None
    }
}

fn disks(options: &mut Vec<String>, draft: &mut Draft, guest: &Guest<'_>) {
    // A machine has SCSI controllers of one kind only.
    let is_lsi = guest.is_pc() && guest.has(Bus::Scsi) && !guest.has(Bus::VirtioScsi);
    options.push(format!("--scsihw {}", if is_lsi { "lsi" } else { "virtio-scsi-pci" }));
    let mut places = Places::default();
    for (at, disk) in guest.disks.iter().enumerate() {
        let Some((bus, place)) = places.next(guest, disk.disk.bus) else {
            disk.report_lost_bus(draft, guest, "left out: every place of every bus is taken");
            continue;
        };
        let scsi = if is_lsi { Bus::Scsi } else { Bus::VirtioScsi };
        let bus = if matches!(bus, Bus::Scsi | Bus::VirtioScsi) { scsi } else { bus };
        if bus != disk.disk.bus {
            disk.report_lost_bus(draft, guest, bus_name(bus));
        }
        let import = "--".to_owned() + &place;
        options.push(format!("{import} \"$storage:0,import-from=$root/\"{}", shell(&disk.file)));
        if at == 0 {
            options.push(format!("--boot order={place}"));
        }
    }
}

fn cards(options: &mut Vec<String>, draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>) {
    let networks = &subject.release.document().networks;
    for (slot, (card, mac)) in guest.cards(subject, Vendor::Proxmox).into_iter().enumerate() {
        let (network, model) = (&card.network, model_name(card.model));
        let known = networks.iter().position(|known| known.name == *network);
        let Some(at) = known.filter(|_| slot < CARDS_MAX) else {
            let what = format!("network card {slot} ({model} on {network})");
            draft.lose(guest, what, format!("left out: at most {CARDS_MAX} cards"));
            continue;
        };
        let mac = mac.to_uppercase();
        options.push(format!("--net{slot} \"{model}={mac},bridge=$bridge{at}\""));
    }
}

#[cfg(test)]
mod tests {
    use super::dns_name;

    #[test]
    fn every_name_becomes_a_hosts_name_and_no_two_the_same() {
        for name in ["shop-web", "team-shop-web--1", "a.b-c"] {
            assert_eq!(dns_name(name), name);
        }
        let long = "x".repeat(300);
        let odd = ["a_b", "a-b", "a--b", "a.-b", "a-.b", "a._b", &long, &long[1..]];
        let names: std::collections::BTreeSet<_> = odd.iter().map(|name| dns_name(name)).collect();
        assert_eq!(names.len(), odd.len());
        for name in names {
            let labels = name.split('.');
            let is_label = |label: &str| !label.starts_with('-') && !label.ends_with('-');
            assert!(name.len() <= 63 && !name.contains('_'), "{name}");
            assert!(labels.into_iter().all(|label| !label.is_empty() && is_label(label)), "{name}");
        }
    }
}
