//! An `Item` of a hardware section: a device, in the words of CIM.

use roxmltree::Node;
use seawall_api::release::{Bus, NetworkModel};

use super::xml::{SEAWALL, children, foreign, text, text_of};

/// Resource types of CIM_ResourceAllocationSettingData that mean something here.
pub(super) const CPU: u32 = 3;
pub(super) const MEMORY: u32 = 4;
pub(super) const IDE: u32 = 5;
pub(super) const SCSI: u32 = 6;
pub(super) const ETHERNET: u32 = 10;
pub(super) const FLOPPY: u32 = 14;
pub(super) const CD: u32 = 15;
pub(super) const DVD: u32 = 16;
pub(super) const DISK: u32 = 17;
/// A storage extent: what XenServer calls a disk.
pub(super) const STORAGE_EXTENT: u32 = 19;
pub(super) const OTHER_STORAGE: u32 = 20;

/// What else there is, as a person calls it.
fn device(resource: u32) -> &'static str {
    match resource {
        FLOPPY => "floppy drive",
        CD => "CD drive",
        DVD => "DVD drive",
        18 => "tape drive",
        21 => "serial port",
        22 => "parallel port",
        23 => "USB controller",
        24 => "graphics",
        35 => "sound card",
        _ => "device",
    }
}

/// An `Item`, as far as it is read. Texts are as they stand; empty where there are none.
pub(super) struct Item<'a> {
    pub(super) instance: &'a str,
    pub(super) parent: &'a str,
    /// The resource type; `None` where its text is no number.
    pub(super) resource: Option<u32>,
    pub(super) resource_text: &'a str,
    pub(super) subtype: &'a str,
    pub(super) title: String,
    pub(super) address: &'a str,
    pub(super) address_on_parent: &'a str,
    pub(super) quantity: &'a str,
    pub(super) units: &'a str,
    pub(super) connections: Vec<&'a str>,
    pub(super) hosts: Vec<&'a str>,
    pub(super) exact_bus: Option<Bus>,
    pub(super) exact_name: Option<&'a str>,
    pub(super) exact_model: Option<NetworkModel>,
    /// `min` or `max` where the item is an end of a range.
    pub(super) bound: &'a str,
    /// oVirt's count of processors: sockets, cores and threads.
    pub(super) sockets: Vec<&'a str>,
    /// oVirt's place in the boot order; 0 or empty where it has none.
    pub(super) boot_order: &'a str,
    pub(super) settings: Vec<String>,
    /// The item stands for a configuration, and takes the place of those that do not.
    pub(super) is_chosen: bool,
}

impl<'a> Item<'a> {
    pub(super) fn read(node: Node<'a, '_>, is_chosen: bool) -> Self {
        let texts = |name: &'static str| {
            let named = children(node)
                .filter(move |child| child.tag_name().name().eq_ignore_ascii_case(name));
            named.map(text).filter(|text| !text.is_empty()).collect()
        };
        let exact = |name| node.attribute((SEAWALL, name));
        let word = |value: &str| serde_json::Value::String(value.to_owned());
        let resource_text = text_of(node, "ResourceType");
        let sockets = ["num_of_sockets", "cpu_per_socket", "threads_per_cpu"];
        let sockets = sockets.into_iter().map(|name| text_of(node, name));
        Self {
            instance: text_of(node, "InstanceID"),
            parent: text_of(node, "Parent"),
            resource: resource_text.parse().ok(),
            resource_text,
            subtype: text_of(node, "ResourceSubType"),
            title: title_of(node),
            address: text_of(node, "Address"),
            address_on_parent: text_of(node, "AddressOnParent"),
            quantity: text_of(node, "VirtualQuantity"),
            units: text_of(node, "AllocationUnits"),
            connections: texts("Connection"),
            hosts: texts("HostResource"),
            exact_bus: exact("bus").and_then(|bus| serde_json::from_value(word(bus)).ok()),
            exact_name: exact("disk"),
            exact_model: exact("model").and_then(|model| serde_json::from_value(word(model)).ok()),
            bound: foreign(node, "bound").unwrap_or_default(),
            sockets: sockets.filter(|text| !text.is_empty()).collect(),
            boot_order: text_of(node, "BootOrder"),
            settings: children(node).filter_map(setting).collect(),
            is_chosen,
        }
    }

    pub(super) fn is(&self, resource: u32) -> bool {
        self.resource == Some(resource)
    }

    pub(super) fn is_controller(&self) -> bool {
        matches!(self.resource, Some(IDE | SCSI | OTHER_STORAGE))
    }

    /// Whether what it refers to is put in and taken out: no disk of the machine.
    pub(super) fn is_removable(&self) -> bool {
        matches!(self.resource, Some(FLOPPY | CD | DVD))
    }

    /// What it is, for a person.
    pub(super) fn device(&self) -> &'static str {
        self.resource.map_or("device", device)
    }
}

pub(super) fn title_of(node: Node<'_, '_>) -> String {
    let name = ["ElementName", "Caption"].map(|name| text_of(node, name));
    match name.into_iter().find(|name| !name.is_empty()) {
        None => format!("item {}", text_of(node, "InstanceID")),
        Some(name) => name.to_owned(),
    }
}

/// What an item has besides what is read.
fn setting(child: Node<'_, '_>) -> Option<String> {
    const KNOWN: [&str; 20] = [
        "Address",
        "AddressOnParent",
        "AllocationUnits",
        "AutomaticAllocation",
        "AutomaticDeallocation",
        "BootOrder",
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
        "VirtualQuantityUnits",
        "cpu_per_socket",
        "num_of_sockets",
        "threads_per_cpu",
    ];
    match child.tag_name().name() {
        name if KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known)) => None,
        "Config" => foreign(child, "key").map(str::to_owned),
        name => Some(format!("{name} {}", text(child)).trim_end().to_owned()),
    }
}
