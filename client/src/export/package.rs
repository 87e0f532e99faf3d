//! Exports machines as OVF packages: an archive, or a descriptor with files beside it.

use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Machine, Release};
use seawall_api::units::HumanBytes;
use seawall_store::image::convert::{self, ConvertError};
use seawall_store::image::layout::{ExportFormat, Round};
use seawall_store::new_file::{NewFile, Overwrite};
use seawall_store::read::StoredDisk;
use serde::Serialize;

use super::ExportError;
use super::disk::{Writer, explained};
use super::hashing::Hashing;
use super::original::{self, Original};
use crate::disk::sectors;
use crate::host::{HostError, HostState};
use crate::ovf::manifest::{self, Algorithm, Hasher};
use crate::ovf::write::PackageContents;
use crate::ovf::{Unmapped, tar};
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::remote::RemoteRelease;
use crate::resolve::{self, Resolved};

/// The size of the buffer before hashing and writing, in bytes.
const STEP: usize = 1 << 20;

/// The form of a package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackageKind {
    /// One tar archive.
    Ova,
    /// A descriptor, a manifest and the disks, side by side.
    Ovf,
}

/// An export of packages to run.
pub struct WritePackage {
    /// The registry to export from.
    pub registry: Arc<dyn Reading>,
    /// The application.
    pub application: ApplicationName,
    /// The selector of one of the application's releases.
    pub selector: Selector,
    /// The machines, each to be written to its own package. Empty for one package of all machines.
    pub machines: Vec<MachineName>,
    /// The form of the packages.
    pub kind: PackageKind,
    /// The directory of the packages, created if missing.
    pub into: PathBuf,
    /// This host's state directory.
    pub state: HostState,
    /// The receiver of progress reports.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that decode, hash and compress.
    pub threads: usize,
}

/// A written package.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageFile {
    /// The archive, or the descriptor.
    pub file: PathBuf,
    /// The total length of the package's files, in bytes.
    pub len: u64,
    /// True if the descriptor is the original, byte for byte.
    pub is_original: bool,
    /// The parts of the release that the package lacks or contains changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
}

/// The result of an export of packages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PackageReport {
    /// The release, as `application:version`.
    pub release: String,
    /// The packages.
    pub packages: Vec<PackageFile>,
}

impl fmt::Display for PackageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is packaged", self.release)?;
        for package in &self.packages {
            let (file, len) = (package.file.display(), HumanBytes(package.len));
            let which = if package.is_original { "the original descriptor" } else { "a new one" };
            write!(f, "\n  {file}  {len}, with {which}")?;
            for Unmapped { section, machine, what, why } in &package.unmapped {
                let of = machine.as_ref().map_or(String::new(), |machine| format!(" of {machine}"));
                write!(f, "\n  not mapped: {section}{of}: {what}: {why}")?;
            }
        }
        Ok(())
    }
}

/// Writes packages of a release's machines.
///
/// # Errors
/// Fails if there is no such release or machine, if the registry fails or returns wrong data, or if
/// a file cannot be written. Every package is complete or absent.
pub async fn write_package(order: WritePackage) -> Result<PackageReport, ExportError> {
    resolve::held(&order.registry, &order.application, &order.selector, async |resolved| {
        write_resolved(&order, resolved).await
    })
    .await
}

async fn write_resolved(
    order: &WritePackage,
    resolved: &Resolved,
) -> Result<PackageReport, ExportError> {
    let remote = RemoteRelease::open(resolved, &order.state, order.threads)?;
    let release = resolved.release();
    let title = format!("{}:{}", release.application(), release.version());
    let groups = groups(release, &order.machines, &title)?;
    order.progress.begin(Stage::Fetch, None);
    let mut packages = Vec::with_capacity(groups.len());
    for (name, machines) in groups {
        packages.push(one(order, &remote, &name, machines).await?);
    }
    order.progress.finish();
    Ok(PackageReport { release: title, packages })
}

