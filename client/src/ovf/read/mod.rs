//! Parses a descriptor to an [`Envelope`].
//!
//! The parser is total: any bytes give an envelope or an error. The parts without a place in a
//! release are in [`Envelope::unmapped`].

mod hardware;
mod item;
mod product;
mod references;
mod storage;
mod system;
mod units;
pub(super) mod xml;

use std::collections::HashSet;
use std::path::Path;

use roxmltree::Node;
use seawall_api::release::{Architecture, DESCRIPTOR_LEN_MAX, TEXT_LEN_MAX};

use super::envelope::{Envelope, OvfNetwork, Unmapped};
use super::{OvfError, text};
use xml::{attribute, children, is, is_ovf, is_yes, kind, named, text_of, title};

/// The maximum number of a package's files.
pub const FILES_MAX: usize = 4096;

/// Parses a descriptor. `path` names the descriptor in errors.
///
/// # Errors
/// Fails if the bytes are not an OVF descriptor, cost too much to parse, or violate a rule.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Envelope, OvfError> {
    if bytes.len() > DESCRIPTOR_LEN_MAX {
        let why = format!("it has {} bytes, the limit is {DESCRIPTOR_LEN_MAX}", bytes.len());
        return Err(OvfError::rule("the whole", why));
    }
    let refused = |refused| match refused {
        xml::Refused::Costly(why) => OvfError::rule("the whole", why),
        xml::Refused::Malformed(source) => {
            OvfError::Xml { path: path.to_owned(), source: Box::new(source) }
        }
    };
    let decoded = text::decode(bytes);
    let prepared = xml::prepare(&decoded.text).map_err(refused)?;
    let document = prepared.document().map_err(refused)?;
    let root = document.root_element();
    if root.tag_name().name() != "Envelope" {
        return Err(OvfError::rule("the root", "it is not an `Envelope`"));
    }
    let mut unmapped = Vec::new();
    let mut note = |what: &str, why: &str| unmapped.push(Unmapped::new("Envelope", what, why));
    match root.tag_name().namespace() {
        Some(namespace) if is_ovf(namespace) => {}
        None => note("the namespace", "there is none; the descriptor is read as one of OVF 1"),
        Some(namespace) => {
            return Err(OvfError::Unsupported {
                what: format!("an envelope of namespace `{}`", namespace.escape_debug()),
                remedy: "OVF 1 and 2 are; `ovftool` converts others".to_owned(),
            });
        }
    }
    if let Some(why) = &decoded.note {
        note("the encoding", why);
    }
    for prefix in &prepared.undeclared {
        let what = format!("the prefix `{prefix}`");
        note(&what, "it is not declared, which XML demands; it was read as if it were");
    }
    envelope(root, unmapped)
}

fn envelope(root: Node<'_, '_>, unmapped: Vec<Unmapped>) -> Result<Envelope, OvfError> {
    let mut envelope = Envelope { unmapped, ..Envelope::default() };
    let configuration = configuration(root, &mut envelope.unmapped);
    for file in named(root, "References").flat_map(children).filter(|it| is(*it, "File")) {
        if envelope.files.len() >= FILES_MAX {
            return Err(OvfError::rule(
                "References",
                format!("at most {FILES_MAX} files are read"),
            ));
        }
        envelope.files.push(references::file(file, &mut envelope.unmapped)?);
    }
    unique("References", envelope.files.iter().map(|file| &*file.id))?;
    let disks = references::Disks::new(root, &envelope.files);
    for disk in named(root, "DiskSection").flat_map(|section| named(section, "Disk")) {
        envelope.disks.push(disks.read(disk, &mut envelope.unmapped)?);
    }
    unique("DiskSection", envelope.disks.iter().map(|disk| &*disk.id))?;
    networks(root, &mut envelope)?;
    let content = content(root, &mut envelope)?;
    system::read_content(content, configuration.as_deref(), &mut envelope)?;
    unique("the content", envelope.systems.iter().map(|system| &*system.id))?;
    storage::all_named(&envelope.disks, &envelope.named)?;
    Ok(envelope)
}

