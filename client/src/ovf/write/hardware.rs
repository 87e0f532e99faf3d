//! Writes the hardware section of a machine: its items and the keys of VMware's tools.

use std::collections::BTreeMap;

use seawall_api::release::{Bus, Firmware, Machine, NetworkModel};

use super::word;
use super::xml::Xml;

/// ESX 6.5, the first version with NVMe and secure boot.
const HARDWARE_VERSION: &str = "vmx-13";

pub(super) fn hardware(xml: &mut Xml, machine: &Machine, first_disk: usize) {
    xml.open("VirtualHardwareSection", &[]);
    xml.leaf("Info", &[], Some("Processors, memory and devices"));
    xml.open("System", &[]);
    xml.leaf("vssd:ElementName", &[], Some("Virtual Hardware Family"));
    xml.leaf("vssd:InstanceID", &[], Some("0"));
    xml.leaf("vssd:VirtualSystemIdentifier", &[], Some(machine.name.as_str()));
    xml.leaf("vssd:VirtualSystemType", &[], Some(HARDWARE_VERSION));
    xml.close("System");
    let mut items = Items { xml, instance: 0, addresses: BTreeMap::new() };
    let cpus = machine.cpus.to_string();
    items.item(
        &[],
        &[
            ("AllocationUnits", "hertz * 10^6"),
            ("ElementName", &format!("{cpus} virtual CPU(s)")),
            ("ResourceType", "3"),
            ("VirtualQuantity", &cpus),
        ],
    );
    let memory = machine.memory_mib.to_string();
    items.item(
        &[],
        &[
            ("AllocationUnits", "byte * 2^20"),
            ("ElementName", &format!("{memory} MB of memory")),
            ("ResourceType", "4"),
            ("VirtualQuantity", &memory),
        ],
    );
    items.disks(machine, first_disk);
    for card in &machine.network_cards {
        let model = match card.model {
            // The closest models of a VMware host.
            NetworkModel::Virtio | NetworkModel::Vmxnet3 => "VmxNet3",
            NetworkModel::E1000 | NetworkModel::Rtl8139 => "E1000",
            NetworkModel::E1000e => "E1000e",
        };
        items.item(
            &[("seawall:model", &word(&card.model))],
            &[
                ("AutomaticAllocation", "true"),
                ("Connection", card.network.as_str()),
                ("ElementName", "Network adapter"),
                ("ResourceSubType", model),
                ("ResourceType", "10"),
            ],
        );
    }
    let mut config = |key: &str, value: &str| {
        let attributes = [("ovf:required", "false"), ("vmw:key", key), ("vmw:value", value)];
        xml.leaf("vmw:Config", &attributes, None);
    };
    match machine.firmware {
        Firmware::Bios => config("firmware", "bios"),
        Firmware::Uefi => config("firmware", "efi"),
        Firmware::UefiSecure => {
            config("firmware", "efi");
            config("bootOptions.efiSecureBootEnabled", "true");
        }
    }
    xml.close("VirtualHardwareSection");
}

/// A writer of one machine's items.
struct Items<'a> {
    xml: &'a mut Xml,
    instance: u32,
    /// The number of controllers of each resource type.
    addresses: BTreeMap<&'static str, u32>,
}

impl Items<'_> {
    /// Writes an item. The schema requires the children in the order of their names.
    fn item(&mut self, attributes: &[(&str, &str)], children: &[(&str, &str)]) -> u32 {
        self.instance += 1;
        let instance = self.instance.to_string();
        let mut children = children.to_vec();
        children.push(("InstanceID", &instance));
        children.sort_unstable();
        self.xml.open("Item", attributes);
        for (name, text) in children {
            self.xml.leaf(&format!("rasd:{name}"), &[], Some(text));
        }
        self.xml.close("Item");
        self.instance
    }

    /// Writes the disks. Each change of the bus starts a new controller, to keep the disks' order.
    fn disks(&mut self, machine: &Machine, first_disk: usize) {
        let mut current: Option<(Bus, u32, u64)> = None;
        for (position, disk) in machine.disks.iter().enumerate() {
            let (_, _, _, unit_max) = controller(disk.bus);
            let (parent, unit) = match current {
                Some((bus, parent, unit)) if bus == disk.bus && unit < unit_max => (parent, unit),
                _ => (self.controller(disk.bus), 0),
            };
            // Place 7 of a SCSI controller is the controller's own.
            let is_own = unit + 1 == 7 && controller(disk.bus).1 == "6";
            current = Some((disk.bus, parent, if is_own { 8 } else { unit + 1 }));
            let host = format!("ovf:/disk/disk{}", first_disk + position + 1);
            let attributes =
                [("seawall:bus", &*word(&disk.bus)), ("seawall:disk", disk.name.as_str())];
            self.item(
                &attributes,
                &[
                    ("AddressOnParent", &unit.to_string()),
                    ("ElementName", &format!("Hard disk {}", position + 1)),
                    ("HostResource", &host),
                    ("Parent", &parent.to_string()),
                    ("ResourceType", "17"),
                ],
            );
        }
    }

    fn controller(&mut self, bus: Bus) -> u32 {
        let (name, resource, subtype, _) = controller(bus);
        let count = self.addresses.entry(resource).or_default();
        let address = count.to_string();
        *count += 1;
        self.item(
            &[],
            &[
                ("Address", &address),
                ("ElementName", &format!("{name} controller {address}")),
                ("ResourceSubType", subtype),
                ("ResourceType", resource),
            ],
        )
    }
}

/// Returns a bus's name, resource type and subtype, and the number of its places.
fn controller(bus: Bus) -> (&'static str, &'static str, &'static str, u64) {
    match bus {
        // VMware's hosts lack virtio, and every guest supports SCSI.
        Bus::Virtio | Bus::VirtioScsi | Bus::Scsi => ("SCSI", "6", "lsilogic", 16),
        Bus::Sata => ("SATA", "20", "vmware.sata.ahci", 30),
        Bus::Ide => ("IDE", "5", "PIIX4", 2),
        Bus::Nvme => ("NVMe", "20", "vmware.nvme.controller", 15),
    }
}
