//! Host descriptors: the files with which a hypervisor runs a release's machines on pulled disks.
//!
//! This module does no I/O. It turns a release, its disk files and their directory into texts and a
//! fidelity report, the list of every [`Loss`]. The same input gives the same bytes.
//!
//! # Invariants
//!
//! 1. Every text from a release or a path goes through [`quote`] or [`xml`], so no such text can
//!    end the string literal around it. Comments contain only names. XML comments contain nothing
//!    of the release.
//! 2. The fidelity report names everything that a target cannot express.
//! 3. A machine's UUID and addresses are derived from its application and name ([`identity`]), not
//!    from the version: to its host, a patched machine is the same machine.

mod guest;
mod identity;
mod quote;
mod targets;
mod xml;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::{Disk, Machine, Release};
use seawall_store::image::layout::ExportFormat;
use serde::{Deserialize, Serialize};

use guest::{Guest, guests};
use targets::{hyperv, libvirt, proxmox, qemu, xen};

use crate::disk::sectors;

/// A kind of host for which machines can be described.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptorTarget {
    /// libvirt: domain and network XML.
    Libvirt,
    /// Xen: files for `xl`.
    Xen,
    /// Hyper-V: a PowerShell script.
    Hyperv,
    /// QEMU: runnable scripts.
    Qemu,
    /// Proxmox VE: a script of `qm` commands.
    Proxmox,
}

impl DescriptorTarget {
    /// Every target.
    pub const ALL: [Self; 5] = [Self::Libvirt, Self::Xen, Self::Hyperv, Self::Qemu, Self::Proxmox];

    /// Returns the target's name, which is also the name of its folder.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt",
            Self::Xen => "xen",
            Self::Hyperv => "hyperv",
            Self::Qemu => "qemu",
            Self::Proxmox => "proxmox",
        }
    }

    /// Returns the target's disk formats, in order of preference.
    fn formats(self) -> &'static [&'static str] {
        match self {
            Self::Libvirt => &["qcow2", "raw", "vmdk", "vhd", "vdi"],
            Self::Qemu => &["qcow2", "raw", "vmdk", "vhd", "vhdx", "vdi"],
            Self::Xen => &["raw", "qcow2", "vhd"],
            Self::Hyperv => &["vhdx", "vhd"],
            Self::Proxmox => &["qcow2", "raw", "vmdk"],
        }
    }

    /// Returns the format to pull disks in if none is given.
    #[must_use]
    pub fn default_format(self) -> ExportFormat {
        self.formats().iter().find_map(|name| name.parse().ok()).unwrap_or(ExportFormat::Raw)
    }
}

impl fmt::Display for DescriptorTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of an unknown target name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown target {0:?}; known are libvirt, xen, hyperv, qemu and proxmox")]
pub struct UnknownTarget(String);

impl FromStr for DescriptorTarget {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, UnknownTarget> {
        let known = Self::ALL.into_iter().find(|target| target.as_str() == text);
        known.ok_or_else(|| UnknownTarget(text.to_owned()))
    }
}

/// A disk's file in the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFile {
    /// The disk's machine.
    pub machine: MachineName,
    /// The disk's name.
    pub disk: DiskName,
    /// The file's path, relative to the directory.
    pub file: PathBuf,
    /// The file's format, in the notation of [`seawall_store::image::Format`].
    pub format: String,
}

/// The input of a description: the machines of a release that have disks in a directory.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The release.
    pub release: &'a Release,
    /// The directory's absolute path. Some targets accept no relative paths.
    pub place: &'a Path,
    /// The disks in the directory.
    pub files: &'a [DiskFile],
}

/// A property that a target cannot express, and its substitute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Loss {
    /// The machine. `None` if the property belongs to the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineName>,
    /// The property in the release.
    pub what: String,
    /// The substitute in the descriptors.
    pub instead: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(machine) = &self.machine {
            write!(f, "{machine}: ")?;
        }
        write!(f, "{}: {}", self.what, self.instead)
    }
}

/// A file of a description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedFile {
    /// The file's path, relative to the directory.
    pub path: PathBuf,
    /// The file's contents.
    pub contents: String,
    /// True if the file is a script to be run.
    pub is_executable: bool,
}

/// The descriptors for one target, and their losses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// The target.
    pub target: DescriptorTarget,
    /// The folder of the descriptors, relative to the directory.
    pub folder: PathBuf,
    /// The files. Their paths are unique.
    pub files: Vec<DescribedFile>,
    /// The properties that the target cannot express.
    pub losses: Vec<Loss>,
}

/// The reason a release cannot be described.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Indescribable {
    /// A path that descriptors cannot contain.
    #[error("{target} descriptors cannot name a path that is not UTF-8 or has control characters")]
    Place {
        /// The target.
        target: DescriptorTarget,
    },
}

/// The name of the fidelity report in a target's folder.
const FIDELITY_FILE: &str = "fidelity.txt";
/// The folder of guests' overlays in a target's folder, with a subfolder for each release.
pub(crate) const STATE_FOLDER: &str = "state";
/// The shell function with which scripts create overlays.
const OVERLAY: &str = include_str!("overlay.sh");

