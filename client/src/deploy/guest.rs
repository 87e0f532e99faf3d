//! The machines of a release, in a form shared by every target.

use std::path::Path;

use seawall_api::release::{Architecture, Bus, Disk, Firmware, Machine, NetworkCard, NetworkModel};

use super::identity::{self, Vendor};
use super::quote::shell;
use super::{DiskFile, Draft, STATE_FOLDER, Subject, Writes, state_name};

/// A machine to run on a host.
pub(super) struct Guest<'a> {
    pub(super) machine: &'a Machine,
    /// The machine's name on the host, such as `webshop-web`.
    pub(super) name: String,
    pub(super) uuid: String,
    /// The position in the start order, from 0. Machines that start together have the same rank.
    pub(super) rank: usize,
    pub(super) disks: Vec<GuestDisk<'a>>,
}

/// A disk of a machine and its file.
pub(super) struct GuestDisk<'a> {
    pub(super) disk: &'a Disk,
    /// The path relative to the directory, with `/` as separator.
    pub(super) file: String,
    pub(super) format: &'a str,
}

/// Returns a name for an application's object on a shared host, such as `team-shop-web`.
///
/// A single `-` separates two names, and a `-` within a name is doubled. Names begin and end with a
/// letter or a digit, so different pairs of application and name never share a host name. An
/// application's name may contain `/`, which file and domain names cannot.
pub(super) fn host_name(subject: &Subject<'_>, name: &str) -> String {
    joined(subject.release.application().as_str(), name)
}

fn joined(application: &str, name: &str) -> String {
    let names: Vec<_> = application.split('/').chain([name]).collect();
    names.iter().map(|name| name.replace('-', "--")).collect::<Vec<_>>().join("-")
}

/// Returns the machines with disks in the directory, in start order, then by name.
pub(super) fn guests<'a>(subject: &Subject<'a>) -> Vec<Guest<'a>> {
    let release = subject.release;
    let mut guests: Vec<_> = release
        .machines()
        .iter()
        .filter(|machine| subject.files.iter().any(|file| file.machine == machine.name))
        .map(|machine| Guest {
            machine,
            name: host_name(subject, machine.name.as_str()),
            uuid: identity::machine_uuid(release.application(), &machine.name),
            rank: 0,
            disks: disks(machine, subject.files),
        })
        .collect();
    guests.sort_by_key(|guest| guest.machine.start_order);
    let mut rank = 0;
    for at in 1..guests.len() {
        if guests[at].machine.start_order != guests[at - 1].machine.start_order {
            rank += 1;
        }
        guests[at].rank = rank;
    }
    guests
}

fn disks<'a>(machine: &'a Machine, files: &'a [DiskFile]) -> Vec<GuestDisk<'a>> {
    let files: Vec<_> = files.iter().filter(|file| file.machine == machine.name).collect();
    let with_file = |disk: &'a Disk| {
        let file = files.iter().find(|file| file.disk == disk.name)?;
        let path = file.file.to_string_lossy().into_owned();
        Some(GuestDisk { disk, file: path, format: &file.format })
    };
    machine.disks.iter().filter_map(with_file).collect()
}

impl Guest<'_> {
    /// Returns true if the machine is a PC.
    pub(super) fn is_pc(&self) -> bool {
        matches!(self.machine.architecture, Architecture::X86_64 | Architecture::I686)
    }

    pub(super) fn is_uefi(&self) -> bool {
        self.machine.firmware != Firmware::Bios
    }

    pub(super) fn is_secure(&self) -> bool {
        self.machine.firmware == Firmware::UefiSecure
    }

    pub(super) fn has(&self, bus: Bus) -> bool {
        self.disks.iter().any(|disk| disk.disk.bus == bus)
    }

    /// Returns true if the machine needs the i440FX board, the only one with IDE. Secure boot needs
    /// Q35.
    pub(super) fn is_i440fx(&self) -> bool {
        self.is_pc() && self.has(Bus::Ide) && !self.is_secure()
    }

    /// Returns the machine's network cards with their MAC addresses.
    pub(super) fn cards(
        &self,
        subject: &Subject<'_>,
        vendor: Vendor,
    ) -> Vec<(&NetworkCard, String)> {
        let application = subject.release.application();
        let mac = |slot| identity::mac(vendor, application, &self.machine.name, slot);
        let cards = self.machine.network_cards.iter().enumerate();
        cards.map(|(slot, card)| (card, mac(slot))).collect()
    }

    /// Returns the script lines to create the machine's overlays.
    pub(super) fn overlay_lines(&self) -> String {
        let line = |disk: &GuestDisk<'_>| {
            let format = qemu_format(disk.format);
            let name = shell(disk.disk.name.as_str());
            let machine = shell(self.machine.name.as_str());
            format!("overlay {machine} {name} {} {format}\n", shell(&disk.file))
        };
        self.disks.iter().map(line).collect()
    }

    /// Reports annotations as lost.
    pub(super) fn report_lost_annotations(&self, draft: &mut Draft) {
        let count = self.machine.annotations.len();
        if count > 0 {
            draft.lose(self, format!("annotations ({count})"), "in release.json only");
        }
    }

    /// Returns the number of processors on a host that supports `max`.
    pub(super) fn cpus(&self, draft: &mut Draft, max: u32) -> u32 {
        let cpus = self.machine.cpus;
        if cpus > max {
            draft.lose(self, format!("{cpus} processors"), format!("{max}, the maximum"));
        }
        cpus.min(max)
    }

    /// Returns the maximum number of processors of the machine's QEMU board.
    pub(super) fn qemu_cpus_max(&self) -> u32 {
        match self.machine.architecture {
            // More than 255 need a virtual IOMMU.
            Architecture::X86_64 | Architecture::I686 => 255,
            Architecture::Aarch64 | Architecture::Riscv64 => 512,
            Architecture::Ppc64le => 1024,
            Architecture::S390x => 248,
        }
    }

    /// Reports disks in formats unknown to the target.
    pub(super) fn report_lost_formats(&self, draft: &mut Draft, takes: &[&str], instead: &str) {
        let mut formats: Vec<_> = self.disks.iter().map(|disk| disk.format).collect();
        formats.sort_unstable();
        formats.dedup();
        for format in formats.into_iter().filter(|format| !takes.contains(format)) {
            draft.lose(self, format!("disks of format {format}"), instead);
        }
    }
}

