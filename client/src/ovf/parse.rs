//! From a descriptor's bytes to an [`Envelope`].
//!
//! Total: whatever the bytes are, the outcome is an envelope or an error. What is read and has no
//! place in a release is in [`Envelope::unmapped`].

use std::collections::HashSet;
use std::path::Path;

use roxmltree::Node;
use seawall_api::release::{Architecture, DESCRIPTOR_LEN_MAX, TEXT_LEN_MAX};

use super::envelope::{Envelope, FileReference, OvfNetwork, Unmapped, VirtualDisk};
use super::units::bytes_in;
use super::xml::{OVF, attribute, children, document, is, named, text_of, title};
use super::{OvfError, system};

/// How many files a package may have.
pub const FILES_MAX: usize = 4096;
/// The longest name of a file in a package, in bytes.
pub const HREF_LEN_MAX: usize = 1024;

/// Reads a descriptor; `path` names it in errors.
///
/// # Errors
/// When it is no OVF 1.x descriptor, breaks a rule, or names files outside of the package.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Envelope, OvfError> {
    if bytes.len() > DESCRIPTOR_LEN_MAX {
        let why = format!("it has {} bytes, the limit is {DESCRIPTOR_LEN_MAX}", bytes.len());
        return Err(OvfError::rule("the whole", why));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| OvfError::Unsupported {
        what: format!("the descriptor in {}, which is not in UTF-8,", path.display()),
        remedy: "convert it with `iconv -t UTF-8`, then make a new manifest".to_owned(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = document(text)
        .map_err(|source| OvfError::Xml { path: path.to_owned(), source: Box::new(source) })?;
    let root = document.root_element();
    if root.tag_name().name() != "Envelope" {
        return Err(OvfError::rule("the root", "it is not an `Envelope`"));
    }
    if root.tag_name().namespace() != Some(OVF) {
        let namespace = root.tag_name().namespace().unwrap_or("none");
        return Err(OvfError::Unsupported {
            what: format!("an envelope of namespace `{}`", namespace.escape_debug()),
            remedy: "OVF 1.x is; `ovftool` converts others".to_owned(),
        });
    }
    envelope(root)
}

fn envelope(root: Node<'_, '_>) -> Result<Envelope, OvfError> {
    let mut envelope = Envelope::default();
    let configuration = configuration(root, &mut envelope.unmapped);
    for section in named(root, "References") {
        for file in children(section) {
            envelope.files.push(file_reference(file)?);
        }
    }
    if envelope.files.len() > FILES_MAX {
        return Err(OvfError::rule("References", format!("at most {FILES_MAX} files are read")));
    }
    unique("References", envelope.files.iter().map(|file| &*file.id))?;
    unique("References", envelope.files.iter().map(|file| &*file.href))?;
    for section in named(root, "DiskSection") {
        for disk in named(section, "Disk") {
            let disk = virtual_disk(disk, root, &envelope.files)?;
            envelope.disks.push(disk);
        }
    }
    unique("DiskSection", envelope.disks.iter().map(|disk| &*disk.id))?;
    for section in named(root, "NetworkSection") {
        for network in named(section, "Network") {
            let name = required(network, "NetworkSection", "name")?.to_owned();
            let description = text_of(network, "Description");
            let description = shortened(description, &mut envelope, "NetworkSection");
            envelope.networks.push(OvfNetwork { name, description });
        }
    }
    unique("NetworkSection", envelope.networks.iter().map(|network| &*network.name))?;
    let mut content = None;
    for child in children(root) {
        if is(child, "VirtualSystem") || is(child, "VirtualSystemCollection") {
            if content.replace(child).is_some() {
                let why = "there are two; several systems are in one VirtualSystemCollection";
                return Err(OvfError::rule("the content", why));
            }
        } else if !["References", "DiskSection", "NetworkSection", "DeploymentOptionSection"]
            .iter()
            .any(|name| is(child, name))
        {
            let why = if is(child, "Strings") {
                "translations are not carried: texts are those in the descriptor itself"
            } else {
                "there is no place for it in a release"
            };
            envelope.unmapped.push(Unmapped::new(title(child), "the section", why));
        }
    }
    let content =
        content.ok_or_else(|| OvfError::rule("the content", "there is no virtual system in it"))?;
    system::read_content(content, configuration.as_deref(), &mut envelope)?;
    if envelope.systems.is_empty() {
        return Err(OvfError::rule("the content", "there is no virtual system in it"));
    }
    unique("the content", envelope.systems.iter().map(|system| &*system.id))?;
    Ok(envelope)
}

/// The default configuration; that there are others is reported.
fn configuration(root: Node<'_, '_>, unmapped: &mut Vec<Unmapped>) -> Option<String> {
    let section = named(root, "DeploymentOptionSection").next()?;
    let options: Vec<_> = named(section, "Configuration").collect();
    let default = options.iter().find(|it| attribute(**it, "default") == Some("true"));
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

fn file_reference(file: Node<'_, '_>) -> Result<FileReference, OvfError> {
    const PLACE: &str = "References";
    let id = required(file, PLACE, "id")?.to_owned();
    let place = format!("{PLACE}, file `{id}`");
    let href = required(file, PLACE, "href")?;
    contained(href)?;
    let number = |name| {
        let parse = |text: &str| {
            let why = || OvfError::rule(&*place, format!("its {name} is no number"));
            text.parse::<u64>().map_err(|_| why())
        };
        attribute(file, name).map(parse).transpose()
    };
    let is_gzip = match attribute(file, "compression") {
        None | Some("" | "identity") => false,
        Some("gzip") => true,
        Some(other) => {
            return Err(OvfError::Unsupported {
                what: format!("`{href}`, compressed by `{}`,", other.escape_debug()),
                remedy: "gzip is read".to_owned(),
            });
        }
    };
    let chunk_len = number("chunkSize")?;
    if chunk_len == Some(0) {
        return Err(OvfError::rule(place, "its chunkSize is 0"));
    }
    Ok(FileReference { id, href: href.to_owned(), len: number("size")?, is_gzip, chunk_len })
}

/// Refuses a name that leads out of the package.
///
/// # Errors
/// [`OvfError::Escapes`] with the reason.
pub(super) fn contained(href: &str) -> Result<(), OvfError> {
    let bad = |why| {
        let href = href.chars().take(HREF_LEN_MAX).flat_map(char::escape_debug).collect();
        Err(OvfError::Escapes { href, why })
    };
    if href.is_empty() || href.len() > HREF_LEN_MAX {
        return bad("it is empty or too long");
    }
    if href.starts_with(['/', '\\']) {
        return bad("it is absolute");
    }
    if href.contains(['\0', '\\']) || href.chars().any(char::is_control) {
        return bad("it has a backslash or a control character");
    }
    // A scheme, as in `http://…`: what is elsewhere is not part of the package.
    if href.split('/').next().is_some_and(|first| first.contains(':')) {
        return bad("it is a URI of something elsewhere; only files of the package are read");
    }
    if href.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return bad("it has a part that is `.`, `..` or empty");
    }
    Ok(())
}

fn virtual_disk(
    disk: Node<'_, '_>,
    root: Node<'_, '_>,
    files: &[FileReference],
) -> Result<VirtualDisk, OvfError> {
    let id = required(disk, "DiskSection", "diskId")?.to_owned();
    let place = format!("DiskSection, disk `{id}`");
    let rule = |why: String| OvfError::rule(&*place, why);
    if let Some(parent) = attribute(disk, "parentRef").filter(|parent| !parent.is_empty()) {
        return Err(OvfError::Unsupported {
            what: format!("disk `{id}`, which is a difference to disk `{parent}`,"),
            remedy: "consolidate the machine's snapshots, then export it again".to_owned(),
        });
    }
    let file = match attribute(disk, "fileRef").filter(|file| !file.is_empty()) {
        None => None,
        Some(file) => {
            let found = files.iter().position(|it| it.id == file);
            Some(found.ok_or_else(|| rule(format!("there is no file `{file}`")))?)
        }
    };
    let capacity = required(disk, "DiskSection", "capacity")?;
    let capacity = match capacity.strip_prefix("${").and_then(|it| it.strip_suffix('}')) {
        Some(property) => property_value(root, property)
            .ok_or_else(|| rule(format!("its capacity is property `{property}`, without value")))?,
        None => capacity,
    };
    let unit = attribute(disk, "capacityAllocationUnits").unwrap_or("byte");
    let unit = bytes_in(unit).ok_or_else(|| rule(format!("`{unit}` is no unit")))?;
    let capacity = capacity.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    let capacity = capacity.ok_or_else(|| rule("its capacity is no length".to_owned()))?;
    let format = attribute(disk, "format").unwrap_or_default().to_owned();
    Ok(VirtualDisk { id, file, capacity, format })
}

/// The value of a property, wherever in the descriptor it is declared.
fn property_value<'a>(root: Node<'a, '_>, key: &str) -> Option<&'a str> {
    let mut properties = root.descendants().filter(|node| is(*node, "Property"));
    attribute(properties.find(|node| attribute(*node, "key") == Some(key))?, "value")
}

/// An attribute that must be there.
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
        Some(twice) => {
            let shown: String = twice.chars().take(64).flat_map(char::escape_debug).collect();
            Err(OvfError::rule(place, format!("`{shown}` is there twice")))
        }
    }
}

/// A text as a release may hold it; that it was cut is reported.
pub(super) fn shortened(text: &str, envelope: &mut Envelope, section: &str) -> String {
    if text.len() <= TEXT_LEN_MAX {
        return text.to_owned();
    }
    let why = format!("it is cut: a release holds texts of at most {TEXT_LEN_MAX} bytes");
    envelope.unmapped.push(Unmapped::new(section, "a text", why));
    let end = (0..=TEXT_LEN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

/// The architecture that a guest's operating system is for.
///
/// CIM's numbers do not tell most of them apart; VMware's and VirtualBox's names do. What runs
/// on i686 runs on x86_64, so 32 bits are not told apart.
pub(super) fn architecture(kind: &str) -> Architecture {
    let kind = kind.to_ascii_lowercase();
    if kind.starts_with("arm") || kind.ends_with("_arm64") || kind.contains("aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    }
}
