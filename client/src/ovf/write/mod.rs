//! Writes a descriptor for machines of a release, in the form that virt-v2v, VMware's tools,
//! VirtualBox and COT read.
//!
//! OVF cannot express some properties of a release (virtio, the architecture). The descriptor then
//! has the nearest value, and the exact one in an attribute of Seawall's namespace, which other
//! readers ignore. So the descriptor reads back as the same release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use seawall_api::release::{
    Architecture, Bus, Disk, Firmware, Machine, NetworkModel, Parameter, Release,
};
use serde::Serialize;

use super::envelope::Unmapped;
use super::tar::NAME_LEN_MAX;
use super::xml::{OVF, SEAWALL};

const RASD: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
const VSSD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
const VMW: &str = "http://www.vmware.com/schema/ovf";
const STREAM_OPTIMIZED: &str =
    "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
/// ESX 6.5, the first version with NVMe and secure boot.
const HARDWARE_VERSION: &str = "vmx-13";

/// The contents of a package, except for the lengths of its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sheet<'a> {
    /// The package's name.
    pub name: &'a str,
    /// The release.
    pub release: &'a Release,
    /// The machines to package, at least one.
    pub machines: Vec<&'a Machine>,
    /// The name of each disk's file, in the order of [`Self::disks`].
    pub hrefs: Vec<String>,
}

impl<'a> Sheet<'a> {
    /// Returns a sheet of machines, with names for their disks' files.
    #[must_use]
    pub fn new(name: &'a str, release: &'a Release, machines: Vec<&'a Machine>) -> Self {
        let mut sheet = Self { name, release, machines, hrefs: Vec::new() };
        let mut taken = BTreeSet::new();
        let ids: Vec<_> = sheet.disks().map(|(machine, disk)| sheet.title(machine, disk)).collect();
        for (position, id) in ids.into_iter().enumerate() {
            let mut href = format!("{name}-{id}.vmdk");
            if href.len() > NAME_LEN_MAX || !taken.insert(href.clone()) {
                href = format!("disk{}.vmdk", position + 1);
                taken.insert(href.clone());
            }
            sheet.hrefs.push(href);
        }
        sheet
    }

