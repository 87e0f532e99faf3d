//! Guests' overlays on the disks of a release, in the folders of its host descriptors.
//!
//! An overlay is valid only on one release's bytes. A patch renames the overlays of the old
//! release, so that no machine can start on an overlay whose base has changed. If the directory
//! returns to that release, the start scripts rename its overlays back. Seawall never removes an
//! overlay.

use std::path::PathBuf;

use rustix::fs::FileType;
use seawall_api::digest::ReleaseDigest;

use crate::deploy::{DescriptorTarget, STATE_FOLDER, state_name};
use crate::folder::{Folder, FolderPath};
use crate::host::HostError;

/// The suffix of a folder of overlays that was set aside.
const ASIDE: &str = "aside";

/// Sets the overlays of a release aside, for every host.
///
/// Idempotent: overlays that were set aside before a crash stay set aside.
///
/// # Errors
/// Fails if a folder cannot be renamed.
pub(crate) fn set_aside(folder: &Folder, release: ReleaseDigest) -> Result<(), HostError> {
    for states in state_folders(folder) {
        let name = state_name(release);
        let state = states.join(&FolderPath::composed(&name));
        if !is_folder(folder, &state) {
            continue;
        }
        // A number is appended only if somebody created overlays while others were set aside.
        let names = (1_u64..).map(|at| match at {
            1 => format!("{name}.{ASIDE}"),
            _ => format!("{name}.{ASIDE}-{at}"),
        });
        let mut names = names.map(|name| state.with_name(name));
        if let Some(aside) = names.find(|aside| !folder.has(aside)) {
            folder.rename(&state, &aside)?;
        }
    }
    Ok(())
}

/// Lists the folders of a release's overlays that are set aside, except for numbered ones.
pub(crate) fn aside(folder: &Folder, release: ReleaseDigest) -> Vec<PathBuf> {
    let name = FolderPath::composed(format!("{}.{ASIDE}", state_name(release)));
    let aside = state_folders(folder).map(|states| states.join(&name));
    aside.filter(|path| is_folder(folder, path)).map(|path| folder.path_of(&path)).collect()
}

/// Returns the folders of overlays. Symbolic links do not count.
fn state_folders(folder: &Folder) -> impl Iterator<Item = FolderPath> {
    let names = DescriptorTarget::ALL.into_iter().flat_map(|target| {
        // If a machine has the target's name, the target's folder has a `_` appended.
        [target.to_string(), format!("{target}_")]
    });
    let states = names.map(|name| FolderPath::composed(PathBuf::from(name).join(STATE_FOLDER)));
    states.filter(|states| is_folder(folder, states))
}

/// Returns true if the path is a folder. Follows no symbolic links.
fn is_folder(folder: &Folder, path: &FolderPath) -> bool {
    folder.look(path).is_ok_and(|found| found.is_some_and(|it| it.kind == FileType::Directory))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn overlays_of_one_release_are_set_aside_once_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let [one, two] = [b"1", b"2"].map(|bytes| ReleaseDigest::of(bytes));
        let state = dir.path().join("libvirt/state");
        for release in [one, two] {
            let folder = state.join(state_name(release)).join("web");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("root.qcow2"), release.to_hex()).unwrap();
        }
        std::os::unix::fs::symlink(&state, dir.path().join("xen")).unwrap();
        for _ in 0..2 {
            set_aside(&folder, one).unwrap();
            let there = aside(&folder, one);
            assert_eq!(there, [state.join(state_name(one)).with_extension(ASIDE)]);
            let kept = fs::read_to_string(there[0].join("web/root.qcow2")).unwrap();
            assert_eq!(kept, one.to_hex());
        }
        assert!(state.join(state_name(two)).join("web/root.qcow2").exists());
        assert!(aside(&folder, two).is_empty());
        // Overlays created again by hand: both are kept.
        fs::create_dir_all(state.join(state_name(one))).unwrap();
        set_aside(&folder, one).unwrap();
        assert!(state.join(state_name(one)).with_extension("aside-2").exists());
    }
}
