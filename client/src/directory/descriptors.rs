//! The host descriptors in a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use seawall_api::release::Release;
use serde::Serialize;

use super::{Lockfile, RELEASE_FILE};
use crate::deploy::{self, Description, DescriptorTarget, DiskFile, Loss, Subject};
use crate::host::{HostError, replace_file, replace_program};

/// Descriptors in a directory, as reports show them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Described {
    /// The host they are for.
    pub target: DescriptorTarget,
    /// Their folder.
    pub folder: PathBuf,
    /// Their files; those that will be, in a plan.
    pub files: Vec<PathBuf>,
    /// What the host cannot be told.
    pub losses: Vec<Loss>,
}

impl Described {
    /// Those of a directory at `place`.
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
        let (target, folder, count) = (self.target, self.folder.display(), self.files.len());
        write!(f, "{target}: {count} files in {folder}")?;
        if !self.losses.is_empty() {
            write!(f, "; what they cannot say:")?;
        }
        self.losses.iter().try_for_each(|loss| write!(f, "\n    {loss}"))
    }
}

/// Describes what a directory at `place` holds for every host that its lockfile names.
///
/// # Errors
/// When the path cannot stand in a descriptor.
pub(crate) fn describe(
    place: &Path,
    release: &Release,
    lock: &Lockfile,
) -> Result<Vec<Description>, HostError> {
    let file = |disk: &super::LockedDisk| DiskFile {
        machine: disk.machine.clone(),
        disk: disk.disk.clone(),
        file: disk.file.clone(),
        format: disk.container().map_or_else(String::new, |format| format.to_string()),
    };
    let files: Vec<_> = lock.disks.iter().map(file).collect();
    let subject = Subject { release, place, files: &files };
    let each = lock.descriptors.iter().map(|target| deploy::describe(&subject, *target));
    each.collect::<Result<_, _>>().map_err(|error| {
        HostError::new("describe", place, io::Error::new(io::ErrorKind::InvalidFilename, error))
    })
}

/// Writes descriptors into the directory `root`, each at once.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(root: &Path, description: &Description) -> Result<(), HostError> {
    for file in &description.files {
        let (path, bytes) = (root.join(&file.path), file.contents.as_bytes());
        if file.is_executable {
            replace_program(&path, bytes)?;
        } else {
            replace_file(&path, bytes)?;
        }
    }
    Ok(())
}

/// Removes the descriptors that a directory has for `old` and that `new` will not have.
///
/// Works from the release document that is there, so it is done before that is replaced; where it
/// is another one, a crash came after this was done.
///
/// # Errors
/// When a file cannot be removed.
pub(crate) fn remove_stale(
    root: &Path,
    old: &Lockfile,
    release: &Release,
    new: &Lockfile,
) -> Result<(), HostError> {
    let there = fs::read(root.join(RELEASE_FILE)).ok();
    let there = there.and_then(|bytes| Release::parse(&bytes).ok());
    let Some(there) = there.filter(|there| there.digest() == old.release) else { return Ok(()) };
    let paths = |release, lock| -> Result<Vec<PathBuf>, HostError> {
        let files = describe(root, release, lock)?.into_iter().flat_map(|all| all.files);
        Ok(files.map(|file| file.path).collect())
    };
    let wanted = paths(release, new)?;
    for stale in paths(&there, old)?.iter().filter(|path| !wanted.contains(path)) {
        let path = root.join(stale);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HostError::new("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}
