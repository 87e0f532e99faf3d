//! Converts an [`Envelope`] to a release description, with a release's names, order and texts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use seawall_api::names::{DiskName, MachineName, NAME_LEN_MAX, NetworkName};
use seawall_api::release::{Descriptor, Network, NetworkCard, Parameter};

use super::OvfError;
use super::envelope::{AttachedDisk, Envelope, Property, Unmapped, VirtualDisk, VirtualSystem};
use crate::spec::{DiskSpec, MachineSpec, Packed, ReleaseSpec};

/// Finds the file at a position of [`Envelope::files`]: its name in errors, and its location.
pub(crate) type Place<'a> = &'a dyn Fn(usize) -> Result<(PathBuf, Packed), OvfError>;

/// Describes the release. `place` locates the disks' files.
pub(crate) fn describe(
    envelope: &Envelope,
    descriptor: &Descriptor,
    place: Place<'_>,
) -> Result<(ReleaseSpec, Vec<Unmapped>), OvfError> {
    let mut notes = envelope.unmapped.clone();
    unused(envelope, &mut notes);
    let (networks, network_names) = networks(envelope, &mut notes)?;
    let mut names = Names::default();
    let starts = starts(envelope);
    let mut parameters = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    add_properties(&envelope.properties, "", &mut parameters, &mut annotations, &mut notes);
    let mut machines = Vec::with_capacity(envelope.systems.len());
    for (system, start_order) in envelope.systems.iter().zip(starts) {
        let wanted = if names_nothing(&system.id) && !system.name.is_empty() {
            &system.name
        } else {
            &system.id
        };
        let name: MachineName = names.take(wanted, "machine").parse().map_err(spec_error)?;
        if name.as_str() != wanted.as_str() {
            let why = "names have a-z, 0-9, `-`, `_` and `.` only";
            let what = format!("name `{wanted}`, which became `{name}`");
            notes.push(Unmapped::new("VirtualSystem", what, why).of(&system.id));
        }
        let prefix = if envelope.systems.len() > 1 { format!("{name}.") } else { String::new() };
        let mut annotations = annotations_of(system, &name, &mut notes);
        let mut told = Vec::new();
        let properties = &system.properties;
        add_properties(properties, &prefix, &mut parameters, &mut annotations, &mut told);
        notes.extend(told.into_iter().map(|note| note.of(&system.id)));
        machines.push(MachineSpec {
            name,
            architecture: system.architecture,
            firmware: system.firmware,
            cpus: system.cpus,
            memory_mib: system.memory_mib,
            start_order,
            disks: disks(system, &envelope.disks, place)?,
            network_cards: cards(system, &network_names)?,
            annotations,
            descriptor: Some(descriptor.clone()),
        });
    }
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    let spec = ReleaseSpec { machines, networks, parameters, annotations };
    Ok((spec.proven()?, notes))
}

fn spec_error(error: seawall_api::names::InvalidName) -> OvfError {
    OvfError::Spec(error.into())
}

/// Reports the disks and files that no virtual system uses.
fn unused(envelope: &Envelope, notes: &mut Vec<Unmapped>) {
    let attached: BTreeSet<_> =
        envelope.systems.iter().flat_map(|system| &system.disks).map(|it| it.disk).collect();
    let mut used = BTreeSet::new();
    for (position, disk) in envelope.disks.iter().enumerate() {
        if attached.contains(&position) {
            used.extend(disk.file);
        } else {
            let what = format!("disk `{}`", disk.id);
            let why = "no virtual system has it; it is not pushed";
            notes.push(Unmapped::new("DiskSection", what, why));
        }
    }
    for (position, file) in envelope.files.iter().enumerate() {
        if !used.contains(&position) {
            let what = format!("file `{}`", file.href);
            let why = "it is not a disk of a virtual system; a release has disks only";
            notes.push(Unmapped::new("References", what, why));
        }
    }
}

