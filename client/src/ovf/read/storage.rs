//! The controllers and disks of a hardware section, and the order of the disks.
//!
//! The order of items in the text is meaningless. A machine scans its controllers by address, and
//! the disks on a controller by address. The machine boots from the first disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use seawall_api::release::Bus;

use super::hardware::{Context, Hardware};
use super::item::{CPU, DISK, ETHERNET, IDE, Item, MEMORY, SCSI, STORAGE_EXTENT};
use crate::ovf::OvfError;
use crate::ovf::envelope::{AttachedDisk, Envelope, VirtualDisk};
use crate::ovf::names::percent_decoded;

/// The disks and files of an envelope, by every name that an item may use.
pub(super) struct DiskTable {
    disks: HashMap<String, usize>,
    files: HashMap<String, usize>,
    hrefs: HashMap<String, usize>,
    of_file: HashMap<usize, usize>,
}

impl DiskTable {
    pub(super) fn new(envelope: &Envelope) -> Self {
        let files = || envelope.files.iter().enumerate();
        let disks = || envelope.disks.iter().enumerate();
        Self {
            disks: disks().map(|(at, disk)| (disk.id.clone(), at)).collect(),
            files: files().map(|(at, file)| (file.id.clone(), at)).collect(),
            hrefs: files().map(|(at, file)| (file.href.clone(), at)).collect(),
            // The first disk of a file wins.
            of_file: disks().rev().filter_map(|(at, disk)| Some((disk.file?, at))).collect(),
        }
    }

    /// Finds the disk that an item refers to.
    ///
    /// The reference is `ovf:/disk/ID`, `/disk/ID`, `disk/ID` or `ovf://disk/ID`, the same forms
    /// for a file, or only an identifier, as oVirt writes it. If `may_add`, a file without a disk
    /// becomes a disk.
    fn find(&mut self, host: &str, disks: &mut Vec<VirtualDisk>, may_add: bool) -> Option<usize> {
        let decoded = percent_decoded(host);
        [Some(host), decoded.as_deref()]
            .into_iter()
            .flatten()
            .find_map(|host| self.find_spelled(host, disks, may_add))
    }

    fn find_spelled(
        &mut self,
        host: &str,
        disks: &mut Vec<VirtualDisk>,
        may_add: bool,
    ) -> Option<usize> {
        let (place, id) = reference(host);
        let file = match place {
            Some("disk") => return self.disks.get(id).copied(),
            Some(_) => self.files.get(id).or_else(|| self.hrefs.get(id)),
            None => {
                if let Some(disk) = self.disks.get(id) {
                    return Some(*disk);
                }
                self.files.get(id).or_else(|| self.hrefs.get(id))
            }
        };
        let (file, id) = (*file?, id.to_owned());
        if let Some(disk) = self.of_file.get(&file) {
            return Some(*disk);
        }
        if !may_add {
            return None;
        }
        disks.push(VirtualDisk { id, file: Some(file), ..VirtualDisk::default() });
        self.of_file.insert(file, disks.len() - 1);
        Some(disks.len() - 1)
    }
}

/// Splits a reference into its kind, `disk` or `file` if present, and its identifier.
fn reference(host: &str) -> (Option<&'static str>, &str) {
    let scheme = host.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("ovf:"));
    let path = scheme.map_or(host, |_| &host[4..]).trim_start_matches('/');
    for (place, prefix) in [("disk", "disk/"), ("file", "file/")] {
        if path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            return (Some(place), &path[prefix.len()..]);
        }
    }
    (None, if scheme.is_some() { path } else { host })
}

/// A disk with its position in the machine.
struct Attached {
    /// The position in the package's boot order. `u64::MAX` for most disks.
    boot: u64,
    /// The position of the disk's controller.
    controller: usize,
    address: u64,
    disk: AttachedDisk,
}

/// The target of an item's reference.
pub(super) enum Referred {
    /// A disk of the machine, at a position of the envelope's disks.
    Disk(usize),
    /// Anything else.
    Other,
}

