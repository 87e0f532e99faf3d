//! Pull, stages 2 and 5: the staging directory of a release, and its move to the destination.
//!
//! A release is assembled beside the destination, in `.NAME.seawall-pull`, which is then renamed.
//! Some destinations cannot be replaced by a rename: a mount point, a link, the working directory,
//! or one in a folder that this user may not write to. Such a destination is filled: the release is
//! assembled inside, in `.seawall-pull`, and its contents are moved up.
//!
//! # After a crash
//!
//! A directory with some names moved up holds `.seawall-pull/moving` and no lockfile yet. The next
//! pull moves the rest first. Everything moved was synced before.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx};

use super::PullError;
use crate::directory::{self, Directory, LOCKFILE};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

/// The staging directory inside a destination that is filled.
const INSIDE: &str = ".seawall-pull";
/// The marker of a complete staging directory whose contents are being moved up.
const MOVING: &str = ".seawall-pull/moving";
/// The folder that `mkfs` creates in a new file system.
const LOST_AND_FOUND: &str = "lost+found";

/// A staging directory and its destination.
pub(super) struct Site {
    /// The folder that contains the staging directory. The destination itself if it is filled.
    parent: Folder,
    /// The name of the staging directory in `parent`.
    staged: FolderPath,
    /// The final name of the staging directory, or `None` if its contents are moved up.
    name: Option<FolderPath>,
    /// The path of the destination.
    place: PathBuf,
}

/// Returns whether an existing destination cannot be replaced by a rename.
fn is_filled(into: &Path, folder: &Folder) -> bool {
    let parent = into.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    into.file_name().is_none()
        || into.is_symlink()
        || is_mount_point(folder)
        || accessat(CWD, parent, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_err()
}

fn is_mount_point(folder: &Folder) -> bool {
    let found = statx(folder.handle(), "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    // Kernels before 5.8 do not report mount points. There, the rename fails in the end.
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Returns the names in a destination, without the leftovers of a pull or of `mkfs`.
pub(super) fn names(into: &Path, folder: &Folder) -> Result<Vec<OsString>, HostError> {
    let mut names = folder.names(4)?;
    if is_filled(into, folder) {
        names.retain(|name| name != INSIDE && name != LOST_AND_FOUND);
    }
    Ok(names)
}

/// Completes the move of an interrupted pull.
pub(super) fn finish_move(into: &Path) -> Result<(), HostError> {
    match Folder::open(into) {
        Ok(folder) if folder.has(&FolderPath::composed(MOVING)) => move_up(&folder),
        // The functions that need the folder report the error.
        _ => Ok(()),
    }
}

/// Fails if this user has no write access to the place of the staging directory of `into`.
pub(super) fn check_writable(into: &Path) -> Result<(), HostError> {
    let place = std::path::absolute(into).map_err(|e| HostError::new("use", into, e))?;
    let is_filled = Folder::open(into).is_ok_and(|folder| is_filled(into, &folder));
    let above = place.ancestors().skip(usize::from(!is_filled)).find(|it| it.is_dir());
    let Some(above) = above else { return Ok(()) };
    let may_write = accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    may_write.map_err(|errno| HostError::new("write to", above, errno.into()))
}

impl Site {
    /// Decides on the staging directory for `into`, and creates the parent folders.
    pub(super) fn of(into: &Path) -> Result<Self, PullError> {
        if let Ok(folder) = Folder::open(into)
            && is_filled(into, &folder)
        {
            let place = fs::canonicalize(into).map_err(|e| HostError::new("open", into, e))?;
            let staged = FolderPath::composed(INSIDE);
            return Ok(Self { parent: folder.named(place.clone()), staged, name: None, place });
        }
        let no_name = || PullError::NoName { into: into.to_owned() };
        let name = into.file_name().ok_or_else(no_name)?;
        let mut staged = OsString::from(".");
        staged.push(name);
        staged.push(".seawall-pull");
        let [name, staged] = [name.to_owned(), staged].map(FolderPath::new);
        let (name, staged) = (name.map_err(|_| no_name())?, staged.map_err(|_| no_name())?);
        let above = into.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
        fs::create_dir_all(above).map_err(|e| HostError::new("create", above, e))?;
        let root = fs::canonicalize(above).map_err(|e| HostError::new("open", above, e))?;
        let place = root.join(&name);
        let parent = Folder::open(above)?.named(root);
        Ok(Self { parent, staged, name: Some(name), place })
    }

    pub(super) fn parent(&self) -> &Folder {
        &self.parent
    }

    /// Opens the staging directory, creating it if necessary.
    pub(super) fn staging(&self) -> Result<Folder, HostError> {
        self.parent.make_folder(&self.staged, mode::FOLDER)?;
        Ok(self.parent.folder(&self.staged)?.named(self.parent.path_of(&self.staged)))
    }

    /// Returns the path of the destination.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Makes a staging directory with durable files visible under its destination.
    pub(super) fn commit(&self, directory: &Directory) -> Result<PathBuf, HostError> {
        let Some(name) = &self.name else {
            let moving = FolderPath::composed(MOVING);
            self.parent.replace(&moving, b"", mode::FILE)?;
            move_up(&self.parent)?;
            return Ok(self.place.clone());
        };
        directory::commit(directory, &self.parent, &self.staged, name)
    }
}

/// Moves the contents of [`INSIDE`] up, the lockfile last: a directory with a lockfile is complete.
fn move_up(place: &Folder) -> Result<(), HostError> {
    let inside = FolderPath::composed(INSIDE);
    let mut names = place.folder(&inside)?.names(usize::MAX)?;
    names.retain(|name| *name != *"moving");
    names.sort_by_key(|name| name == LOCKFILE);
    for name in names {
        let up = FolderPath::composed(name);
        if up.as_path() == Path::new(LOCKFILE) {
            // The files must have their names before the lockfile that promises them.
            place.sync()?;
        }
        place.rename(&inside.join(&up), &up)?;
    }
    place.sync()?;
    // An interrupted pull leaves its mark, which has no further use.
    let _ = place.remove(&FolderPath::composed(super::target::MARK));
    place.remove_tree(&inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For any number of names moved up before the interruption.
    #[test]
    fn a_move_that_was_cut_off_is_ended_by_the_next_pull() {
        for moved in 0..=3 {
            let dir = tempfile::tempdir().unwrap();
            let inside = dir.path().join(INSIDE);
            fs::create_dir_all(inside.join("web")).unwrap();
            fs::write(inside.join("web/root.raw"), b"disk").unwrap();
            fs::write(inside.join("release.json"), b"{}").unwrap();
            fs::write(inside.join(LOCKFILE), b"{}").unwrap();
            fs::write(dir.path().join(MOVING), b"").unwrap();
            for name in ["release.json", "web", LOCKFILE].iter().take(moved) {
                fs::rename(inside.join(name), dir.path().join(name)).unwrap();
            }
            finish_move(dir.path()).unwrap();
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["release.json", LOCKFILE, "web"], "{moved}");
            assert_eq!(fs::read(dir.path().join("web/root.raw")).unwrap(), b"disk");
            finish_move(dir.path()).unwrap();
        }
    }
}
