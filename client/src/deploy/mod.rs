//! Host descriptors: what a hypervisor needs beside the disks to run a release's machines.
//!
//! Pure: a release, the files of its disks and the place they lie in become texts, and a list of
//! what the target could not be told ([`Loss`]). The same input gives the same bytes.
//!
//! # Invariants
//!
//! 1. Every text from a release or a path goes through [`quote`] or [`xml`]; none can end the
//!    string it stands in. Comments hold names alone, and those of XML nothing of the release.
//! 2. What a target cannot express is in the fidelity report, never left out without a word.
//! 3. A machine's UUID and addresses follow from its application and name ([`identity`]), not
//!    from the version: a patched machine stays the same machine to its host.

mod guest;
mod hyperv;
mod identity;
mod libvirt;
mod proxmox;
mod qemu;
mod quote;
mod xen;
mod xml;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::Release;
use seawall_store::image::layout::ExportFormat;
use serde::{Deserialize, Serialize};

use guest::{Guest, guests};

/// A kind of host that machines can be described for.
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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Libvirt, Self::Xen, Self::Hyperv, Self::Qemu, Self::Proxmox];

    /// Its name, which is also that of its folder.
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

    /// The disk formats it takes, the best first.
    fn formats(self) -> &'static [&'static str] {
        match self {
            Self::Libvirt => &["qcow2", "raw", "vmdk", "vhd", "vdi"],
            Self::Qemu => &["qcow2", "raw", "vmdk", "vhd", "vhdx", "vdi"],
            Self::Xen => &["raw", "qcow2", "vhd"],
            Self::Hyperv => &["vhdx", "vhd"],
            Self::Proxmox => &["qcow2", "raw", "vmdk"],
        }
    }

    /// The format to pull disks in where none is named.
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

/// A name that stands for no target.
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

/// The file of a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFile {
    /// Its machine.
    pub machine: MachineName,
    /// Its name.
    pub disk: DiskName,
    /// Its path from the directory.
    pub file: PathBuf,
    /// Its format, as [`seawall_store::image::Format`] is written.
    pub format: String,
}

/// What is to be described: the machines of a release that have disks in a directory.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The release.
    pub release: &'a Release,
    /// The directory, absolute; some targets know no relative paths.
    pub place: &'a Path,
    /// The disks that are there.
    pub files: &'a [DiskFile],
}

/// What a target cannot be told, and what was done instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Loss {
    /// The machine; none where it is the release's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineName>,
    /// What the release says.
    pub what: String,
    /// What the descriptors say instead.
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
    /// Its path from the directory.
    pub path: PathBuf,
    /// Its bytes.
    pub contents: String,
    /// Whether it is to be run.
    pub is_executable: bool,
}

/// Descriptors and what is lost in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// What they are for.
    pub target: DescriptorTarget,
    /// Their folder, from the directory.
    pub folder: PathBuf,
    /// The files, no two with one path.
    pub files: Vec<DescribedFile>,
    /// What the target cannot express.
    pub losses: Vec<Loss>,
}

/// Why a release cannot be described.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Indescribable {
    /// A path that a descriptor cannot hold.
    #[error("{target} descriptors cannot name a path that is not UTF-8 or has control characters")]
    Place {
        /// The target.
        target: DescriptorTarget,
    },
}

/// The fidelity report's file in a target's folder.
const FIDELITY_FILE: &str = "fidelity.txt";
/// The folder in a target's folder that holds what guests wrote, a folder for each release.
pub(crate) const STATE_FOLDER: &str = "state";
/// How a script makes an overlay, for the targets whose scripts are a shell's.
const OVERLAY: &str = include_str!("overlay.sh");

/// Returns the name of a release's folder in [`STATE_FOLDER`].
///
/// By digest: an overlay on the disks of another release would be damage.
pub(crate) fn state_name(release: ReleaseDigest) -> String {
    release.to_hex().chars().take(16).collect()
}

/// Whether a machine writes to its pulled disks or to overlays of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writes {
    Overlay,
    Disk,
}

impl Writes {
    /// Returns the folder of the descriptors for it, in the target's folder.
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
/// When the directory's path cannot be written in its descriptors.
pub fn describe(
    subject: &Subject<'_>,
    target: DescriptorTarget,
) -> Result<Description, Indescribable> {
    let guests = guests(subject);
    let mut draft = Draft { folder: folder(subject.release, target), ..Draft::default() };
    draft.lose_what_no_target_has(subject.release);
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

/// The folder of a target's files; no machine's folder, which a name with `_` at its end cannot be.
fn folder(release: &Release, target: DescriptorTarget) -> PathBuf {
    let is_taken =
        release.machines().iter().any(|machine| machine.name.as_str() == target.as_str());
    PathBuf::from(if is_taken { format!("{target}_") } else { target.to_string() })
}

/// A path as a descriptor can hold it.
fn plain_path(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| path.is_absolute() && !text.chars().any(char::is_control))
}

fn fidelity(release: &Release, target: DescriptorTarget, losses: &[Loss]) -> String {
    let (application, version) = (release.application(), release.version());
    let mut text = format!("{application} {version} for {target}: ");
    if losses.is_empty() {
        text.push_str("everything the release says is said.\n");
        return text;
    }
    text.push_str("what the release says and these files cannot.\n\n");
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

    fn lose_what_no_target_has(&mut self, release: &Release) {
        let parameters = &release.document().parameters;
        let annotations = release.document().annotations.len();
        if annotations > 0 {
            let what = format!("annotations of the release ({annotations})");
            let instead = "in release.json only".to_owned();
            self.losses.push(Loss { machine: None, what, instead });
        }
        // A name is free text, which reports of hosts repeat only where it is a plain word.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for (name, parameter) in parameters {
            let name = if name.chars().all(is_plain) { name } else { "of an odd name" };
            let required = if parameter.required { ", required" } else { "" };
            self.losses.push(Loss {
                machine: None,
                what: format!("parameter {name}{required}"),
                instead: "not handed to the machines; set it in the guests, as `seawall show` says"
                    .to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
