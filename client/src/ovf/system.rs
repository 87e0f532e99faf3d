//! `VirtualSystem` and `VirtualSystemCollection`.

use std::collections::HashMap;

use roxmltree::Node;
use seawall_api::release::{Architecture, Parameter};

use super::OvfError;
use super::envelope::{Envelope, Property, Unmapped, VirtualSystem};
use super::hardware::{self, Hardware};
use super::parse::{architecture, required, shortened};
use super::xml::{SEAWALL, attribute, children, flag, foreign, is, named, text, text_of, title};

/// How deep collections may stand in each other.
const DEPTH_MAX: usize = 16;

/// Reads the content of an envelope.
pub(super) fn read_content(
    content: Node<'_, '_>,
    configuration: Option<&str>,
    envelope: &mut Envelope,
) -> Result<(), OvfError> {
    let mut reader = Reader { configuration, envelope };
    reader.entity(content, &[])
}

struct Reader<'a> {
    configuration: Option<&'a str>,
    envelope: &'a mut Envelope,
}

impl Reader<'_> {
    /// `start` is the order of the collections around it.
    fn entity(&mut self, node: Node<'_, '_>, start: &[u32]) -> Result<(), OvfError> {
        if is(node, "VirtualSystem") {
            self.system(node, start)
        } else {
            self.collection(node, start)
        }
    }

    fn collection(&mut self, node: Node<'_, '_>, start: &[u32]) -> Result<(), OvfError> {
        let id = attribute(node, "id").unwrap_or_default();
        if start.len() >= DEPTH_MAX {
            let why = format!("collections stand in each other more than {DEPTH_MAX} deep");
            return Err(OvfError::rule("the content", why));
        }
        let mut order = HashMap::new();
        for section in named(node, "StartupSection") {
            self.startup(section, &mut order)?;
        }
        for child in children(node) {
            match child.tag_name().name() {
                "VirtualSystem" | "VirtualSystemCollection" => {
                    let own = attribute(child, "id").and_then(|id| order.get(id)).copied();
                    let mut start = start.to_vec();
                    start.push(own.unwrap_or(0));
                    self.entity(child, &start)?;
                }
                "ProductSection" => {
                    let (properties, facts) = self.product(child, id);
                    self.envelope.properties.extend(properties);
                    for (key, value) in facts {
                        let why = "a collection's product is not described in a release";
                        self.report("ProductSection", id, format!("{key} `{value}`"), why);
                    }
                }
                "Info" | "Name" | "StartupSection" => {}
                _ => {
                    let why = "there is no place for it in a release";
                    self.report(&title(child), id, "the section", why);
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, section: &str, machine: &str, what: impl Into<String>, why: &str) {
        let unmapped = Unmapped::new(section, what, why);
        let unmapped = if machine.is_empty() { unmapped } else { unmapped.of(machine) };
        self.envelope.unmapped.push(unmapped);
    }

    /// `StartupSection`: the order; delays and actions are reported.
    fn startup(
        &mut self,
        section: Node<'_, '_>,
        order: &mut HashMap<String, u32>,
    ) -> Result<(), OvfError> {
        for item in named(section, "Item") {
            let id = required(item, "StartupSection", "id")?;
            let number = attribute(item, "order").unwrap_or("0").parse::<u32>().map_err(|_| {
                OvfError::rule("StartupSection", format!("the order of `{id}` is no number"))
            })?;
            order.insert(id.to_owned(), number);
            let usual = [("startAction", "powerOn"), ("stopAction", "powerOff")];
            let extras =
                ["startDelay", "stopDelay", "waitingForGuest", "startAction", "stopAction"];
            let given = extras.into_iter().filter_map(|name| Some((name, attribute(item, name)?)));
            let told =
                given.filter(|pair| !matches!(pair.1, "0" | "false" | "") && !usual.contains(pair));
            let told: Vec<_> = told.map(|(name, value)| format!("{name} {value}")).collect();
            if !told.is_empty() {
                let why = "a release has the order of starts, not their timing";
                self.report("StartupSection", id, told.join(", "), why);
            }
        }
        Ok(())
    }

    fn system(&mut self, node: Node<'_, '_>, start: &[u32]) -> Result<(), OvfError> {
        let id = required(node, "VirtualSystem", "id")?;
        let mut section = None;
        let mut system = VirtualSystem {
            id: id.to_owned(),
            name: text_of(node, "Name").to_owned(),
            operating_system: String::new(),
            annotation: String::new(),
            architecture: Architecture::X86_64,
            firmware: seawall_api::release::Firmware::Bios,
            cpus: 1,
            memory_mib: 1024,
            start: start.to_vec(),
            disks: Vec::new(),
            cards: Vec::new(),
            facts: Vec::new(),
            properties: Vec::new(),
        };
        let mut vbox_firmware = None;
        for child in children(node) {
            match child.tag_name().name() {
                "Info" | "Name" => {}
                "OperatingSystemSection" => self.operating_system(child, &mut system),
                "VirtualHardwareSection" => {
                    if section.replace(child).is_some() {
                        let why = "there are several; the last one is taken";
                        self.report("VirtualHardwareSection", id, "the section", why);
                    }
                }
                "ProductSection" => {
                    let (properties, facts) = self.product(child, id);
                    system.properties.extend(properties);
                    system.facts.extend(facts);
                }
                "AnnotationSection" => {
                    let text = text_of(child, "Annotation");
                    system.annotation = shortened(text, self.envelope, "AnnotationSection");
                }
                "Machine" => {
                    vbox_firmware = hardware::vbox_firmware(child);
                    let what = "the section, but for the firmware in it";
                    let why = "it is one hypervisor's own";
                    self.report(&title(child), id, what, why);
                }
                _ => {
                    let why = "there is no place for it in a release";
                    self.report(&title(child), id, "the section", why);
                }
            }
        }
        let section = section.ok_or_else(|| {
            let place = format!("virtual system `{id}`");
            OvfError::rule(place, "it has no VirtualHardwareSection")
        })?;
        let disks = &self.envelope.disks;
        let Hardware { cpus, memory_mib, firmware, disks, cards, unmapped } =
            hardware::read(section, id, self.configuration, disks)?;
        self.envelope.unmapped.extend(unmapped);
        (system.cpus, system.memory_mib) = (cpus, memory_mib);
        system.firmware = vbox_firmware.unwrap_or(firmware);
        (system.disks, system.cards) = (disks, cards);
        self.envelope.systems.push(system);
        Ok(())
    }

    fn operating_system(&mut self, section: Node<'_, '_>, system: &mut VirtualSystem) {
        let kind = foreign(section, "osType").map(str::to_owned).unwrap_or_else(|| {
            // VirtualBox has an element for it.
            text_of(section, "OSType").to_owned()
        });
        let exact = section.attribute((SEAWALL, "architecture"));
        system.architecture = match exact {
            Some(exact) => {
                let word = serde_json::Value::String(exact.to_owned());
                serde_json::from_value(word).unwrap_or(Architecture::X86_64)
            }
            None => architecture(&kind),
        };
        let description = text_of(section, "Description");
        // A kind that we wrote ourselves says nothing that the architecture does not.
        let is_told = !description.is_empty() || exact.is_some();
        let words = if is_told { description } else { &*kind };
        system.operating_system = shortened(words, self.envelope, "OperatingSystemSection");
    }

    fn product(
        &mut self,
        section: Node<'_, '_>,
        machine: &str,
    ) -> (Vec<Property>, Vec<(&'static str, String)>) {
        const SECTION: &str = "ProductSection";
        let (mut properties, mut facts) = (Vec::new(), Vec::new());
        let affix = |name| attribute(section, name).filter(|it| !it.is_empty());
        let (class, instance) = (affix("class"), affix("instance"));
        for child in children(section) {
            let fact = match child.tag_name().name() {
                "Info" | "Category" => continue,
                "Product" => "product",
                "Vendor" => "vendor",
                "Version" => "product-version",
                "FullVersion" => "product-full-version",
                "ProductUrl" => "product-url",
                "VendorUrl" => "vendor-url",
                "Property" => {
                    let Some(key) = attribute(child, "key").filter(|key| !key.is_empty()) else {
                        self.report(SECTION, machine, "a property", "it has no key");
                        continue;
                    };
                    let key = [class, Some(key), instance];
                    let key = key.into_iter().flatten().collect::<Vec<_>>().join(".");
                    properties.push(self.property(child, key, machine));
                    continue;
                }
                _ => {
                    let why = "there is no place for it in a release";
                    self.report(SECTION, machine, title(child), why);
                    continue;
                }
            };
            if !text(child).is_empty() {
                facts.push((fact, shortened(text(child), self.envelope, SECTION)));
            }
        }
        (properties, facts)
    }

    fn property(&mut self, node: Node<'_, '_>, key: String, machine: &str) -> Property {
        const SECTION: &str = "ProductSection";
        let is_configurable = flag(node, "userConfigurable").unwrap_or(false);
        let (label, words) = (text_of(node, "Label"), text_of(node, "Description"));
        let description = match (label.is_empty(), words.is_empty()) {
            (false, false) => format!("{label}: {words}"),
            _ => format!("{label}{words}"),
        };
        let of_configuration = named(node, "Value")
            .find(|value| attribute(*value, "configuration") == self.configuration)
            .and_then(|value| attribute(value, "value"));
        let default = of_configuration.or_else(|| attribute(node, "value"));
        let default = default.map(|value| shortened(value, self.envelope, SECTION));
        let kind = attribute(node, "type").filter(|kind| !matches!(*kind, "string" | ""));
        let rules = [
            kind.map(|kind| format!("type {kind}")),
            foreign(node, "qualifiers").map(|rule| format!("qualifiers {rule}")),
            flag(node, "password").filter(|is| *is).map(|_| "that it is a password".to_owned()),
        ];
        let rules: Vec<_> = rules.into_iter().flatten().collect();
        if !rules.is_empty() {
            let what = format!("{} of property `{key}`", rules.join(", "));
            self.report(SECTION, machine, what, "parameters are texts without rules");
        }
        let required = match node.attribute((SEAWALL, "required")) {
            Some(exact) => exact == "true",
            None => is_configurable && default.as_deref().unwrap_or_default().is_empty(),
        };
        let description = shortened(&description, self.envelope, SECTION);
        let default = default.filter(|value| !value.is_empty());
        let parameter = Parameter { description, default, required };
        Property { key, is_configurable, parameter }
    }
}