impl GuestDisk<'_> {
    /// Returns the file that the machine writes to, relative to the directory, and its format.
    /// `folder` is the target's folder.
    pub(super) fn written(
        &self,
        writes: Writes,
        subject: &Subject<'_>,
        guest: &Guest<'_>,
        folder: &Path,
    ) -> (String, &str) {
        let Writes::Overlay = writes else { return (self.file.clone(), self.format) };
        let state = state_name(subject.release.digest());
        let (folder, machine) = (folder.display(), &guest.machine.name);
        (format!("{folder}/{STATE_FOLDER}/{state}/{machine}/{}.qcow2", self.disk.name), "qcow2")
    }

    /// Reports that the disk is on another bus than in the release.
    pub(super) fn report_lost_bus(&self, draft: &mut Draft, guest: &Guest<'_>, instead: &str) {
        let (name, bus) = (&self.disk.name, bus_name(self.disk.bus));
        draft.lose(guest, format!("disk {name} on {bus}"), instead);
    }
}

/// Returns QEMU's name of a format. QEMU calls VHD `vpc`, after Virtual PC.
pub(super) fn qemu_format(format: &str) -> &str {
    if format == "vhd" { "vpc" } else { format }
}

/// Returns a bus's name in application.toml.
pub(super) fn bus_name(bus: Bus) -> &'static str {
    match bus {
        Bus::Virtio => "virtio",
        Bus::VirtioScsi => "virtio-scsi",
        Bus::Scsi => "scsi",
        Bus::Sata => "sata",
        Bus::Ide => "ide",
        Bus::Nvme => "nvme",
    }
}

/// Returns a network card model's name in application.toml.
pub(super) fn model_name(model: NetworkModel) -> &'static str {
    match model {
        NetworkModel::Virtio => "virtio",
        NetworkModel::E1000 => "e1000",
        NetworkModel::E1000e => "e1000e",
        NetworkModel::Vmxnet3 => "vmxnet3",
        NetworkModel::Rtl8139 => "rtl8139",
    }
}

/// Returns an architecture's name in application.toml, the Linux kernel and libvirt.
pub(super) fn architecture_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::I686 => "i686",
        Architecture::Aarch64 => "aarch64",
        Architecture::Riscv64 => "riscv64",
        Architecture::Ppc64le => "ppc64le",
        Architecture::S390x => "s390x",
    }
}

/// Returns the name of a block device, such as `vda`, `sdz` or `sdaa`.
pub(super) fn device(prefix: &str, mut at: usize) -> String {
    let mut letters = Vec::new();
    loop {
        // `at % 26` is at most 25, so the sum is a letter.
        letters.push(char::from(b'a' + u8::try_from(at % 26).unwrap_or(0)));
        if at < 26 {
            break;
        }
        at = at / 26 - 1;
    }
    format!("{prefix}{}", letters.into_iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_pairs_of_application_and_machine_have_one_name_on_a_host() {
        use super::joined;
        assert_eq!(joined("team/shop", "web"), "team-shop-web");
        let applications = ["a", "a/b", "a-b", "a/b/c", "a-b/c", "a/b-c", "a--b", "a-b-c"];
        let mut seen = std::collections::HashSet::new();
        for application in applications {
            for name in ["c", "b-c", "b", "b--c", "c-d", "a"] {
                assert!(seen.insert(joined(application, name)), "{application} {name}");
            }
        }
    }

    #[test]
    fn devices_count_as_linux_counts_them() {
        let cases =
            [(0, "sda"), (25, "sdz"), (26, "sdaa"), (51, "sdaz"), (52, "sdba"), (701, "sdzz")];
        for (at, name) in cases {
            assert_eq!(super::device("sd", at), name);
        }
        assert_eq!(super::device("sd", 702), "sdaaa");
    }
}