/// Finds the target of an item's reference, and marks a disk as named.
pub(super) fn referred(item: &Item<'_>, context: &mut Context<'_>) -> Result<Referred, OvfError> {
    let is_disk = item.is(DISK) || item.is(STORAGE_EXTENT);
    // A network or a processor pool may have a disk's name, so these items need the kind in the
    // reference.
    let is_storage = is_disk || !matches!(item.resource, Some(CPU | MEMORY | ETHERNET));
    let Context { table, disks, named, .. } = context;
    let hosts = item.hosts.iter().filter(|host| is_storage || reference(host).0.is_some());
    let found = hosts.into_iter().find_map(|host| table.find(host, disks, is_disk));
    if let Some(disk) = found {
        named.insert(disk);
        return Ok(if item.is_removable() { Referred::Other } else { Referred::Disk(disk) });
    }
    let Some(host) = item.hosts.first().filter(|_| is_disk) else { return Ok(Referred::Other) };
    let place = format!("virtual system `{}`, {}", context.system, item.title);
    let why = match reference(host) {
        (Some(kind), id) => format!("there is no {kind} `{}`", id.escape_debug()),
        (None, _) => {
            let host = host.escape_debug();
            format!("its HostResource is not `ovf:/disk/…` but `{host}`, which the package lacks")
        }
    };
    Err(OvfError::rule(place, why))
}

/// Attaches the disks of a machine in the order in which the machine scans them.
pub(super) fn attach(
    hardware: &mut Hardware,
    items: &[Item<'_>],
    found: &[(usize, usize)],
    context: &Context<'_>,
) {
    let controllers = controllers(hardware, items);
    let used: HashSet<_> = found.iter().map(|(item, _)| items[*item].parent).collect();
    let disks: HashSet<_> = found.iter().map(|(item, _)| *item).collect();
    let others = items.iter().enumerate().filter(|(at, _)| !disks.contains(at));
    for (_, item) in others.filter(|(_, item)| item.is_controller()) {
        report_controller(hardware, item, used.contains(item.instance));
    }
    let boot: HashMap<_, _> =
        context.boot.iter().enumerate().map(|(at, instance)| (*instance, at as u64)).collect();
    let mut attached = Vec::with_capacity(found.len());
    for (item, position) in found {
        let (item, disk) = (&items[*item], &context.disks[*position]);
        let controller = controllers.get(item.parent).filter(|_| !item.parent.is_empty());
        let bus = item.exact_bus.or(controller.map(|it| it.bus)).or(disk.bus);
        let bus = bus.unwrap_or_else(|| {
            let why = match item.parent {
                "" => "it names no controller; it is put on a SCSI bus".to_owned(),
                parent => {
                    format!("its controller `{parent}` does not exist; it is put on a SCSI bus")
                }
            };
            hardware.report(&item.title, &why);
            Bus::Scsi
        });
        let by_item = boot.get(item.instance).copied();
        let by_disk = disk.is_boot.then_some(0);
        let by_order = item.boot_order.parse().ok().filter(|order| *order > 0);
        attached.push(Attached {
            boot: by_item.or(by_disk).or(by_order).unwrap_or(u64::MAX),
            controller: controller.map_or(usize::MAX, |it| it.place),
            address: address_on_parent(hardware, item),
            disk: AttachedDisk { disk: *position, bus, name: item.exact_name.map(str::to_owned) },
        });
    }
    // The sort is stable.
    attached.sort_by_key(|it| (it.boot, it.controller, it.address));
    hardware.disks = attached.into_iter().map(|it| it.disk).collect();
}

struct Controller {
    bus: Bus,
    place: usize,
}

/// Returns the controllers by identifier.
///
/// Controllers of one kind are ordered by address, within their kind's positions in the text. No
/// rule orders the kinds.
fn controllers<'a>(hardware: &mut Hardware, items: &[Item<'a>]) -> HashMap<&'a str, Controller> {
    // The addresses and positions of each kind.
    let mut kinds = BTreeMap::<_, Vec<(u64, usize)>>::new();
    for (position, item) in items.iter().enumerate().filter(|(_, item)| item.is_controller()) {
        let address = number(hardware, item, "Address", item.address);
        kinds.entry((item.resource, bus_of(item) as u8)).or_default().push((address, position));
    }
    let mut controllers = HashMap::new();
    for of_kind in kinds.into_values() {
        let mut by_address = of_kind.clone();
        by_address.sort_unstable();
        for ((_, place), (_, position)) in of_kind.into_iter().zip(by_address) {
            let item = &items[position];
            controllers.entry(item.instance).or_insert(Controller { bus: bus_of(item), place });
        }
    }
    controllers
}