/// Returns the networks ordered by name, and their names by the names in the descriptor.
///
/// Adds the networks of cards that no section lists.
fn networks(
    envelope: &Envelope,
    notes: &mut Vec<Unmapped>,
) -> Result<(Vec<Network>, HashMap<String, NetworkName>), OvfError> {
    const SECTION: &str = "NetworkSection";
    let mut names = Names::default();
    let mut networks = Vec::new();
    let mut by_name = HashMap::new();
    let mut by_lower: HashMap<String, NetworkName> = HashMap::new();
    let listed = envelope.networks.iter().map(|it| (&it.name, it.description.clone(), true));
    let cards = envelope.systems.iter().flat_map(|system| &system.cards);
    let used = cards.map(|card| (&card.network, String::new(), false));
    for (called, mut description, is_listed) in listed.chain(used) {
        if !is_listed && by_name.contains_key(called) {
            continue;
        }
        if !is_listed && let Some(name) = by_lower.get(&called.to_lowercase()) {
            let what = format!("network `{called}` of a card");
            notes.push(Unmapped::new(SECTION, what, format!("it is read as `{name}`")));
            by_name.insert(called.clone(), name.clone());
            continue;
        }
        if !is_listed {
            let what = format!("network `{called}` of a card");
            notes.push(Unmapped::new(SECTION, what, "it is not listed there; it was added"));
        }
        let name: NetworkName = names.take(called, "network").parse().map_err(spec_error)?;
        if name.as_str() != called {
            let what = format!("name `{called}`, which became `{name}`");
            let why = "names have a-z, 0-9, `-`, `_` and `.` only";
            notes.push(Unmapped::new(SECTION, what, why));
            if description.is_empty() {
                description.clone_from(called);
            }
        }
        by_name.insert(called.clone(), name.clone());
        by_lower.entry(called.to_lowercase()).or_insert_with(|| name.clone());
        networks.push(Network { name, description });
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((networks, by_name))
}

fn cards(
    system: &VirtualSystem,
    networks: &HashMap<String, NetworkName>,
) -> Result<Vec<NetworkCard>, OvfError> {
    let card = |card: &super::envelope::Card| {
        let network = networks.get(&card.network).cloned().ok_or_else(|| {
            let why = format!("a card is on network `{}`, which does not exist", card.network);
            OvfError::rule(format!("virtual system `{}`", system.id), why)
        })?;
        Ok(NetworkCard { network, model: card.model })
    };
    system.cards.iter().map(card).collect()
}

fn disks(
    system: &VirtualSystem,
    disks: &[VirtualDisk],
    place: Place<'_>,
) -> Result<Vec<DiskSpec>, OvfError> {
    let mut names = Names::default();
    let mut specs = Vec::with_capacity(system.disks.len());
    for AttachedDisk { disk: position, bus, name } in &system.disks {
        let disk = disks.get(*position).ok_or_else(|| {
            OvfError::rule(format!("virtual system `{}`", system.id), "a disk is missing")
        })?;
        let name: DiskName =
            names.take(name.as_ref().unwrap_or(&disk.id), "disk").parse().map_err(spec_error)?;
        let (path, mut packed) = match disk.file {
            Some(file) => place(file)?,
            None => (PathBuf::from(&disk.id), Packed::default()),
        };
        packed.capacity = disk.capacity;
        packed.stated = disk.stated;
        specs.push(DiskSpec { name, bus: *bus, path, format: None, packed: Some(packed) });
    }
    Ok(specs)
}

fn annotations_of(
    system: &VirtualSystem,
    name: &MachineName,
    notes: &mut Vec<Unmapped>,
) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let called = if system.name.is_empty() { &system.id } else { &system.name };
    let own = [
        ("name", called),
        ("operating-system", &system.operating_system),
        ("description", &system.annotation),
    ];
    let facts = system.facts.iter().map(|(key, text)| (*key, text));
    for (key, text) in own.into_iter().chain(facts) {
        if text.is_empty() || text == name.as_str() {
            continue;
        }
        let kept = annotations.entry(key.to_owned()).or_insert_with(|| text.clone());
        if kept != text {
            let what = format!("a second {key}, `{text}`");
            let note = Unmapped::new("ProductSection", what, "the first one is kept");
            notes.push(note.of(&system.id));
        }
    }
    annotations
}

