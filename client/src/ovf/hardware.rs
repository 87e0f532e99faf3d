//! `VirtualHardwareSection`: processors, memory, buses, disks and cards of one virtual system.

use std::collections::BTreeMap;

use roxmltree::Node;
use seawall_api::release::{Bus, Firmware, NetworkModel};

use super::OvfError;
use super::envelope::{AttachedDisk, Card, Unmapped, VirtualDisk};
use super::units::bytes_in;
use super::xml::{SEAWALL, children, foreign, text, text_of, title};

const SECTION: &str = "VirtualHardwareSection";
const MIB: u64 = 1 << 20;

/// Resource types of CIM_ResourceAllocationSettingData that mean something here.
const CPU: u32 = 3;
const MEMORY: u32 = 4;
const IDE: u32 = 5;
const SCSI: u32 = 6;
const ETHERNET: u32 = 10;
const DISK: u32 = 17;
const OTHER_STORAGE: u32 = 20;

/// What else there is, as a person calls it.
fn device(resource: u32) -> &'static str {
    match resource {
        14 => "floppy drive",
        15 => "CD drive",
        16 => "DVD drive",
        18 => "tape drive",
        21 => "serial port",
        22 => "parallel port",
        23 => "USB controller",
        24 => "graphics",
        35 => "sound card",
        _ => "device",
    }
}

/// The hardware of a virtual system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hardware {
    pub(super) cpus: u32,
    pub(super) memory_mib: u64,
    pub(super) firmware: Firmware,
    pub(super) disks: Vec<AttachedDisk>,
    pub(super) cards: Vec<Card>,
    pub(super) unmapped: Vec<Unmapped>,
}

/// An `Item`, as far as it is read.
struct Item<'a> {
    instance: &'a str,
    parent: &'a str,
    resource: u32,
    subtype: &'a str,
    title: String,
    /// Its place on its parent, or of a controller among its like.
    address: u64,
    quantity: Option<u64>,
    units: &'a str,
    connections: Vec<&'a str>,
    hosts: Vec<&'a str>,
    mac: &'a str,
    exact_bus: Option<Bus>,
    exact_name: Option<&'a str>,
    exact_model: Option<NetworkModel>,
    is_bound: bool,
    settings: Vec<String>,
}

/// Reads the hardware of `system`. Of several configurations it takes `configuration`.
pub(super) fn read(
    section: Node<'_, '_>,
    system: &str,
    configuration: Option<&str>,
    disks: &[VirtualDisk],
) -> Result<Hardware, OvfError> {
    let mut hardware = Hardware {
        cpus: 1,
        memory_mib: 1024,
        firmware: Firmware::Bios,
        disks: Vec::new(),
        cards: Vec::new(),
        unmapped: Vec::new(),
    };
    let mut items = Vec::new();
    let mut settings = Vec::new();
    for child in children(section) {
        match child.tag_name().name() {
            "Info" | "System" => {}
            "Item" | "StorageItem" | "EthernetPortItem" => {
                match chosen(child, configuration) {
                    Some(true) => items
                        .retain(|item: &Item<'_>| item.instance != text_of(child, "InstanceID")),
                    Some(false) => {}
                    None => {
                        let why = "it belongs to a configuration that is not the default one";
                        hardware.report(&item_title(child), why);
                        continue;
                    }
                }
                items.push(item(child));
            }
            "Config" => settings.push(child),
            _ => hardware.report(&title(child), "there is no place for it in a release"),
        }
    }
    hardware.settings(&settings);
    hardware.items(&items, system, disks)?;
    for unmapped in &mut hardware.unmapped {
        unmapped.machine = Some(system.to_owned());
    }
    Ok(hardware)
}

/// Whether an item is of the chosen configuration (`Some(true)`), of all of them, or of another.
fn chosen(item: Node<'_, '_>, configuration: Option<&str>) -> Option<bool> {
    let Some(of) = foreign(item, "configuration") else { return Some(false) };
    configuration
        .is_some_and(|chosen| of.split_whitespace().any(|one| one == chosen))
        .then_some(true)
}

fn item_title(item: Node<'_, '_>) -> String {
    match text_of(item, "ElementName") {
        "" => format!("item {}", text_of(item, "InstanceID")),
        name => name.to_owned(),
    }
}

/// What of an item is neither read nor mere words: a key of the hypervisor's own, a reservation.
fn setting(child: Node<'_, '_>) -> Option<String> {
    const KNOWN: [&str; 15] = [
        "Address",
        "AddressOnParent",
        "AllocationUnits",
        "AutomaticAllocation",
        "AutomaticDeallocation",
        "Caption",
        "Connection",
        "Description",
        "ElementName",
        "HostResource",
        "InstanceID",
        "Parent",
        "ResourceSubType",
        "ResourceType",
        "VirtualQuantity",
    ];
    match child.tag_name().name() {
        name if KNOWN.contains(&name) => None,
        "Config" => foreign(child, "key").map(str::to_owned),
        name => Some(format!("{name} {}", text(child))),
    }
}

fn item<'a>(node: Node<'a, '_>) -> Item<'a> {
    let texts = |name: &'static str| {
        children(node).filter(move |child| child.tag_name().name() == name).map(text).collect()
    };
    let number = |name| text_of(node, name).parse::<u64>().ok();
    let exact = |name| node.attribute((SEAWALL, name));
    let word = |value: &str| serde_json::Value::String(value.to_owned());
    Item {
        instance: text_of(node, "InstanceID"),
        parent: text_of(node, "Parent"),
        resource: text_of(node, "ResourceType").parse().unwrap_or(0),
        subtype: text_of(node, "ResourceSubType"),
        title: item_title(node),
        address: number("AddressOnParent").or_else(|| number("Address")).unwrap_or(u64::MAX),
        quantity: number("VirtualQuantity"),
        units: text_of(node, "AllocationUnits"),
        connections: texts("Connection"),
        hosts: texts("HostResource"),
        mac: text_of(node, "Address"),
        exact_bus: exact("bus").and_then(|bus| serde_json::from_value(word(bus)).ok()),
        exact_name: exact("disk"),
        exact_model: exact("model").and_then(|model| serde_json::from_value(word(model)).ok()),
        is_bound: foreign(node, "bound").is_some(),
        settings: children(node).filter_map(setting).collect(),
    }
}