/// Returns the names and machines of the packages to write.
fn groups<'a>(
    release: &'a Release,
    wanted: &[MachineName],
    title: &str,
) -> Result<Vec<(String, Vec<&'a Machine>)>, ExportError> {
    if wanted.is_empty() {
        let name = release.application().as_str();
        let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
        return Ok(vec![(last.to_owned(), release.machines().iter().collect())]);
    }
    let group = |name: &MachineName| match release.machine(name) {
        Some(machine) => Ok((name.to_string(), vec![machine])),
        None => {
            let known: Vec<_> = release.machines().iter().map(|m| m.name.as_str()).collect();
            Err(ExportError::NoSuch {
                release: title.to_owned(),
                what: format!("machine `{name}`"),
                known: known.join(", "),
            })
        }
    };
    wanted.iter().map(group).collect()
}

/// A disk of a package, and the disk's future file.
struct PackedDisk {
    image: StoredDisk,
    writer: Writer,
    href: String,
}

/// Reports a machine's disks with sectors of other lengths than 512 bytes.
fn odd_sectors(machine: &Machine) -> impl Iterator<Item = Unmapped> {
    machine.disks.iter().filter_map(|disk| {
        let len = sectors::len_of(machine, &disk.name)?;
        let what = format!("sectors of {len} bytes of disk `{}`", disk.name);
        let why = format!("OVF cannot express their length: {}", sectors::advice(len));
        Some(Unmapped::new("DiskSection", what, why).of(machine.name.as_str()))
    })
}

async fn one(
    order: &WritePackage,
    remote: &RemoteRelease<'_>,
    name: &str,
    machines: Vec<&Machine>,
) -> Result<PackageFile, ExportError> {
    let release = remote.resolved().release();
    let mut unmapped = Vec::new();
    let original = original::find(remote.resolved(), &machines, &mut unmapped).await?;
    unmapped.extend(machines.iter().flat_map(|machine| odd_sectors(machine)));
    let contents = PackageContents::new(name, release, machines);
    let files: Vec<_> = match &original {
        Original::Usable { files, .. } => files.clone(),
        _ => {
            let disks = contents.disks().zip(&contents.hrefs);
            disks
                .map(|((m, disk), href)| original::File {
                    machine: m.name.clone(),
                    disk: disk.clone(),
                    href: href.clone(),
                    format: ExportFormat::VmdkStream,
                    said_len: None,
                })
                .collect()
        }
    };
    let mut disks = Vec::with_capacity(files.len());
    let mut said_lens = Vec::with_capacity(files.len());
    for original::File { machine, disk, href, format, said_len } in files {
        said_lens.push(said_len);
        let image = remote.disk(&machine, &disk.name).await?;
        let Disk { content, .. } = disk;
        let (threads, progress) = (order.threads, Arc::clone(&order.progress));
        let writer = Writer { content, format, round: Round::Exact, threads, progress };
        disks.push(PackedDisk { image, writer, href });
    }
    let placeholder = vec![u64::MAX; disks.len()];
    let (text, is_original, extra) = match original {
        Original::Usable { bytes, .. } => (bytes, true, None),
        Original::Beside(bytes) => {
            unmapped.extend(contents.unmapped());
            (contents.descriptor(&placeholder).into(), false, Some(bytes))
        }
        Original::None => {
            unmapped.extend(contents.unmapped());
            (contents.descriptor(&placeholder).into(), false, None)
        }
    };
    let draft = Draft { name: name.to_owned(), text, extra, disks };
    let finished = |lens: &[u64]| contents.descriptor(lens);
    // The contents borrow the release, so they stay out of the task, which determines the lengths.
    let (kind, into) = (order.kind, order.into.clone());
    let path = into.join(match kind {
        PackageKind::Ova => format!("{name}.ova"),
        PackageKind::Ovf => format!("{name}.ovf"),
    });
    let task = tokio::task::spawn_blocking(move || match kind {
        PackageKind::Ova => Archive::begin(&into, draft),
        PackageKind::Ovf => Archive::begin_folder(&into, draft),
    });
    let written = task.await.map_err(|_| ExportError::Defect)??;
    for (said, (len, (href, _))) in said_lens.iter().zip(written.lens.iter().zip(&written.files)) {
        if let Some(said) = said.filter(|said| said != len) {
            let what = format!("size {said} of `{href}`");
            let why = format!("it has {len} bytes now, as compressors differ");
            unmapped.push(Unmapped::new("References", what, why));
        }
    }
    let text = if is_original { None } else { Some(finished(&written.lens)) };
    let len = tokio::task::spawn_blocking(move || written.finish(text))
        .await
        .map_err(|_| ExportError::Defect)??;
    Ok(PackageFile { file: path, len, is_original, unmapped })
}

