//! `VirtualSystem` and `VirtualSystemCollection`.

use std::collections::HashMap;

use roxmltree::Node;
use seawall_api::release::{Architecture, Firmware};

use super::hardware::{self, Context, Hardware};
use super::product::product;
use super::storage::{self, DiskTable};
use super::xml::{
    SEAWALL, attribute, children, foreign, is, is_ovf, is_yes, kind, named, text_of, title,
};
use super::{architecture, required, shortened};
use crate::ovf::OvfError;
use crate::ovf::envelope::{Envelope, Unmapped, VirtualSystem};

/// The maximum depth of nested collections.
const DEPTH_MAX: usize = 16;

/// Returns the reason a section is not carried. Mentions if the package requires the section.
pub(super) fn no_place(section: Node<'_, '_>) -> &'static str {
    let is_foreign = section.tag_name().namespace().is_some_and(|it| !is_ovf(it));
    if is_foreign && attribute(section, "required").is_some_and(is_yes) {
        "a release has no place for it, though the package calls it required"
    } else {
        "a release has no place for it"
    }
}

/// Reads the content of an envelope.
pub(super) fn read_content(
    content: Node<'_, '_>,
    configuration: Option<&str>,
    envelope: &mut Envelope,
) -> Result<(), OvfError> {
    let table = DiskTable::new(envelope);
    let mut reader = Reader { configuration, envelope, table, has_system: false };
    reader.entity(content, &[])?;
    if !reader.envelope.systems.is_empty() {
        return Ok(());
    }
    // A disk without a machine is the more helpful error.
    storage::all_named(&reader.envelope.disks, &reader.envelope.named)?;
    let why = if reader.has_system {
        "no virtual system in it has a disk, and a release is of machines with disks"
    } else {
        "there is no virtual system in it"
    };
    Err(OvfError::rule("the content", why))
}

struct Reader<'a> {
    configuration: Option<&'a str>,
    envelope: &'a mut Envelope,
    table: DiskTable,
    /// True if there was a virtual system, even without disks.
    has_system: bool,
}

