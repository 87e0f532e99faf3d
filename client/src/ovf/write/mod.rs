//! Writes a descriptor for machines of a release, in the form that virt-v2v, VMware's tools,
//! VirtualBox and COT read.
//!
//! OVF cannot express some properties of a release (virtio, the architecture). The descriptor then
//! has the nearest value, and the exact one in an attribute of Seawall's namespace, which other
//! readers ignore. So the descriptor reads back as the same release.

mod hardware;
mod xml;

use std::collections::{BTreeMap, BTreeSet};

use seawall_api::release::{Architecture, Disk, Machine, Parameter, Release};
use serde::Serialize;

use super::envelope::Unmapped;
use super::package::tar::NAME_LEN_MAX;
use super::read::xml::{OVF, SEAWALL};
use hardware::hardware;
use xml::Xml;

const RASD: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
const VSSD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
const VMW: &str = "http://www.vmware.com/schema/ovf";
const STREAM_OPTIMIZED: &str =
    "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
/// The contents of a package, except for the lengths of its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageContents<'a> {
    /// The package's name.
    pub name: &'a str,
    /// The release.
    pub release: &'a Release,
    /// The machines to package, at least one.
    pub machines: Vec<&'a Machine>,
    /// The name of each disk's file, in the order of [`Self::disks`].
    pub hrefs: Vec<String>,
}

impl<'a> PackageContents<'a> {
    /// Returns the contents for `machines`, with names for their disks' files.
    #[must_use]
    pub fn new(name: &'a str, release: &'a Release, machines: Vec<&'a Machine>) -> Self {
        let mut contents = Self { name, release, machines, hrefs: Vec::new() };
        let mut taken = BTreeSet::new();
        let ids: Vec<_> =
            contents.disks().map(|(machine, disk)| contents.title(machine, disk)).collect();
        for (position, id) in ids.into_iter().enumerate() {
            let mut href = format!("{name}-{id}.vmdk");
            if href.len() > NAME_LEN_MAX || !taken.insert(href.clone()) {
                href = format!("disk{}.vmdk", position + 1);
                taken.insert(href.clone());
            }
            contents.hrefs.push(href);
        }
        contents
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

    /// Returns the descriptor. `lens` are the lengths of the disks' files in bytes. A file without
    /// a length has no size in the descriptor.
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
            let id = format!("file{}", at + 1);
            let len = lens.get(at).map(u64::to_string);
            let mut attributes = vec![("ovf:href", href.as_str()), ("ovf:id", &id)];
            attributes.extend(len.as_deref().map(|len| ("ovf:size", len)));
            xml.leaf("File", &attributes, None);
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

#[cfg(test)]
mod tests;
