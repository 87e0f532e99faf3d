//! `References` and `DiskSection`: the files of a package and their disks.

use std::collections::HashMap;

use roxmltree::Node;
use seawall_store::image::{Format, Wrapping};

use super::required;
use super::storage::bus_named;
use super::units::{bytes_in, scaled};
use super::xml::{attribute, foreign, is, is_yes};
use crate::ovf::OvfError;
use crate::ovf::envelope::{FileReference, Unmapped, VirtualDisk};
use crate::ovf::names::HREF_LEN_MAX;

const REFERENCES: &str = "References";
const DISK_SECTION: &str = "DiskSection";

/// Reads a `File`.
///
/// # Errors
/// Fails if the name is missing or too long, if the compression is unsupported, or if the length of
/// a chunk is malformed.
pub(super) fn file(
    node: Node<'_, '_>,
    unmapped: &mut Vec<Unmapped>,
) -> Result<FileReference, OvfError> {
    let href = required(node, REFERENCES, "href")?;
    let id = match attribute(node, "id") {
        None | Some("") => href,
        Some(id) => id,
    };
    let place = format!("{REFERENCES}, file `{}`", id.escape_debug());
    if href.len() > HREF_LEN_MAX {
        return Err(OvfError::rule(place, format!("its href has more than {HREF_LEN_MAX} bytes")));
    }
    let compression = match attribute(node, "compression").unwrap_or_default() {
        "" | "identity" | "none" => None,
        word => Some(compression(word).ok_or_else(|| OvfError::Unsupported {
            what: format!("`{href}`, compressed by `{}`,", word.escape_debug()),
            remedy: "gzip, xz, zstd and bzip2 are read".to_owned(),
        })?),
    };
    let mut len = None;
    match attribute(node, "size") {
        None | Some("") => {}
        Some(text) => match scaled(text, 1) {
            Some(size) => len = Some(size),
            None => {
                let what = format!("size `{}` of `{href}`", text.escape_debug());
                unmapped.push(Unmapped::new(REFERENCES, what, "it is not a number of bytes"));
            }
        },
    }
    let chunk_len = match attribute(node, "chunkSize") {
        None | Some("") => None,
        Some(text) => match scaled(text, 1) {
            Some(len) if len > 0 => Some(len),
            _ => {
                let why = format!("its chunkSize `{}` is not a length", text.escape_debug());
                return Err(OvfError::rule(place, why));
            }
        },
    };
    Ok(FileReference { id: id.to_owned(), href: href.to_owned(), len, compression, chunk_len })
}

/// Returns the compression for a word: OVF's `gzip`, a media type, or a file's extension.
fn compression(word: &str) -> Option<Wrapping> {
    let word = word.to_ascii_lowercase();
    let word = word.strip_prefix("application/").unwrap_or(&word);
    match word.strip_prefix("x-").unwrap_or(word) {
        "gzip" | "gz" => Some(Wrapping::Gzip),
        "xz" => Some(Wrapping::Xz),
        "zstd" | "zst" => Some(Wrapping::Zstd),
        "bzip2" | "bz2" | "bzip" => Some(Wrapping::Bzip2),
        _ => None,
    }
}

/// A reader of an envelope's disks, which refer to files read before.
pub(super) struct Disks<'a> {
    files: HashMap<&'a str, usize>,
    /// The values of all properties in the descriptor, because a capacity may refer to one.
    properties: HashMap<&'a str, &'a str>,
}

impl<'a> Disks<'a> {
    /// Returns a reader of the disks below `root`.
    pub(super) fn new(root: Node<'a, '_>, files: &'a [FileReference]) -> Self {
        let mut by_name: HashMap<_, _> =
            files.iter().enumerate().map(|(at, file)| (&*file.href, at)).collect();
        by_name.extend(files.iter().enumerate().map(|(at, file)| (&*file.id, at)));
        let mut properties = HashMap::new();
        for node in root.descendants().filter(|node| is(*node, "Property")) {
            if let (Some(key), Some(value)) = (attribute(node, "key"), attribute(node, "value")) {
                properties.entry(key).or_insert(value);
            }
        }
        Self { files: by_name, properties }
    }