/// Adds properties: configurable ones as parameters, fixed ones as annotations.
///
/// Of several properties with the same key and different values, the first is kept and the others
/// are reported.
fn add_properties(
    properties: &[Property],
    prefix: &str,
    parameters: &mut BTreeMap<String, Parameter>,
    annotations: &mut BTreeMap<String, String>,
    notes: &mut Vec<Unmapped>,
) {
    for property in properties {
        let is_taken = if property.is_configurable {
            let key = format!("{prefix}{}", property.key);
            let kept = parameters.entry(key).or_insert_with(|| property.parameter.clone());
            *kept != property.parameter
        } else {
            let value = property.parameter.default.clone().unwrap_or_default();
            let key = format!("property.{}", property.key);
            let kept = annotations.entry(key).or_insert_with(|| value.clone());
            *kept != value
        };
        if is_taken {
            let what = format!("a second property `{}`", property.key);
            let why = "it differs from the first one, which is kept";
            notes.push(Unmapped::new("ProductSection", what, why));
        }
    }
}

/// Returns the start order of each system. Flattens the orders of nested collections to ranks.
fn starts(envelope: &Envelope) -> Vec<u32> {
    let paths: Vec<_> = envelope.systems.iter().map(|system| system.start.clone()).collect();
    if paths.iter().all(|path| path.len() <= 1) {
        return paths.iter().map(|path| path.first().copied().unwrap_or(0)).collect();
    }
    let ranks: BTreeSet<_> = paths.iter().collect();
    let rank = |path: &Vec<u32>| ranks.iter().take_while(|other| ***other < *path).count();
    paths.iter().map(|path| u32::try_from(rank(path)).unwrap_or(u32::MAX)).collect()
}

/// An allocator of unique names.
#[derive(Default)]
struct Names {
    given: BTreeSet<String>,
    /// The number of requests for each name, so that the next free suffix is found without a
    /// search.
    wanted: HashMap<String, usize>,
}

impl Names {
    /// Returns the closest valid name to `wanted` that is still free. `otherwise` replaces a text
    /// without any valid character.
    fn take(&mut self, wanted: &str, otherwise: &str) -> String {
        let base = slug(wanted).unwrap_or_else(|| otherwise.to_owned());
        let mut name = base.clone();
        let count = self.wanted.entry(base.clone()).or_insert(1);
        while !self.given.insert(name.clone()) {
            *count += 1;
            let suffix = format!("-{count}");
            let end = base.len().min(NAME_LEN_MAX - suffix.len());
            name = format!("{}{suffix}", base[..end].trim_end_matches(['-', '_', '.']));
        }
        name
    }
}

/// Returns true if an identifier is meaningless to people: a tool's constant, or a UUID.
fn names_nothing(id: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    matches!(id, "vm" | "out") || (id.len() == 36 && id.bytes().all(hex))
}

/// Converts a text to the closest valid name. `None` if the text has no valid character.
fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        let plain = c.is_ascii_lowercase() || c.is_ascii_digit();
        let c = if plain || matches!(c, '_' | '.') { c } else { '-' };
        // Names begin with a letter or digit, and have no two marks in sequence.
        let follows_mark = slug.is_empty() || slug.ends_with(['-', '_', '.']);
        if (plain || !follows_mark) && slug.len() < NAME_LEN_MAX {
            slug.push(c);
        }
    }
    let slug = slug.trim_end_matches(['-', '_', '.']);
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_close_to_what_was_wanted() {
        for (text, expect) in [
            ("web", Some("web")),
            ("Web Server 01", Some("web-server-01")),
            ("VM Network", Some("vm-network")),
            ("../..//x", Some("x")),
            ("a__b--c", Some("a_b-c")),
            ("(ä)", None),
            ("", None),
        ] {
            assert_eq!(slug(text).as_deref(), expect, "{text:?}");
        }
        assert_eq!(slug(&"x".repeat(100)).unwrap().len(), NAME_LEN_MAX);
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = Names::default();
        let long = "y".repeat(200);
        let taken: Vec<_> =
            ["A", "a", "a ", "ä", "ö", &long, &long].map(|wanted| names.take(wanted, "vm")).into();
        assert_eq!(taken[..5], ["a", "a-2", "a-3", "vm", "vm-2"]);
        assert_eq!(taken[6].len(), NAME_LEN_MAX);
        assert!(taken.iter().all(|name| name.parse::<MachineName>().is_ok()));
    }
}
