//! `VirtualHardwareSection`: the processors, memory, buses, disks and cards of a virtual system.

use std::collections::{BTreeSet, HashSet};

use roxmltree::Node;
use seawall_api::release::{Firmware, NetworkModel};

use super::item::{CPU, DISK, ETHERNET, Item, MEMORY, STORAGE_EXTENT, title_of};
use super::storage::{DiskTable, Referred, attach, referred};
use super::units::{bytes_in, scaled};
use super::xml::{children, foreign, is_yes, kind, text_of, title};
use crate::ovf::OvfError;
use crate::ovf::envelope::{AttachedDisk, Card, Unmapped, VirtualDisk};

const SECTION: &str = "VirtualHardwareSection";
const MIB: u64 = 1 << 20;
/// The prefixes of known virtual system types. A version follows.
const FAMILIES: [&str; 11] =
    ["vmx", "virtualbox", "kvm", "qemu", "xen", "hvm", "hyper-v", "ahv", "engine", "ovirt", "rhev"];

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

/// The state for reading hardware.
pub(super) struct Context<'a> {
    /// The virtual system's identifier.
    pub(super) system: &'a str,
    /// The chosen configuration, if the package has several.
    pub(super) configuration: Option<&'a str>,
    /// The identifiers of the boot devices' items, in boot order.
    pub(super) boot: Vec<&'a str>,
    pub(super) table: &'a mut DiskTable,
    pub(super) disks: &'a mut Vec<VirtualDisk>,
    /// Positions of the disks that some item refers to, in any section and configuration.
    pub(super) named: &'a mut BTreeSet<usize>,
}

/// Reads the hardware of a system.
///
/// Of several sections, prefers one with disks, then one for a known hypervisor.
///
/// # Errors
/// Fails if a referenced disk is missing, or if a number is malformed.
pub(super) fn read(
    sections: &[Node<'_, '_>],
    context: &mut Context<'_>,
) -> Result<Hardware, OvfError> {
    let mut hardware = Hardware {
        cpus: 1,
        memory_mib: 1024,
        firmware: Firmware::Bios,
        disks: Vec::new(),
        cards: Vec::new(),
        unmapped: Vec::new(),
    };
    let mut chosen: Option<(usize, (bool, bool))> = None;
    for (position, section) in sections.iter().enumerate() {
        let rank = (names_disk(*section, context), is_known(&system_types(*section)));
        if chosen.is_none_or(|(_, best)| rank > best) {
            chosen = Some((position, rank));
        }
    }
    let Some((chosen, _)) = chosen else { return Ok(hardware) };
    for (position, section) in sections.iter().enumerate() {
        if position != chosen {
            let [left, taken] = [*section, sections[chosen]].map(|it| shown(&system_types(it)));
            let why = format!("a machine has one; the section for {taken} is used");
            hardware.report(&format!("hardware for {left}"), &why);
        }
    }
    let (items, settings) = parts(sections[chosen], context.configuration, &mut hardware);
    hardware.settings(&settings);
    hardware.items(&items, context)?;
    for unmapped in &mut hardware.unmapped {
        unmapped.machine = Some(context.system.to_owned());
    }
    Ok(hardware)
}

/// Returns true if a section has a disk.
///
/// Marks every disk of the section as named, whichever section is chosen. Ignores references to
/// missing disks, which are an error when the section is read.
fn names_disk(section: Node<'_, '_>, context: &mut Context<'_>) -> bool {
    let mut has_disk = false;
    for node in children(section).filter(is_item) {
        let is_chosen = of_configuration(node, context.configuration).is_some();
        let found = referred(&Item::read(node, false), context);
        has_disk |= is_chosen && matches!(found, Ok(Referred::Disk(_)));
    }
    has_disk
}

fn is_item(node: &Node<'_, '_>) -> bool {
    matches!(kind(*node), "Item" | "StorageItem" | "EthernetPortItem")
}

/// Returns the names of a section's hypervisors, empty if missing.
fn system_types(section: Node<'_, '_>) -> String {
    let system = children(section).find(|child| child.tag_name().name() == "System");
    system.map_or("", |system| text_of(system, "VirtualSystemType")).to_owned()
}

/// Formats hypervisors for a message.
fn shown(types: &str) -> String {
    match types {
        "" => "an unnamed system".to_owned(),
        types => format!("`{}`", types.escape_debug()),
    }
}

fn is_known(types: &str) -> bool {
    let types = types.to_ascii_lowercase();
    let mut each = types.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':'));
    each.any(|one| FAMILIES.iter().any(|family| one.starts_with(family)))
}