fn networks(root: Node<'_, '_>, envelope: &mut Envelope) -> Result<(), OvfError> {
    const SECTION: &str = "NetworkSection";
    let mut seen = HashSet::new();
    for network in named(root, SECTION).flat_map(|section| named(section, "Network")) {
        let name = required(network, SECTION, "name")?.to_owned();
        if !seen.insert(name.clone()) {
            let what = format!("network `{name}`");
            envelope.unmapped.push(Unmapped::new(SECTION, what, "it occurs twice; one is used"));
            continue;
        }
        let description = text_of(network, "Description");
        let description = shortened(description, envelope, SECTION);
        envelope.networks.push(OvfNetwork { name, description });
    }
    Ok(())
}

/// Returns the virtual system or the collection. Reports unused sections.
fn content<'a, 'i>(root: Node<'a, 'i>, envelope: &mut Envelope) -> Result<Node<'a, 'i>, OvfError> {
    const READ: [&str; 4] =
        ["References", "DiskSection", "NetworkSection", "DeploymentOptionSection"];
    let mut content = None;
    for child in children(root) {
        if is(child, "VirtualSystem") || is(child, "VirtualSystemCollection") {
            if content.replace(child).is_some() {
                let why = "there are two; several systems are in one VirtualSystemCollection";
                return Err(OvfError::rule("the content", why));
            }
        } else if is(child, "EncryptionSection") {
            return Err(OvfError::Unsupported {
                what: "an encrypted package".to_owned(),
                remedy: "export it again without a password".to_owned(),
            });
        } else if !READ.iter().any(|name| is(child, name)) {
            let why = match kind(child) {
                "Strings" => {
                    "translations are not carried: texts are those in the descriptor itself"
                }
                _ => system::no_place(child),
            };
            envelope.unmapped.push(Unmapped::new(title(child), "the section", why));
        }
    }
    content.ok_or_else(|| OvfError::rule("the content", "there is no virtual system in it"))
}

/// Returns the default configuration. Reports the others.
fn configuration(root: Node<'_, '_>, unmapped: &mut Vec<Unmapped>) -> Option<String> {
    let section = named(root, "DeploymentOptionSection").next()?;
    let options: Vec<_> = named(section, "Configuration").collect();
    let default = options.iter().find(|it| attribute(**it, "default").is_some_and(is_yes));
    let chosen = attribute(**default.or(options.first()).as_ref()?, "id")?.to_owned();
    let others = options.iter().filter_map(|it| attribute(*it, "id")).filter(|id| *id != chosen);
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        let what = format!("configurations {}", others.join(", "));
        let why = format!("a release has one, and `{chosen}` is the default one");
        unmapped.push(Unmapped::new("DeploymentOptionSection", what, why));
    }
    Some(chosen)
}

/// Returns a mandatory attribute.
pub(super) fn required<'a>(
    node: Node<'a, '_>,
    place: &str,
    name: &str,
) -> Result<&'a str, OvfError> {
    let found = attribute(node, name).filter(|value| !value.is_empty());
    found.ok_or_else(|| {
        OvfError::rule(place, format!("a `{}` has no `{name}`", node.tag_name().name()))
    })
}

fn unique<'a>(place: &str, mut ids: impl Iterator<Item = &'a str>) -> Result<(), OvfError> {
    let mut seen = HashSet::new();
    match ids.find(|id| !seen.insert(*id)) {
        None => Ok(()),
        Some(repeated) => {
            let shown: String = repeated.chars().take(64).flat_map(char::escape_debug).collect();
            Err(OvfError::rule(place, format!("`{shown}` occurs twice")))
        }
    }
}

/// Cuts a text to a release's limit, and reports the cut.
pub(super) fn shortened(text: &str, envelope: &mut Envelope, section: &str) -> String {
    if text.len() <= TEXT_LEN_MAX {
        return text.to_owned();
    }
    let why = format!("it is cut: a release holds texts of at most {TEXT_LEN_MAX} bytes");
    envelope.unmapped.push(Unmapped::new(section, "a text", why));
    let end = (0..=TEXT_LEN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

/// Returns the architecture of a guest's operating system.
///
/// CIM's numbers do not distinguish most architectures; VMware's and VirtualBox's names do. 32-bit
/// x86 becomes x86_64, which runs the same software.
pub(super) fn architecture(kind: &str) -> Architecture {
    let kind = kind.to_ascii_lowercase();
    if kind.starts_with("arm") || kind.ends_with("_arm64") || kind.contains("aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    }
}
