//! An `Item` of a hardware section: a device in CIM's terms.

use roxmltree::Node;
use seawall_api::release::{Bus, NetworkModel};

use super::xml::{SEAWALL, children, foreign, text, text_of};

/// The supported resource types of CIM_ResourceAllocationSettingData.
pub(super) const CPU: u32 = 3;
pub(super) const MEMORY: u32 = 4;
pub(super) const IDE: u32 = 5;
pub(super) const SCSI: u32 = 6;
pub(super) const ETHERNET: u32 = 10;
pub(super) const FLOPPY: u32 = 14;
pub(super) const CD: u32 = 15;
pub(super) const DVD: u32 = 16;
pub(super) const DISK: u32 = 17;
/// A storage extent: XenServer's type of a disk.
pub(super) const STORAGE_EXTENT: u32 = 19;
pub(super) const OTHER_STORAGE: u32 = 20;

/// Returns the name of another resource type, for messages.
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

/// The parts of an `Item` in use. Texts are verbatim, and empty if missing.
pub(super) struct Item<'a> {
    pub(super) instance: &'a str,
    pub(super) parent: &'a str,
    /// The resource type. `None` if the text is not a number.
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
    /// `min` or `max` if the item is a bound of a range.
    pub(super) bound: &'a str,
    /// oVirt's numbers of sockets, cores and threads.
    pub(super) sockets: Vec<&'a str>,
    /// The position in oVirt's boot order. 0 or empty if not bootable.
    pub(super) boot_order: &'a str,
    pub(super) settings: Vec<String>,
    /// True if the item belongs to a configuration, and replaces the general item.
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

    /// Returns true if the item is a drive of removable media, whose media are not disks.
    pub(super) fn is_removable(&self) -> bool {
        matches!(self.resource, Some(FLOPPY | CD | DVD))
    }

    /// Returns the device's name for messages.
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

/// Returns a description of an element that is not read.
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