    /// Returns every disk with its machine.
    pub fn disks(&self) -> impl Iterator<Item = (&'a Machine, &'a Disk)> + use<'a> {
        let machines = self.machines.clone();
        machines.into_iter().flat_map(|m| m.disks.iter().map(move |disk| (m, disk)))
    }

    fn title(&self, machine: &Machine, disk: &Disk) -> String {
        if self.machines.len() > 1 {
            format!("{}-{}", machine.name, disk.name)
        } else {
            disk.name.to_string()
        }
    }

    /// Returns the descriptor. `lens` are the lengths of the disks' files in bytes.
    #[must_use]
    pub fn descriptor(&self, lens: &[u64]) -> String {
        let mut xml = Xml::default();
        xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        xml.open(
            "Envelope",
            &[
                ("xmlns", OVF),
                ("xmlns:ovf", OVF),
                ("xmlns:rasd", RASD),
                ("xmlns:seawall", SEAWALL),
                ("xmlns:vmw", VMW),
                ("xmlns:vssd", VSSD),
            ],
        );
        self.files(&mut xml, lens);
        self.networks(&mut xml);
        let mut first = 0;
        if let [machine] = &self.machines[..] {
            self.system(&mut xml, machine, first);
        } else {
            self.collection(&mut xml);
            for machine in &self.machines {
                self.system(&mut xml, machine, first);
                first += machine.disks.len();
            }
            xml.close("VirtualSystemCollection");
        }
        xml.close("Envelope");
        xml.text
    }

    /// Returns the parts of the release that the descriptor cannot carry.
    #[must_use]
    pub fn unmapped(&self) -> Vec<Unmapped> {
        let mut unmapped = Vec::new();
        let mut report = |machine: Option<&Machine>, keys: Vec<&str>| {
            if !keys.is_empty() {
                let what = format!("annotations {}", keys.join(", "));
                let line = Unmapped::new("annotations", what, "OVF has no place for them");
                unmapped.push(machine.map_or(line.clone(), |it| line.of(it.name.as_str())));
            }
        };
        for machine in &self.machines {
            let keys = machine.annotations.keys().map(String::as_str);
            report(Some(machine), keys.filter(|key| !is_written(key)).collect());
        }
        let keys = self.release.document().annotations.keys().map(String::as_str);
        report(None, keys.filter(|key| !key.starts_with("property.")).collect());
        unmapped
    }

    fn files(&self, xml: &mut Xml, lens: &[u64]) {
        xml.open("References", &[]);
        for (at, href) in self.hrefs.iter().enumerate() {
            let len = lens.get(at).copied().unwrap_or(u64::MAX).to_string();
            let id = format!("file{}", at + 1);
            xml.leaf("File", &[("ovf:href", href), ("ovf:id", &id), ("ovf:size", &len)], None);
        }
        xml.close("References");
        xml.open("DiskSection", &[]);
        xml.leaf("Info", &[], Some("The disks of the machines"));
        for (at, (_, disk)) in self.disks().enumerate() {
            let (id, file) = (format!("disk{}", at + 1), format!("file{}", at + 1));
            xml.leaf(
                "Disk",
                &[
                    ("ovf:capacity", &disk.len.to_string()),
                    ("ovf:capacityAllocationUnits", "byte"),
                    ("ovf:diskId", &id),
                    ("ovf:fileRef", &file),
                    ("ovf:format", STREAM_OPTIMIZED),
                ],
                None,
            );
        }
        xml.close("DiskSection");
    }

    fn networks(&self, xml: &mut Xml) {
        let used: BTreeSet<_> = self
            .machines
            .iter()
            .flat_map(|machine| machine.network_cards.iter().map(|card| &card.network))
            .collect();
        // A part of a release has only the networks of its machines.
        let is_whole = self.machines.len() == self.release.machines().len();
        let networks = &self.release.document().networks;
        let mut networks =
            networks.iter().filter(|it| is_whole || used.contains(&it.name)).peekable();
        if networks.peek().is_none() {
            return;
        }
        xml.open("NetworkSection", &[]);
        xml.leaf("Info", &[], Some("The networks that the machines share"));
        for network in networks {
            xml.open("Network", &[("ovf:name", network.name.as_str())]);
            xml.leaf("Description", &[], Some(&network.description));
            xml.close("Network");
        }
        xml.close("NetworkSection");
    }

    fn collection(&self, xml: &mut Xml) {
        xml.open("VirtualSystemCollection", &[("ovf:id", self.name)]);
        xml.leaf("Info", &[], Some("The machines of one application"));
        xml.leaf("Name", &[], Some(self.name));
        xml.open("StartupSection", &[]);
        xml.leaf("Info", &[], Some("Lower orders start first"));
        for machine in &self.machines {
            let order = machine.start_order.to_string();
            xml.leaf("Item", &[("ovf:id", machine.name.as_str()), ("ovf:order", &order)], None);
        }
        xml.close("StartupSection");
        self.product(xml, None);
    }

    /// Writes facts and properties of a machine, or of the release.
    ///
    /// The release's are written in the collection. Without a collection, they are written in the
    /// only machine.
    fn product(&self, xml: &mut Xml, machine: Option<&Machine>) {
        const FACTS: [(&str, &str); 6] = [
            ("product", "Product"),
            ("vendor", "Vendor"),
            ("product-version", "Version"),
            ("product-full-version", "FullVersion"),
            ("product-url", "ProductUrl"),
            ("vendor-url", "VendorUrl"),
        ];
        let none = BTreeMap::new();
        let own = machine.map_or(&none, |machine| &machine.annotations);
        let document = self.release.document();
        let has_release = machine.is_none() || self.machines.len() == 1;
        let release = if has_release { &document.annotations } else { &none };
        let fixed: BTreeMap<_, _> = release
            .iter()
            .chain(own)
            .filter_map(|(key, value)| Some((key.strip_prefix("property.")?, value)))
            .filter(|(key, _)| !key.is_empty())
            .collect();
        let facts: Vec<_> =
            FACTS.iter().filter_map(|(key, tag)| Some((tag, own.get(*key)?))).collect();
        let parameters = has_release.then_some(&document.parameters).into_iter().flatten();
        let mut parameters = parameters.peekable();
        if fixed.is_empty() && facts.is_empty() && parameters.peek().is_none() {
            return;
        }
        xml.open("ProductSection", &[]);
        xml.leaf("Info", &[], Some("What is installed, and what may be set"));
        for (tag, text) in facts {
            xml.leaf(tag, &[], Some(text));
        }
        for (key, parameter) in parameters {
            property(xml, key, parameter);
        }
        for (key, value) in fixed {
            xml.leaf(
                "Property",
                &[
                    ("ovf:key", key),
                    ("ovf:type", "string"),
                    ("ovf:userConfigurable", "false"),
                    ("ovf:value", value),
                ],
                None,
            );
        }
        xml.close("ProductSection");
    }

    fn system(&self, xml: &mut Xml, machine: &Machine, first_disk: usize) {
        let name = machine.name.as_str();
        let text = |key: &str| machine.annotations.get(key).map_or("", String::as_str);
        xml.open("VirtualSystem", &[("ovf:id", name)]);
        xml.leaf("Info", &[], Some("A virtual machine"));
        // Readers, including Seawall, use the name of a system with the identifier `vm`.
        let shown = Some(text("name")).filter(|shown| !shown.is_empty() && name != "vm");
        xml.leaf("Name", &[], Some(shown.unwrap_or(name)));
        let guest = match machine.architecture {
            Architecture::Aarch64 => "arm-other-64Guest",
            Architecture::I686 => "otherGuest",
            _ => "otherGuest64",
        };
        xml.open(
            "OperatingSystemSection",
            &[
                ("ovf:id", "102"),
                ("seawall:architecture", &word(&machine.architecture)),
                ("vmw:osType", guest),
            ],
        );
        xml.leaf("Info", &[], Some("The guest's operating system"));
        if !text("operating-system").is_empty() {
            xml.leaf("Description", &[], Some(text("operating-system")));
        }
        xml.close("OperatingSystemSection");
        hardware(xml, machine, first_disk);
        self.product(xml, Some(machine));
        if !text("description").is_empty() {
            xml.open("AnnotationSection", &[]);
            xml.leaf("Info", &[], Some("What the machine is for"));
            xml.leaf("Annotation", &[], Some(text("description")));
            xml.close("AnnotationSection");
        }
        xml.close("VirtualSystem");
    }
}