impl Hardware {
    fn report(&mut self, what: &str, why: &str) {
        self.unmapped.push(Unmapped::new(SECTION, what, why));
    }

    /// `vmw:Config`: firmware; the rest is reported in one line.
    fn settings(&mut self, settings: &[Node<'_, '_>]) {
        let mut rest = Vec::new();
        let (mut is_efi, mut is_secure) = (false, false);
        for config in settings {
            let (Some(key), value) = (foreign(*config, "key"), foreign(*config, "value")) else {
                continue;
            };
            match (key, value) {
                ("firmware", Some("efi")) => is_efi = true,
                ("firmware", Some("bios")) => {}
                ("bootOptions.efiSecureBootEnabled", Some(value)) => is_secure = value == "true",
                _ => rest.push(key),
            }
        }
        self.firmware = match (is_efi, is_secure) {
            (true, true) => Firmware::UefiSecure,
            (true, false) => Firmware::Uefi,
            (false, _) => Firmware::Bios,
        };
        if !rest.is_empty() {
            let what = format!("settings {}", rest.join(", "));
            self.report(&what, "they are one hypervisor's own");
        }
    }

    fn items(
        &mut self,
        items: &[Item<'_>],
        system: &str,
        disks: &[VirtualDisk],
    ) -> Result<(), OvfError> {
        let controllers: BTreeMap<&str, (usize, &Item<'_>)> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| matches!(item.resource, IDE | SCSI | OTHER_STORAGE))
            .map(|(position, item)| (item.instance, (position, item)))
            .collect();
        let (mut cpus, mut memory) = (None::<u64>, None::<u64>);
        let mut attached = Vec::new();
        for item in items {
            if item.is_bound {
                self.report(&item.title, "it is a bound of a range, not a device");
                continue;
            }
            if !item.settings.is_empty() {
                let what = format!("settings {} of {}", item.settings.join(", "), item.title);
                self.report(&what, "they are one hypervisor's own");
            }
            match item.resource {
                CPU => cpus = Some(cpus.unwrap_or(0).saturating_add(item.quantity.unwrap_or(1))),
                MEMORY => {
                    let bytes = memory_of(item, system)?;
                    memory = Some(memory.unwrap_or(0).saturating_add(bytes));
                }
                ETHERNET => self.card(item),
                DISK => {
                    let controller = controllers.get(item.parent).copied();
                    let bus = item.exact_bus.or_else(|| controller.map(|(_, it)| bus_of(it)));
                    let place = controller.map_or(usize::MAX, |(position, _)| position);
                    if let Some(disk) = self.disk(item, system, disks)? {
                        let (bus, name) =
                            (bus.unwrap_or(Bus::Scsi), item.exact_name.map(str::to_owned));
                        attached.push((place, item.address, AttachedDisk { disk, bus, name }));
                    }
                }
                IDE | SCSI | OTHER_STORAGE => {
                    let is_used = |it: &Item<'_>| it.resource == DISK && it.parent == item.instance;
                    self.controller(item, items.iter().any(is_used));
                }
                other => {
                    let file = item.hosts.iter().any(|host| host.contains("/file/"));
                    let why = if file {
                        "a release has no removable media; the file in it is not carried"
                    } else {
                        "a release does not describe such devices"
                    };
                    self.report(&format!("{} ({})", item.title, device(other)), why);
                }
            }
        }
        // In bus order: the first is the one it boots from. The sort keeps equals as they stand.
        attached.sort_by_key(|(place, address, ..)| (*place, *address));
        self.disks = attached.into_iter().map(|(_, _, disk)| disk).collect();
        if let Some(cpus) = cpus {
            self.cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        } else {
            self.report("processors", "their number is not given; one is taken");
        }
        match memory {
            Some(bytes) => self.memory_mib = bytes.div_ceil(MIB),
            None => self.report("memory", "its size is not given; 1024 MiB are taken"),
        }
        Ok(())
    }

    fn controller(&mut self, item: &Item<'_>, is_used: bool) {
        if !is_used {
            let why = "no disk is attached to it; a release has buses only where there are disks";
            self.report(&format!("{} (controller)", item.title), why);
        } else if item.resource == SCSI
            && bus_of(item) == Bus::Scsi
            && !matches!(item.subtype.to_ascii_lowercase().as_str(), "" | "lsilogic")
        {
            let what = format!("model {} of {}", item.subtype, item.title);
            self.report(&what, "its disks are on a SCSI bus; the controller's model is not kept");
        }
    }

    fn disk(
        &mut self,
        item: &Item<'_>,
        system: &str,
        disks: &[VirtualDisk],
    ) -> Result<Option<usize>, OvfError> {
        let place = || format!("virtual system `{system}`, {}", item.title);
        // `ovf:/disk/ID`; older tools leave the scheme out.
        let host = item.hosts.first().map(|host| host.strip_prefix("ovf:").unwrap_or(host));
        let Some(id) = host.and_then(|host| host.trim_start_matches('/').strip_prefix("disk/"))
        else {
            if item.hosts.is_empty() {
                self.report(&item.title, "it names no disk of the package");
                return Ok(None);
            }
            let why = "its HostResource is not `ovf:/disk/…`";
            return Err(OvfError::rule(place(), why));
        };
        let found = disks.iter().position(|disk| disk.id == id);
        let missing = || OvfError::rule(place(), format!("there is no disk `{id}`"));
        found.ok_or_else(missing).map(Some)
    }

    fn card(&mut self, item: &Item<'_>) {
        let Some(network) = item.connections.first() else {
            self.report(&item.title, "it is connected to no network");
            return;
        };
        if item.connections.len() > 1 {
            self.report(&item.title, "of its networks only the first is taken");
        }
        if !item.mac.is_empty() {
            let what = format!("address {} of {}", item.mac, item.title);
            self.report(&what, "addresses are given where a machine is deployed");
        }
        let known = item.subtype.split_whitespace().find_map(model_of);
        let model = item.exact_model.or(known).unwrap_or(NetworkModel::E1000);
        if item.exact_model.or(known).is_none() && !item.subtype.is_empty() {
            let what = format!("model {} of {}", item.subtype, item.title);
            self.report(&what, "it became an e1000");
        }
        self.cards.push(Card { network: (*network).to_owned(), model });
    }
}

fn memory_of(item: &Item<'_>, system: &str) -> Result<u64, OvfError> {
    let place = || format!("virtual system `{system}`, {}", item.title);
    let quantity = item.quantity.ok_or_else(|| OvfError::rule(place(), "it has no quantity"))?;
    // Without a unit, tools mean MiB.
    let unit = if item.units.is_empty() { Some(MIB) } else { bytes_in(item.units) };
    let unknown = || OvfError::rule(place(), format!("`{}` is no unit", item.units));
    let bytes = quantity.checked_mul(unit.ok_or_else(unknown)?);
    bytes.ok_or_else(|| OvfError::rule(place(), "it has more memory than can be counted"))
}

fn bus_of(controller: &Item<'_>) -> Bus {
    let subtype = controller.subtype.to_ascii_lowercase();
    match controller.resource {
        IDE => Bus::Ide,
        SCSI if subtype.contains("virtio") => Bus::VirtioScsi,
        SCSI => Bus::Scsi,
        _ if subtype.contains("nvme") => Bus::Nvme,
        _ if subtype.contains("virtio") => Bus::Virtio,
        _ => Bus::Sata,
    }
}

fn model_of(subtype: &str) -> Option<NetworkModel> {
    match subtype.to_ascii_lowercase().as_str() {
        "e1000" => Some(NetworkModel::E1000),
        "e1000e" => Some(NetworkModel::E1000e),
        "vmxnet3" => Some(NetworkModel::Vmxnet3),
        "rtl8139" => Some(NetworkModel::Rtl8139),
        name if name.contains("virtio") => Some(NetworkModel::Virtio),
        _ => None,
    }
}

/// VirtualBox's own section: the firmware, which OVF has no word for.
pub(super) fn vbox_firmware(machine: Node<'_, '_>) -> Option<Firmware> {
    let hardware = children(machine).find(|child| child.tag_name().name() == "Hardware")?;
    let firmware = children(hardware).find(|child| child.tag_name().name() == "Firmware")?;
    foreign(firmware, "type").filter(|kind| kind.starts_with("EFI")).map(|_| Firmware::Uefi)
}