/// Returns the items of the chosen configuration, and the hypervisor's settings.
fn parts<'a, 'i>(
    section: Node<'a, 'i>,
    configuration: Option<&str>,
    hardware: &mut Hardware,
) -> (Vec<Item<'a>>, Vec<Node<'a, 'i>>) {
    let (mut items, mut settings) = (Vec::new(), Vec::new());
    for child in children(section) {
        match kind(child) {
            "Info" | "System" => {}
            _ if is_item(&child) => match of_configuration(child, configuration) {
                Some(is_chosen) => items.push(Item::read(child, is_chosen)),
                None => {
                    let why = "it belongs to a configuration that is not the default one";
                    hardware.report(&title_of(child), why);
                }
            },
            "Config" | "ExtraConfig" => settings.push(child),
            _ => hardware.report(&title(child), "a release has no place for it"),
        }
    }
    // An item of the configuration replaces the general item with the same identifier.
    let chosen =
        items.iter().filter(|item: &&Item<'_>| item.is_chosen && !item.instance.is_empty());
    let chosen: HashSet<_> = chosen.map(|item| item.instance).collect();
    items.retain(|item| item.is_chosen || !chosen.contains(item.instance));
    (items, settings)
}

/// Returns `Some(true)` for an item of the chosen configuration, `Some(false)` for an item of every
/// configuration, and `None` for others.
fn of_configuration(item: Node<'_, '_>, configuration: Option<&str>) -> Option<bool> {
    let of = foreign(item, "configuration").filter(|of| !of.is_empty());
    let Some(of) = of else { return Some(false) };
    configuration
        .is_some_and(|chosen| of.split_whitespace().any(|one| one == chosen))
        .then_some(true)
}

impl Hardware {
    pub(super) fn report(&mut self, what: &str, why: &str) {
        self.unmapped.push(Unmapped::new(SECTION, what, why));
    }

    /// Reads `vmw:Config` and `vmw:ExtraConfig`. Uses the firmware and reports the rest as one
    /// entry.
    fn settings(&mut self, settings: &[Node<'_, '_>]) {
        let mut rest = Vec::new();
        let (mut is_efi, mut is_secure) = (false, false);
        for config in settings {
            let Some(key) = foreign(*config, "key") else { continue };
            let value = foreign(*config, "value").unwrap_or_default();
            match key {
                "firmware" if value.to_ascii_lowercase().contains("efi") => is_efi = true,
                "firmware" if value.eq_ignore_ascii_case("bios") => {}
                "bootOptions.efiSecureBootEnabled" | "uefi.secureBoot.enabled" => {
                    is_secure = is_yes(value);
                }
                _ if kind(*config) == "Config" => rest.push(key.to_owned()),
                _ => rest.push(format!("{key} ({})", title(*config))),
            }
        }
        self.firmware = match (is_efi, is_secure) {
            (true, true) => Firmware::UefiSecure,
            (true, false) => Firmware::Uefi,
            (false, _) => Firmware::Bios,
        };
        if !rest.is_empty() {
            let what = format!("settings {}", rest.join(", "));
            self.report(&what, "they are specific to one hypervisor");
        }
    }

    fn items(&mut self, items: &[Item<'_>], context: &mut Context<'_>) -> Result<(), OvfError> {
        let (mut cpus, mut memory) = (None::<u64>, None::<u64>);
        let mut counted = HashSet::new();
        let mut found = Vec::new();
        for (position, item) in items.iter().enumerate() {
            if !self.is_device(item) {
                continue;
            }
            if !item.settings.is_empty() {
                let what = format!("settings {} of {}", item.settings.join(", "), item.title);
                self.report(&what, "they are specific to one hypervisor");
            }
            // A device of any type is a disk if it refers to one.
            if let Referred::Disk(disk) = referred(item, context)? {
                found.push((position, disk));
                continue;
            }
            match item.resource {
                Some(CPU | MEMORY) => {
                    let id = (item.resource, item.instance);
                    if !item.instance.is_empty() && !counted.insert(id) {
                        self.report(
                            &item.title,
                            "a second item has its InstanceID; it is left out",
                        );
                        continue;
                    }
                    let sum = if item.is(CPU) { &mut cpus } else { &mut memory };
                    if let Some(amount) = self.amount(item, context.system)? {
                        *sum = Some(sum.unwrap_or(0).saturating_add(amount));
                    }
                }
                Some(ETHERNET) => self.card(item),
                _ if item.is_controller() => {}
                _ => self.other(item),
            }
        }
        attach(self, items, &found, context);
        self.sizes(cpus, memory, context.system)
    }

    /// Returns true if an item is a device, and not a bound of a range.
    fn is_device(&mut self, item: &Item<'_>) -> bool {
        match item.bound.to_ascii_lowercase().as_str() {
            "" | "normal" => true,
            "min" | "max" => {
                self.report(&item.title, "it is a bound of a range, not a device");
                false
            }
            other => {
                let what = format!("bound `{}` of {}", other.escape_debug(), item.title);
                self.report(&what, "there is no such bound; the item is read as a device");
                true
            }
        }
    }

    /// Reports an unused item that is not a disk.
    fn other(&mut self, item: &Item<'_>) {
        let is_file = item.hosts.iter().any(|host| host.contains("/file/"));
        let kind = item.resource_text.escape_debug();
        let (what, why) = match item.resource {
            None if kind.clone().next().is_none() => {
                (item.title.clone(), "it has no ResourceType".to_owned())
            }
            None => (item.title.clone(), format!("its ResourceType `{kind}` is not a number")),
            Some(DISK | STORAGE_EXTENT) => {
                (item.title.clone(), "it names no disk of the package".to_owned())
            }
            _ => {
                let why = if is_file || (item.is_removable() && !item.hosts.is_empty()) {
                    "a release has no removable media; the file in it is not carried"
                } else {
                    "a release does not describe such devices"
                };
                (format!("{} ({})", item.title, item.device()), why.to_owned())
            }
        };
        self.report(&what, &why);
    }

    /// Returns an item's number of processors, or bytes of memory. `None` if the item has no
    /// quantity.
    fn amount(&mut self, item: &Item<'_>, system: &str) -> Result<Option<u64>, OvfError> {
        let bad =
            |why: String| OvfError::rule(format!("virtual system `{system}`, {}", item.title), why);
        let whole = |name: &str, text: &str, unit| {
            let why = || bad(format!("its {name} `{}` is not a number", text.escape_debug()));
            scaled(text, unit).ok_or_else(why)
        };
        if item.quantity.is_empty() {
            if item.is(CPU) && !item.sockets.is_empty() {
                let counts = item.sockets.iter().map(|text| whole("count", text, 1));
                let product = counts.into_iter().try_fold(1_u64, |product, count| {
                    Ok::<_, OvfError>(product.saturating_mul(count?))
                });
                return product.map(Some);
            }
            self.report(&item.title, "it has no VirtualQuantity; it is left out");
            return Ok(None);
        }
        let unit = match item.resource {
            Some(CPU) => 1,
            // Tools that omit the unit mean MiB.
            _ if item.units.is_empty() => MIB,
            _ => bytes_in(item.units)
                .ok_or_else(|| bad(format!("`{}` is not a unit", item.units.escape_debug())))?,
        };
        if !item.quantity.bytes().all(|byte| byte.is_ascii_digit()) {
            let quantity = item.quantity.escape_debug();
            let what = format!("VirtualQuantity `{quantity}` of {}", item.title);
            self.report(&what, "it is not a whole number; it is read as a decimal one");
        }
        whole("VirtualQuantity", item.quantity, unit).map(Some)
    }

    fn sizes(
        &mut self,
        cpus: Option<u64>,
        memory: Option<u64>,
        system: &str,
    ) -> Result<(), OvfError> {
        match cpus {
            Some(cpus) => {
                self.cpus = u32::try_from(cpus).map_err(|_| {
                    let place = format!("virtual system `{system}`");
                    OvfError::rule(place, format!("it has {cpus} processors"))
                })?;
            }
            None => self.report("processors", "their number is missing; one is assumed"),
        }
        match memory {
            Some(bytes) => self.memory_mib = bytes.div_ceil(MIB),
            None => self.report("memory", "its size is missing; 1024 MiB are assumed"),
        }
        Ok(())
    }

    fn card(&mut self, item: &Item<'_>) {
        let Some(network) = item.connections.first() else {
            self.report(&item.title, "it is connected to no network");
            return;
        };
        if item.connections.len() > 1 {
            self.report(&item.title, "only the first of its networks is used");
        }
        if !item.address.is_empty() {
            let what = format!("address {} of {}", item.address, item.title);
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

fn model_of(subtype: &str) -> Option<NetworkModel> {
    match subtype.to_ascii_lowercase().as_str() {
        "e1000" => Some(NetworkModel::E1000),
        "e1000e" => Some(NetworkModel::E1000e),
        "vmxnet3" => Some(NetworkModel::Vmxnet3),
        "rtl8139" => Some(NetworkModel::Rtl8139),
        // oVirt's numbers of models.
        "1" => Some(NetworkModel::Rtl8139),
        "2" => Some(NetworkModel::E1000),
        "3" => Some(NetworkModel::Virtio),
        name if name.contains("virtio") => Some(NetworkModel::Virtio),
        _ => None,
    }
}

/// Returns the firmware from VirtualBox's own section, because OVF cannot express the firmware.
pub(super) fn vbox_firmware(machine: Node<'_, '_>) -> Option<Firmware> {
    let hardware = children(machine).find(|child| child.tag_name().name() == "Hardware")?;
    let firmware = children(hardware).find(|child| child.tag_name().name() == "Firmware")?;
    foreign(firmware, "type").filter(|kind| kind.starts_with("EFI")).map(|_| Firmware::Uefi)
}
