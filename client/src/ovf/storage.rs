//! Controllers and disks of a hardware section: which disk is which, on what, in which order.
//!
//! The order of items in the text means nothing. A machine looks at its controllers by their
//! addresses, and on each of them at the disks by theirs; the first one is what it boots from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use seawall_api::release::Bus;

use super::OvfError;
use super::envelope::{AttachedDisk, Envelope, VirtualDisk};
use super::hardware::{Context, Hardware};
use super::item::{CPU, DISK, ETHERNET, IDE, Item, MEMORY, SCSI, STORAGE_EXTENT};
use super::names::percent_decoded;

/// The disks and files of an envelope, by every name that an item may have for them.
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
            // The first one that has the file.
            of_file: disks().rev().filter_map(|(at, disk)| Some((disk.file?, at))).collect(),
        }
    }

    /// Finds the disk that an item refers to: `ovf:/disk/ID`, `/disk/ID`, `disk/ID`,
    /// `ovf://disk/ID`, the same of a file, or an identifier alone, as oVirt writes it.
    ///
    /// A file that is no disk yet becomes one where `may_add` says that the item is a disk.
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

/// `disk` or `file`, where a text says which, and the identifier in it.
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

/// A disk, and its place in the machine.
struct Attached {
    /// Its place in the boot order that the package gives; the last for most.
    boot: u64,
    /// The place of its controller.
    controller: usize,
    address: u64,
    disk: AttachedDisk,
}

/// What becomes of an item that refers to something.
pub(super) enum Referred {
    /// It is a disk of the machine, at this position.
    Disk(usize),
    /// It is none.
    Other,
}

/// Finds what an item refers to, and remembers that the disk was named.
pub(super) fn referred(item: &Item<'_>, context: &mut Context<'_>) -> Result<Referred, OvfError> {
    let is_disk = item.is(DISK) || item.is(STORAGE_EXTENT);
    // A network or a processor pool may be called as a disk is: there, the place has to be said.
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

/// Puts the disks of a machine in the order in which it finds them.
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
                    format!("its controller `{parent}` is not there; it is put on a SCSI bus")
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
    // The sort keeps equals as they stand.
    attached.sort_by_key(|it| (it.boot, it.controller, it.address));
    hardware.disks = attached.into_iter().map(|it| it.disk).collect();
}

struct Controller {
    bus: Bus,
    place: usize,
}

/// The controllers by their identifiers.
///
/// Those of one kind stand in the order of their addresses, in the places that the text has for
/// the kind: no rule orders one kind before another.
fn controllers<'a>(hardware: &mut Hardware, items: &[Item<'a>]) -> HashMap<&'a str, Controller> {
    // Addresses and places of each kind.
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

/// An address; the last one where there is none or its text is no number, which is reported.
fn number(hardware: &mut Hardware, item: &Item<'_>, name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        if !text.is_empty() {
            let what = format!("{name} `{}` of {}", text.escape_debug(), item.title);
            hardware.report(&what, "it is no number; the device stands after those with one");
        }
        u64::MAX
    })
}

fn report_controller(hardware: &mut Hardware, item: &Item<'_>, is_used: bool) {
    if !is_used {
        let why = "no disk is attached to it; a release has buses only where there are disks";
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
        // VirtualBox writes its SAS controller as one of this kind.
        _ if subtype.contains("sas") || subtype.contains("lsi") => Bus::Scsi,
        _ => Bus::Sata,
    }
}

/// The bus that oVirt's attribute `disk-interface` names.
pub(super) fn bus_named(name: &str) -> Option<Bus> {
    match name.to_ascii_lowercase().as_str() {
        "ide" => Some(Bus::Ide),
        "virtio" => Some(Bus::Virtio),
        "virtio_scsi" => Some(Bus::VirtioScsi),
        "sata" => Some(Bus::Sata),
        _ => None,
    }
}

/// Fails if a disk with content is named by no item: it would be missing from the release.
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
