//! The host descriptors in a directory.

use std::io;
use std::path::{Path, PathBuf};

use seawall_api::release::Release;
use seawall_api::units::Counted;
use serde::Serialize;

use super::lock::read_release;
use super::{Directory, Lockfile};
use crate::deploy::{self, Description, DescriptorTarget, DiskFile, Loss, Subject};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

/// Descriptors in a directory, in the form that reports show.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Described {
    /// The host that the descriptors are for.
    pub target: DescriptorTarget,
    /// The descriptors' folder.
    pub folder: PathBuf,
    /// The descriptors' files. In a plan, the files to be written.
    pub files: Vec<PathBuf>,
    /// The properties that the host cannot express.
    pub losses: Vec<Loss>,
}

impl Described {
    /// Converts the descriptions of a directory at `place`.
    pub(crate) fn of(place: &Path, descriptions: Vec<Description>) -> Vec<Self> {
        let of = |description: Description| Self {
            target: description.target,
            folder: place.join(&description.folder),
            files: description.files.iter().map(|file| place.join(&file.path)).collect(),
            losses: description.losses,
        };
        descriptions.into_iter().map(of).collect()
    }
}

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (target, folder) = (self.target, self.folder.display());
        write!(f, "{target}: {} in {folder}", Counted(self.files.len() as u64, "file"))?;
        if !self.losses.is_empty() {
            write!(f, "; settings that they cannot express:")?;
        }
        self.losses.iter().try_for_each(|loss| write!(f, "\n    {loss}"))
    }
}

/// Describes the machines of a directory at `place` for every host in its lockfile.
///
/// # Errors
/// Fails if descriptors cannot contain the path.
pub(crate) fn describe(
    place: &Path,
    release: &Release,
    lock: &Lockfile,
) -> Result<Vec<Description>, HostError> {
    let file = |disk: &super::LockedDisk| DiskFile {
        machine: disk.machine.clone(),
        disk: disk.disk.clone(),
        file: disk.file.clone().into(),
        format: disk.container().map_or_else(String::new, |format| format.to_string()),
    };
    let files: Vec<_> = lock.disks.iter().map(file).collect();
    let subject = Subject { release, place, files: &files };
    let each = lock.descriptors.iter().map(|target| deploy::describe(&subject, *target));
    each.collect::<Result<_, _>>().map_err(|error| {
        HostError::new("describe", place, io::Error::new(io::ErrorKind::InvalidFilename, error))
    })
}

/// Writes descriptors into a directory, each file atomically.
///
/// # Errors
/// Fails if a file cannot be written.
pub(super) fn write(folder: &Folder, description: &Description) -> Result<(), HostError> {
    for file in &description.files {
        let path = below(folder, &file.path)?;
        let mode = if file.is_executable { mode::PROGRAM } else { mode::DOCUMENT };
        folder.make_folder_of(&path, mode::FOLDER)?;
        folder.replace(&path, file.contents.as_bytes(), mode)?;
    }
    Ok(())
}

/// Checks that a file of a description lies below its directory.
fn below(folder: &Folder, path: &Path) -> Result<FolderPath, HostError> {
    FolderPath::new(path).map_err(|error| {
        HostError::new(
            "describe",
            folder.path(),
            io::Error::new(io::ErrorKind::InvalidFilename, error),
        )
    })
}

/// Removes the descriptors of the lockfile `old` that `new` does not have.
///
/// The caller runs this before it replaces the release document, which names the old machines. If
/// the document is already another one, a run before a crash removed the descriptors.
///
/// # Errors
/// Fails if a file cannot be removed.
pub(crate) fn remove_stale(
    directory: &Directory,
    old: &Lockfile,
    release: &Release,
    new: &Lockfile,
) -> Result<(), HostError> {
    let (folder, root) = (directory.folder(), directory.root());
    let there = read_release(folder).ok();
    let Some(there) = there.filter(|there| there.digest() == old.release) else { return Ok(()) };
    let paths = |release, lock| -> Result<Vec<PathBuf>, HostError> {
        let files = describe(root, release, lock)?.into_iter().flat_map(|all| all.files);
        Ok(files.map(|file| file.path).collect())
    };
    let wanted = paths(release, new)?;
    for stale in paths(&there, old)?.iter().filter(|path| !wanted.contains(path)) {
        folder.remove(&below(folder, stale)?)?;
    }
    Ok(())
}