/// Returns the name of a release's folder in [`STATE_FOLDER`].
///
/// The name is derived from the digest, because an overlay on another release's disks would be
/// corrupt.
pub(crate) fn state_name(release: ReleaseDigest) -> String {
    release.to_hex().chars().take(16).collect()
}

/// The files that a machine writes to: overlays, or the pulled disks themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writes {
    Overlay,
    Disk,
}

impl Writes {
    /// Returns the folder of the descriptors, relative to the target's folder.
    fn folder(self) -> &'static str {
        match self {
            Self::Overlay => "",
            Self::Disk => "direct/",
        }
    }
}

/// Describes the machines for a target.
///
/// # Errors
/// Fails if the descriptors cannot contain the directory's path.
pub fn describe(
    subject: &Subject<'_>,
    target: DescriptorTarget,
) -> Result<Description, Indescribable> {
    let guests = guests(subject);
    let mut draft = Draft { folder: folder(subject.release, target), ..Draft::default() };
    draft.report_unsupported(subject.release);
    draft.report_lost_sectors(subject);
    let place = || plain_path(subject.place).ok_or(Indescribable::Place { target });
    match target {
        DescriptorTarget::Libvirt => libvirt::describe(&mut draft, subject, &guests, place()?),
        DescriptorTarget::Xen => xen::describe(&mut draft, subject, &guests, place()?),
        DescriptorTarget::Hyperv => hyperv::describe(&mut draft, subject, &guests),
        DescriptorTarget::Qemu => qemu::describe(&mut draft, subject, &guests),
        DescriptorTarget::Proxmox => proxmox::describe(&mut draft, subject, &guests),
    }
    draft.file(FIDELITY_FILE, fidelity(subject.release, target, &draft.losses));
    let Draft { folder, files, losses } = draft;
    Ok(Description { target, folder, files, losses })
}

/// Returns the folder of a target's files. Avoids machines' folders: no machine's name ends in `_`.
fn folder(release: &Release, target: DescriptorTarget) -> PathBuf {
    let is_taken =
        release.machines().iter().any(|machine| machine.name.as_str() == target.as_str());
    PathBuf::from(if is_taken { format!("{target}_") } else { target.to_string() })
}

/// Returns the path if a descriptor can contain it: absolute, UTF-8, no control characters.
fn plain_path(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| path.is_absolute() && !text.chars().any(char::is_control))
}

fn fidelity(release: &Release, target: DescriptorTarget, losses: &[Loss]) -> String {
    let (application, version) = (release.application(), release.version());
    let mut text = format!("{application} {version} for {target}: ");
    if losses.is_empty() {
        text.push_str("these files express the whole release.\n");
        return text;
    }
    text.push_str("settings of the release that these files cannot express.\n\n");
    for loss in losses {
        text.push_str(&format!("{loss}\n"));
    }
    text
}

/// A description being written.
#[derive(Default)]
struct Draft {
    folder: PathBuf,
    files: Vec<DescribedFile>,
    losses: Vec<Loss>,
}

impl Draft {
    fn add(&mut self, name: &str, contents: String, is_executable: bool) {
        let path = self.folder.join(name);
        self.files.push(DescribedFile { path, contents, is_executable });
    }

    fn file(&mut self, name: &str, contents: String) {
        self.add(name, contents, false);
    }

    fn script(&mut self, name: &str, contents: String) {
        self.add(name, contents, true);
    }

    fn lose(&mut self, guest: &Guest<'_>, what: impl Into<String>, instead: impl Into<String>) {
        let machine = Some(guest.machine.name.clone());
        self.losses.push(Loss { machine, what: what.into(), instead: instead.into() });
    }

    /// Reports disks with sectors of other lengths than 512 bytes.
    fn report_lost_sectors(&mut self, subject: &Subject<'_>) {
        let is_here = |machine: &Machine, disk: &Disk| {
            subject.files.iter().any(|it| it.machine == machine.name && it.disk == disk.name)
        };
        for (machine, disk) in subject.release.disks().filter(|(m, disk)| is_here(m, disk)) {
            let Some(len) = sectors::len_of(machine, &disk.name) else { continue };
            self.losses.push(Loss {
                machine: Some(machine.name.clone()),
                what: format!("sectors of {len} bytes of disk {}", disk.name),
                instead: format!("sectors of 512 bytes; {}", sectors::advice(len)),
            });
        }
    }

    fn report_unsupported(&mut self, release: &Release) {
        let parameters = &release.document().parameters;
        let annotations = release.document().annotations.len();
        if annotations > 0 {
            let what = format!("annotations of the release ({annotations})");
            let instead = "in release.json only".to_owned();
            self.losses.push(Loss { machine: None, what, instead });
        }
        // A parameter's name is free text. Reports contain it only if it is a plain word.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for (name, parameter) in parameters {
            let name = if name.chars().all(is_plain) { name } else { "of an odd name" };
            let required = if parameter.required { ", required" } else { "" };
            self.losses.push(Loss {
                machine: None,
                what: format!("parameter {name}{required}"),
                instead:
                    "not passed to the machines; set it in the guests: `seawall show` lists it"
                        .to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
