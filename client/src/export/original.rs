//! The original descriptor of a release, used in a package if it still describes the release.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seawall_api::names::MachineName;
use seawall_api::release::{Descriptor, Disk, Machine, Release};
use seawall_api::units::DiskLen;
use seawall_store::image::Format;
use seawall_store::image::layout::ExportFormat;

use super::ExportError;
use crate::ovf::describe::describe;
use crate::ovf::{Envelope, MEDIA_TYPE, Unmapped, parse, tar};
use crate::resolve::Resolved;
use crate::spec::{DiskContent, Packed};

/// A disk's file in a package.
#[derive(Clone)]
pub(super) struct File {
    pub(super) machine: MachineName,
    pub(super) disk: Disk,
    pub(super) href: String,
    pub(super) format: ExportFormat,
    /// The file's length in bytes in the descriptor.
    pub(super) said_len: Option<u64>,
}

/// The original descriptor of the machines.
pub(super) enum Original {
    /// The machines share no OVF descriptor.
    None,
    /// The descriptor describes a package of these files.
    Usable { bytes: Bytes, files: Vec<File> },
    /// The original descriptor, to be stored beside a new one.
    Beside(Bytes),
}

/// Finds the original descriptor of `machines`. Adds to `unmapped` if the package needs a new one.
pub(super) async fn find(
    resolved: &Resolved,
    machines: &[&Machine],
    unmapped: &mut Vec<Unmapped>,
) -> Result<Original, ExportError> {
    let Some(descriptor) = machines.first().and_then(|machine| machine.descriptor.as_ref()) else {
        return Ok(Original::None);
    };
    let is_shared = machines.iter().all(|it| it.descriptor.as_ref() == Some(descriptor));
    if !is_shared || descriptor.media_type != MEDIA_TYPE {
        return Ok(Original::None);
    }
    let bytes = resolved.registry().descriptor(descriptor.digest).await?;
    let release = resolved.release();
    let outcome = if machines.len() == release.machines().len() {
        usable(&bytes, descriptor, release)
    } else {
        Err("it describes other machines, too".to_owned())
    };
    match outcome {
        Ok(files) => Ok(Original::Usable { bytes, files }),
        Err(why) => {
            let what = "the original descriptor";
            let why = format!("it is kept beside as `.ovf.original`: {why}");
            unmapped.push(Unmapped::new("package", what, why));
            Ok(Original::Beside(bytes))
        }
    }
}

/// Returns the files of the package that a descriptor describes.
///
/// Fails with the reason if the descriptor differs from the release, or if its package cannot be
/// written.
fn usable(bytes: &[u8], descriptor: &Descriptor, release: &Release) -> Result<Vec<File>, String> {
    let envelope = parse(bytes, Path::new("original.ovf")).map_err(|error| error.to_string())?;
    let formats = formats(&envelope)?;
    let place = |file: usize| {
        let href = envelope.files.get(file).map_or("", |file| &*file.href);
        Ok((PathBuf::from(href), Packed::default()))
    };
    let (spec, _) = describe(&envelope, descriptor, &place).map_err(|error| error.to_string())?;
    let disks: HashMap<_, _> =
        release.disks().map(|(machine, disk)| ((&machine.name, &disk.name), disk)).collect();
    let mut files: Vec<File> = Vec::new();
    let described = spec.clone().into_document(
        release.application().clone(),
        release.version().clone(),
        |machine, spec| {
            let disk = disks.get(&(machine, &spec.name)).ok_or("it has other disks")?;
            let href = spec.path.to_string_lossy().into_owned();
            if let Some(format) = formats.get(&*href) {
                match files.iter().find(|file| file.href == href) {
                    Some(file) if file.disk.content != disk.content => {
                        return Err("two disks that share a file are not the same".to_owned());
                    }
                    Some(_) => {}
                    None => files.push(File {
                        machine: machine.clone(),
                        disk: (*disk).clone(),
                        href,
                        format: *format,
                        said_len: envelope
                            .files
                            .iter()
                            .find(|file| file.href == spec.path.to_string_lossy())
                            .and_then(|file| file.len),
                    }),
                }
            }
            let len = DiskLen::new(disk.len).map_err(|error| error.to_string())?;
            Ok::<_, String>(DiskContent { len, content: disk.content, index: disk.index })
        },
    )?;
    if described != *release.document() {
        return Err("the release says something else".to_owned());
    }
    // In the order of `References`.
    let position = |href: &str| envelope.files.iter().position(|file| file.href == href);
    files.sort_by_key(|file| position(&file.href));
    Ok(files)
}

/// Returns the format of each file in the descriptor. Fails if a file is not a disk.
fn formats(envelope: &Envelope) -> Result<HashMap<&str, ExportFormat>, String> {
    let mut formats = HashMap::new();
    let used: BTreeSet<_> =
        envelope.systems.iter().flat_map(|system| &system.disks).map(|it| it.disk).collect();
    for disk in used.into_iter().filter_map(|disk| envelope.disks.get(disk)) {
        let Some(file) = disk.file.and_then(|file| envelope.files.get(file)) else { continue };
        if file.compression.is_some() || file.chunk_len.is_some() {
            return Err(format!("`{}` is compressed or in chunks there", file.href));
        }
        if file.href.len() > tar::NAME_LEN_MAX || !tar::is_plain(&file.href) {
            return Err(format!("the name `{}` is too long, or has a path", file.href));
        }
        let format = match disk.stated {
            Some(Format::Vmdk) => ExportFormat::VmdkStream,
            Some(Format::Raw) => ExportFormat::Raw,
            _ => return Err(format!("`{}` is of format `{}` there", file.href, disk.format)),
        };
        formats.insert(&*file.href, format);
    }
    match envelope.files.iter().find(|file| !formats.contains_key(&*file.href)) {
        Some(other) => Err(format!("`{}` is not a disk, and was not pushed", other.href)),
        None => Ok(formats),
    }
}