/// The contents of a package to write.
struct Draft {
    name: String,
    /// The descriptor at its maximum length.
    text: Bytes,
    /// The original descriptor, unless the package uses it as its own.
    extra: Option<Bytes>,
    disks: Vec<PackedDisk>,
}

/// The unfinished files of a package.
enum Place {
    /// One file, with space at its start for the descriptor and the manifest.
    Archive(NewFile),
    /// The disks and the text files, to be committed together.
    Folder { disks: Vec<NewFile>, plain: Vec<NewFile> },
}

/// A package with all disks written.
struct Archive {
    place: Place,
    name: String,
    text: Bytes,
    extra: Option<Bytes>,
    /// The name and digest of each disk's file.
    files: Vec<(String, String)>,
    lens: Vec<u64>,
    /// The end of an archive's disks, as an offset in bytes.
    end: u64,
}

impl Archive {
    fn begin(into: &Path, draft: Draft) -> Result<Self, ExportError> {
        let Draft { name, text, extra, disks } = draft;
        make_folder(into)?;
        let file = NewFile::create(&into.join(format!("{name}.ova")), Overwrite::Refuse)?;
        let hrefs: Vec<_> = disks.iter().map(|disk| disk.href.clone()).collect();
        let manifest_len = manifest_text(&name, &hrefs, extra.is_some()).len() as u64;
        let mut at = padded(text.len() as u64) + padded(manifest_len) + 2 * tar::BLOCK;
        let (mut files, mut lens) = (Vec::new(), Vec::new());
        for disk in disks {
            let (len, digest) = disk.write(file.file(), at + tar::BLOCK)?;
            let header = tar::header(&disk.href, len).map_err(ExportError::Name)?;
            file.file().write_all_at(&header, at).map_err(ConvertError::Write)?;
            at += tar::BLOCK + padded(len);
            files.push((disk.href, digest));
            lens.push(len);
        }
        let place = Place::Archive(file);
        Ok(Self { place, name, text, extra, files, lens, end: at })
    }

    fn begin_folder(into: &Path, draft: Draft) -> Result<Self, ExportError> {
        let Draft { name, text, extra, disks } = draft;
        make_folder(into)?;
        let (mut files, mut lens) = (Vec::new(), Vec::new());
        // All files first, so that an existing name fails before any disk is fetched.
        let create = |name: &str| -> Result<NewFile, ExportError> {
            let path = into.join(name);
            make_folder(path.parent().unwrap_or(into))?;
            Ok(NewFile::create(&path, Overwrite::Refuse)?)
        };
        let names = plain_names(&name, extra.is_some());
        let plain = names.iter().map(|name| create(name)).collect::<Result<Vec<_>, _>>()?;
        let new = disks.iter().map(|disk| create(&disk.href)).collect::<Result<Vec<_>, _>>()?;
        for (disk, file) in disks.into_iter().zip(&new) {
            let (len, digest) = disk.write(file.file(), 0)?;
            files.push((disk.href, digest));
            lens.push(len);
        }
        let place = Place::Folder { disks: new, plain };
        Ok(Self { place, name, text, extra, files, lens, end: 0 })
    }