    /// Reads a `Disk`.
    ///
    /// # Errors
    /// Fails if the disk's file is missing, if the disk is a difference to another, or if the disk
    /// is empty and of unknown length.
    pub(super) fn read(
        &self,
        node: Node<'_, '_>,
        unmapped: &mut Vec<Unmapped>,
    ) -> Result<VirtualDisk, OvfError> {
        let id = required(node, DISK_SECTION, "diskId")?;
        let place = format!("{DISK_SECTION}, disk `{}`", id.escape_debug());
        let parent = attribute(node, "parentRef");
        if let Some(parent) = parent.filter(|it| !it.is_empty() && !is_nil(it)) {
            return Err(OvfError::Unsupported {
                what: format!("disk `{id}`, which is a difference to disk `{parent}`,"),
                remedy: "consolidate the machine's snapshots, then export it again".to_owned(),
            });
        }
        let file = match attribute(node, "fileRef").filter(|file| !file.is_empty()) {
            None => None,
            Some(file) => {
                let missing = || {
                    let why = format!("there is no file `{}`", file.escape_debug());
                    OvfError::rule(&*place, why)
                };
                Some(*self.files.get(file).ok_or_else(missing)?)
            }
        };
        let capacity = match self.capacity(node) {
            Ok(capacity) => capacity,
            // The file has a length, but an empty disk has only its capacity.
            Err(why) if file.is_some() => {
                let what = format!("capacity of disk `{id}`");
                unmapped.push(Unmapped::new(DISK_SECTION, what, why + "; its image determines it"));
                None
            }
            Err(why) => return Err(OvfError::rule(place, why)),
        };
        if capacity.is_none() && file.is_none() {
            return Err(OvfError::rule(place, "it has neither a file nor a capacity"));
        }
        Ok(VirtualDisk {
            id: id.to_owned(),
            file,
            capacity,
            format: attribute(node, "format").unwrap_or_default().to_owned(),
            stated: stated(node),
            bus: foreign(node, "disk-interface").and_then(bus_named),
            is_boot: foreign(node, "boot").is_some_and(is_yes),
        })
    }

    /// Returns the capacity in bytes, `None` if missing. Fails with the reason if malformed.
    fn capacity(&self, node: Node<'_, '_>) -> Result<Option<u64>, String> {
        let Some(text) = attribute(node, "capacity").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let text = match text.strip_prefix("${").and_then(|it| it.strip_suffix('}')) {
            Some(key) => *self.properties.get(key).ok_or_else(|| {
                format!("its capacity is property `{}`, without value", key.escape_debug())
            })?,
            None => text,
        };
        let unit = attribute(node, "capacityAllocationUnits").unwrap_or_default();
        let unit =
            bytes_in(unit).ok_or_else(|| format!("`{}` is not a unit", unit.escape_debug()))?;
        let capacity = scaled(text, unit);
        let bad = || format!("its capacity is not a length: `{}`", text.escape_debug());
        capacity.map(Some).ok_or_else(bad)
    }
}

/// Returns true if an identifier is the nil UUID, oVirt's value for "no parent".
fn is_nil(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// Returns the stated format of a disk's file.
///
/// Format URIs come from the tools' specifications, and many are misspelled. A word in the URI
/// decides.
fn stated(disk: Node<'_, '_>) -> Option<Format> {
    // oVirt states VMDK for every disk, and the real format in an attribute of its own.
    match foreign(disk, "volume-format").map(str::to_ascii_lowercase).as_deref() {
        Some("raw") => return Some(Format::Raw),
        Some("cow" | "qcow2") => return Some(Format::Qcow2),
        _ => {}
    }
    let uri = attribute(disk, "format").unwrap_or_default().to_ascii_lowercase();
    let words = [
        ("vmdk", Format::Vmdk),
        ("qcow", Format::Qcow2),
        ("vhdx", Format::Vhdx),
        ("vhd", Format::Vhd),
        ("linkid=137171", Format::Vhd),
        ("bb676673", Format::Vhd),
        ("vdi", Format::Vdi),
        ("raw", Format::Raw),
    ];
    words.into_iter().find(|(word, _)| uri.contains(word)).map(|(_, format)| format)
}