impl Reader<'_> {
    /// Reads a system or a collection. `start` is the start order of the enclosing collections.
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
            let why = format!("collections are nested more than {DEPTH_MAX} deep");
            return Err(OvfError::rule("the content", why));
        }
        let mut order = HashMap::new();
        for section in named(node, "StartupSection") {
            self.startup(section, &mut order)?;
        }
        for child in children(node) {
            match kind(child) {
                "VirtualSystem" | "VirtualSystemCollection" => {
                    let own = attribute(child, "id").and_then(|id| order.get(id)).copied();
                    let mut start = start.to_vec();
                    start.push(own.unwrap_or(0));
                    self.entity(child, &start)?;
                }
                "ProductSection" => {
                    let (properties, facts) = product(child, id, self.configuration, self.envelope);
                    self.envelope.properties.extend(properties);
                    for (key, value) in facts {
                        let why = "a collection's product is not described in a release";
                        self.report("ProductSection", id, format!("{key} `{value}`"), why);
                    }
                }
                "Info" | "Name" | "StartupSection" => {}
                _ => self.report(&title(child), id, "the section", no_place(child)),
            }
        }
        Ok(())
    }

    fn report(&mut self, section: &str, machine: &str, what: impl Into<String>, why: &str) {
        let unmapped = Unmapped::new(section, what, why);
        let unmapped = if machine.is_empty() { unmapped } else { unmapped.of(machine) };
        self.envelope.unmapped.push(unmapped);
    }

    /// Reads the order of a `StartupSection`. Reports delays and actions.
    fn startup(
        &mut self,
        section: Node<'_, '_>,
        order: &mut HashMap<String, u32>,
    ) -> Result<(), OvfError> {
        for item in named(section, "Item") {
            let id = required(item, "StartupSection", "id")?;
            let text = attribute(item, "order").unwrap_or("0");
            let number = text.parse::<u32>().unwrap_or_else(|_| {
                let what = format!("order `{}`", text.escape_debug());
                self.report("StartupSection", id, what, "it is not a number; it counts as 0");
                0
            });
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
        self.has_system = true;
        let id = self.id_of(node);
        let id = &*id;
        let mut system = VirtualSystem {
            id: id.to_owned(),
            name: text_of(node, "Name").to_owned(),
            operating_system: String::new(),
            annotation: String::new(),
            architecture: Architecture::X86_64,
            firmware: Firmware::Bios,
            cpus: 1,
            memory_mib: 1024,
            start: start.to_vec(),
            disks: Vec::new(),
            cards: Vec::new(),
            facts: Vec::new(),
            properties: Vec::new(),
        };
        let parts = self.parts(node, &mut system);
        let envelope = &mut *self.envelope;
        let mut context = Context {
            system: id,
            configuration: self.configuration,
            boot: parts.boot,
            table: &mut self.table,
            disks: &mut envelope.disks,
            named: &mut envelope.named,
        };
        let Hardware { cpus, memory_mib, firmware, disks, cards, unmapped } =
            hardware::read(&parts.hardware, &mut context)?;
        if disks.is_empty() {
            let why = "it has no disk, but a machine of a release needs one; it is left out";
            self.report("VirtualSystem", id, "the virtual system", why);
            return Ok(());
        }
        self.envelope.unmapped.extend(unmapped);
        (system.cpus, system.memory_mib) = (cpus, memory_mib);
        system.firmware = parts.firmware.unwrap_or(firmware);
        (system.disks, system.cards) = (disks, cards);
        self.envelope.systems.push(system);
        Ok(())
    }

    /// Returns the identifier. If missing, the name or a number replaces the identifier.
    fn id_of(&mut self, node: Node<'_, '_>) -> String {
        if let Some(id) = attribute(node, "id").filter(|id| !id.is_empty()) {
            return id.to_owned();
        }
        let id = match text_of(node, "Name") {
            "" => format!("machine-{}", self.envelope.systems.len() + 1),
            name => name.to_owned(),
        };
        let what = format!("id of `{id}`");
        self.report("VirtualSystem", &id, what, "it has none; this name is used");
        id
    }

    /// Reads all sections except for hardware, whose nodes are returned.
    fn parts<'a, 'i>(&mut self, node: Node<'a, 'i>, system: &mut VirtualSystem) -> Parts<'a, 'i> {
        let id = system.id.clone();
        let mut parts = Parts { hardware: Vec::new(), boot: Vec::new(), firmware: None };
        for child in children(node) {
            match kind(child) {
                "Info" | "Name" => {}
                "OperatingSystemSection" => self.operating_system(child, system),
                "VirtualHardwareSection" => parts.hardware.push(child),
                "BootOrderSection" => {
                    let instances = foreign(child, "instanceId").unwrap_or_default();
                    parts.boot.extend(instances.split_whitespace());
                    let why = "the disks in it go first; other devices have no order in a release";
                    self.report(&title(child), &id, "the section", why);
                }
                "ProductSection" => {
                    let (properties, facts) =
                        product(child, &id, self.configuration, self.envelope);
                    system.properties.extend(properties);
                    system.facts.extend(facts);
                }
                "AnnotationSection" => {
                    let text = text_of(child, "Annotation");
                    system.annotation = shortened(text, self.envelope, "AnnotationSection");
                }
                "Machine" => {
                    parts.firmware = hardware::vbox_firmware(child);
                    let what = "the section, except for the firmware in it";
                    let why = "it is specific to one hypervisor";
                    self.report(&title(child), &id, what, why);
                }
                _ => self.report(&title(child), &id, "the section", no_place(child)),
            }
        }
        parts
    }

    fn operating_system(&mut self, section: Node<'_, '_>, system: &mut VirtualSystem) {
        let kind = foreign(section, "osType").map(str::to_owned).unwrap_or_else(|| {
            // VirtualBox has an element instead of an attribute.
            text_of(section, "OSType").to_owned()
        });
        let exact = section.attribute((SEAWALL, "architecture"));
        // IBM's tools have an element instead of an attribute.
        let said = exact.unwrap_or_else(|| text_of(section, "architecture"));
        let word = serde_json::Value::String(said.to_ascii_lowercase());
        let known = serde_json::from_value(word).ok();
        if known.is_none() && !said.is_empty() {
            let what = format!("architecture `{}`", said.escape_debug());
            let why = "a release has no field for it; the operating system implies it";
            self.report("OperatingSystemSection", &system.id, what, why);
        }
        system.architecture = known.unwrap_or_else(|| architecture(&kind));
        let description = text_of(section, "Description");
        // An operating system written by Seawall itself only repeats the architecture.
        let is_told = !description.is_empty() || exact.is_some();
        let words = if is_told { description } else { &*kind };
        system.operating_system = shortened(words, self.envelope, "OperatingSystemSection");
    }
}

/// The parts of a virtual system to read later.
struct Parts<'a, 'i> {
    hardware: Vec<Node<'a, 'i>>,
    /// The identifiers of the boot devices' items, in boot order.
    boot: Vec<&'a str>,
    /// The firmware in VirtualBox's own section.
    firmware: Option<Firmware>,
}