/// Returns true if a machine's annotation has a place in a descriptor.
fn is_written(key: &str) -> bool {
    key.starts_with("property.")
        || [
            "name",
            "operating-system",
            "description",
            "product",
            "vendor",
            "product-version",
            "product-full-version",
            "product-url",
            "vendor-url",
        ]
        .contains(&key)
}

/// Returns the word of a value in a release document.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn property(xml: &mut Xml, key: &str, parameter: &Parameter) {
    let required = parameter.required.to_string();
    let mut attributes = vec![
        ("ovf:key", key),
        ("ovf:type", "string"),
        ("ovf:userConfigurable", "true"),
        ("seawall:required", &*required),
    ];
    if let Some(default) = &parameter.default {
        attributes.push(("ovf:value", default));
    }
    xml.open("Property", &attributes);
    if !parameter.description.is_empty() {
        xml.leaf("Description", &[], Some(&parameter.description));
    }
    xml.close("Property");
}

fn hardware(xml: &mut Xml, machine: &Machine, first_disk: usize) {
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

/// A document under construction.
#[derive(Default)]
struct Xml {
    text: String,
    depth: usize,
}

impl Xml {
    fn open(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.begin(tag, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
    }

    fn close(&mut self, tag: &str) {
        self.depth = self.depth.saturating_sub(1);
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:1$}</{tag}>", "", self.depth * 2);
    }

    fn leaf(&mut self, tag: &str, attributes: &[(&str, &str)], text: Option<&str>) {
        self.begin(tag, attributes);
        match text {
            None => self.text.push_str("/>\n"),
            Some(text) => {
                self.text.push('>');
                self.escaped(text);
                let _ = writeln!(self.text, "</{tag}>");
            }
        }
    }

    fn begin(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.text, "{:1$}<{tag}", "", self.depth * 2);
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"");
            self.escaped(value);
            self.text.push('"');
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // In attributes, a parser would normalise the characters themselves to spaces.
                '\n' | '\t' | '\r' => {
                    let _ = write!(self.text, "&#{};", u32::from(c));
                }
                // XML forbids these characters, even escaped.
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.text.push('\u{fffd}'),
                c => self.text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests;