    /// Writes the descriptor and the manifest, and commits the package. `text` replaces the draft
    /// of the descriptor.
    fn finish(self, text: Option<String>) -> Result<u64, ExportError> {
        let Self { place, name, text: draft, extra, mut files, lens, end } = self;
        let is_archive = matches!(place, Place::Archive(_));
        let text = match text {
            None => draft,
            Some(text) => {
                let mut text = text.into_bytes();
                if is_archive {
                    // Fills the space of the draft: XML allows white space after the last element.
                    text.resize(draft.len(), b'\n');
                }
                text.into()
            }
        };
        let digest = |bytes: &[u8]| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(bytes);
            hasher.finish()
        };
        let names = plain_names(&name, extra.is_some());
        files.insert(0, (format!("{name}.ovf"), digest(&text)));
        if let Some(extra) = &extra {
            files.push((original_name(&name), digest(extra)));
        }
        let lines = files.iter().map(|(file, digest)| (file.as_str(), digest.as_str()));
        let manifest = manifest::write(lines);
        let texts = [Some(text), Some(Bytes::from(manifest)), extra].into_iter().flatten();
        let plain: Vec<_> = names.into_iter().zip(texts).collect();
        match place {
            Place::Archive(file) => {
                let mut at = 0;
                for (position, (name, bytes)) in plain.iter().enumerate() {
                    if position == 2 {
                        at = end;
                    }
                    let len = bytes.len() as u64;
                    let header = tar::header(name, len).map_err(ExportError::Name)?;
                    let written = file.file().write_all_at(&header, at);
                    let after = at + tar::BLOCK;
                    written
                        .and_then(|()| file.file().write_all_at(bytes, after))
                        .map_err(ConvertError::Write)?;
                    at = after + padded(len);
                }
                // Two empty blocks end an archive.
                let len = at.max(end) + 2 * tar::BLOCK;
                file.file().set_len(len).map_err(ConvertError::Write)?;
                file.commit()?;
                Ok(len)
            }
            Place::Folder { disks, plain: new } => {
                let mut len = lens.iter().sum();
                for (file, (_, bytes)) in new.iter().zip(&plain) {
                    file.file().write_all_at(bytes, 0).map_err(ConvertError::Write)?;
                    len += bytes.len() as u64;
                }
                // The descriptor last, so that its files exist.
                let all: Vec<_> = disks.into_iter().chain(new.into_iter().rev()).collect();
                NewFile::commit_all(&all)?;
                Ok(len)
            }
        }
    }
}

/// Returns the names of the text files of a package: descriptor, manifest, original descriptor.
fn plain_names(name: &str, has_extra: bool) -> Vec<String> {
    let mut names = vec![format!("{name}.ovf"), format!("{name}.mf")];
    names.extend(has_extra.then(|| original_name(name)));
    names
}

fn original_name(name: &str) -> String {
    format!("{name}.ovf.original")
}

/// Returns a manifest of the final length, with placeholders as digests.
fn manifest_text(name: &str, hrefs: &[String], has_extra: bool) -> String {
    let digest = "0".repeat(64);
    let mut names = vec![format!("{name}.ovf")];
    names.extend_from_slice(hrefs);
    names.extend(has_extra.then(|| original_name(name)));
    manifest::write(names.iter().map(|name| (name.as_str(), digest.as_str())))
}

fn padded(len: u64) -> u64 {
    len + tar::padding(len)
}

fn make_folder(folder: &Path) -> Result<(), HostError> {
    std::fs::create_dir_all(folder).map_err(|error| HostError::new("create", folder, error))
}

impl PackedDisk {
    /// Writes the disk's file into `file` from offset `at`. Returns its length in bytes and
    /// SHA-256.
    fn write(&self, file: &File, at: u64) -> Result<(u64, String), ExportError> {
        let hashing = Hashing { file, at, start: at, hasher: Hasher::new(Algorithm::Sha256) };
        let mut out = BufWriter::with_capacity(STEP, hashing);
        let outcome = self.writer.convert(&self.image, convert::Output::Pipe(&mut out));
        outcome.map_err(|error| explained(&self.image, error.into()))?;
        let hashing = out.into_inner().map_err(|e| ConvertError::Write(e.into_error()))?;
        Ok((hashing.at - hashing.start, hashing.hasher.finish()))
    }
}
