//! Files and folders that are worthless unless the work that makes them comes to its end.
//!
//! A destructor removes them when the work fails. A signal ends the process while other threads
//! still hold them, and no destructor runs: [`remove_all`] then removes them, and keeps any thread
//! from giving one its final name. The list is the process's, because a signal is.
//!
//! # At the same time
//!
//! | running ↓ / starting → | [`Unfinished::commit`] | [`remove_all`] |
//! |---|---|---|
//! | `commit` | one after the other | waits; what was committed stays |
//! | `remove_all` | refused | one after the other |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a folder is removed that other threads still write to.
const ATTEMPTS_MAX: usize = 16;

static LIST: Mutex<List> = Mutex::new(List { next: 0, paths: BTreeMap::new(), is_closed: false });

struct List {
    next: u64,
    paths: BTreeMap<u64, PathBuf>,
    /// Set by [`remove_all`]: the process ends.
    is_closed: bool,
}

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file or folder that is removed when this is dropped, or when the process is told to end.
#[derive(Debug)]
pub struct Unfinished {
    id: u64,
}

impl Unfinished {
    /// Makes a file or folder by `make` and lists it under `path`.
    ///
    /// # Errors
    /// Those of `make`; [`io::ErrorKind::Interrupted`] once the process ends.
    pub fn make<T>(path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<(Self, T)> {
        let mut list = list();
        if list.is_closed {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let made = make()?;
        let id = list.next;
        list.next += 1;
        list.paths.insert(id, path.to_owned());
        Ok((Self { id }, made))
    }

    /// Takes the path off the list if `name`, which gives it its final name, succeeds.
    ///
    /// # Errors
    /// Those of `name`; [`io::ErrorKind::Interrupted`] once the process ends.
    pub fn commit<T>(&self, name: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        commit_all(&[self], name)
    }
}

/// Does `name`, which makes things visible, and takes these off the list if it succeeds.
///
/// # Errors
/// Those of `name`; [`io::ErrorKind::Interrupted`] once the process ends.
pub fn commit_all<T>(
    unfinished: &[&Unfinished],
    name: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let mut list = list();
    if list.is_closed {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let named = name()?;
    for Unfinished { id } in unfinished {
        list.paths.remove(id);
    }
    Ok(named)
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let path = list().paths.remove(&self.id);
        if let Some(path) = path {
            remove(&path);
        }
    }
}

/// Removes everything on the list, and lets nothing be made or committed from now on. Called once,
/// before the process ends.
pub fn remove_all() {
    let mut list = list();
    list.is_closed = true;
    for path in std::mem::take(&mut list.paths).into_values() {
        remove(&path);
    }
}

/// Removes a file, or a folder with all that is in it.
fn remove(path: &Path) {
    for _ in 0..ATTEMPTS_MAX {
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            // A thread that still runs put a file into the folder meanwhile.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            // Nobody is left to tell: the process ends, or another error is on its way.
            _ => return,
        }
    }
}