fn address_on_parent(hardware: &mut Hardware, item: &Item<'_>) -> u64 {
    match item.address_on_parent {
        "" => item.address.parse().unwrap_or(u64::MAX),
        text => number(hardware, item, "AddressOnParent", text),
    }
}

/// Parses an address. `u64::MAX` if missing or malformed; a malformed address is reported.
fn number(hardware: &mut Hardware, item: &Item<'_>, name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        if !text.is_empty() {
            let what = format!("{name} `{}` of {}", text.escape_debug(), item.title);
            hardware.report(&what, "it is not a number; the device goes after those with one");
        }
        u64::MAX
    })
}

fn report_controller(hardware: &mut Hardware, item: &Item<'_>, is_used: bool) {
    if !is_used {
        let why = "no disk is attached to it; a release has only buses with disks";
        hardware.report(&format!("{} (controller)", item.title), why);
    } else if item.is(SCSI)
        && bus_of(item) == Bus::Scsi
        && !matches!(item.subtype.to_ascii_lowercase().as_str(), "" | "lsilogic")
    {
        let what = format!("model {} of {}", item.subtype, item.title);
        hardware.report(&what, "its disks are on a SCSI bus; the controller's model is not kept");
    }
}

fn bus_of(controller: &Item<'_>) -> Bus {
    let subtype = controller.subtype.to_ascii_lowercase();
    let is_virtio = subtype.contains("virtio");
    match controller.resource {
        Some(IDE) => Bus::Ide,
        Some(SCSI) if is_virtio => Bus::VirtioScsi,
        Some(SCSI) => Bus::Scsi,
        _ if subtype.contains("nvme") => Bus::Nvme,
        _ if is_virtio && subtype.contains("scsi") => Bus::VirtioScsi,
        _ if is_virtio => Bus::Virtio,
        // VirtualBox writes its SAS controller as this type.
        _ if subtype.contains("sas") || subtype.contains("lsi") => Bus::Scsi,
        _ => Bus::Sata,
    }
}

/// Returns the bus in oVirt's attribute `disk-interface`.
pub(super) fn bus_named(name: &str) -> Option<Bus> {
    match name.to_ascii_lowercase().as_str() {
        "ide" => Some(Bus::Ide),
        "virtio" => Some(Bus::Virtio),
        "virtio_scsi" => Some(Bus::VirtioScsi),
        "sata" => Some(Bus::Sata),
        _ => None,
    }
}

/// Fails if no item refers to a disk with content, because the release would lack the disk.
pub(super) fn all_named(disks: &[VirtualDisk], named: &BTreeSet<usize>) -> Result<(), OvfError> {
    let lost = disks.iter().enumerate().find(|(at, it)| it.file.is_some() && !named.contains(at));
    let Some((_, disk)) = lost else { return Ok(()) };
    Err(OvfError::Unattached { disk: disk.id.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_in_every_spelling() {
        for host in ["ovf:/disk/a", "ovf://disk/a", "/disk/a", "disk/a", "OVF:/Disk/a", "///disk/a"]
        {
            assert_eq!(reference(host), (Some("disk"), "a"), "{host}");
        }
        assert_eq!(reference("ovf:/file/a/b"), (Some("file"), "a/b"));
        assert_eq!(reference("ovf:/disk/urn:a:1"), (Some("disk"), "urn:a:1"));
        assert_eq!(reference("group/image"), (None, "group/image"));
        assert_eq!(reference("/vmfs/a.vmdk"), (None, "/vmfs/a.vmdk"));
        assert_eq!(reference("ovf:a"), (None, "a"));
        assert_eq!(reference(""), (None, ""));
        assert_eq!(reference("é/x"), (None, "é/x"));
    }
}
