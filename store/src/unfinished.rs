//! Temporary files and folders, removed unless their work is committed.
//!
//! A destructor removes them when the work fails. A signal ends the process while other threads
//! still hold them, and no destructor runs. [`remove_all`] then removes them, and stops every
//! thread from giving one its final name. Signals are per process, so the list is a static.
//!
//! # At the same time
//!
//! | running ↓ / starting → | [`Unfinished::commit`] | [`remove_all`] |
//! |---|---|---|
//! | `commit`, [`uninterrupted`] | one after the other | waits; what was committed stays |
//! | `remove_all` | refused | one after the other |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts to remove a folder into which other threads still write.
const ATTEMPTS_MAX: usize = 16;

static LIST: Mutex<List> = Mutex::new(List { next: 0, paths: BTreeMap::new(), is_closed: false });

struct List {
    next: u64,
    paths: BTreeMap<u64, PathBuf>,
    /// Set by [`remove_all`]: the process is about to end.
    is_closed: bool,
}

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file or folder, removed on drop or by [`remove_all`].
#[derive(Debug)]
pub struct Unfinished {
    id: u64,
}

impl Unfinished {
    /// Creates a file or folder by `make` and lists it under `path`.
    ///
    /// # Errors
    /// The errors of `make`; [`io::ErrorKind::Interrupted`] after [`remove_all`].
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

    /// Runs `name`, which gives the path its final name, and takes the path off the list on
    /// success.
    ///
    /// # Errors
    /// The errors of `name`; [`io::ErrorKind::Interrupted`] after [`remove_all`].
    pub fn commit<T>(&self, name: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        commit_all(&[self], name)
    }
}

/// Runs `name`, which gives all of `unfinished` their final names, and takes them off the list on
/// success.
///
/// # Errors
/// The errors of `name`; [`io::ErrorKind::Interrupted`] after [`remove_all`].
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

/// Runs `work`, which makes and names a small file, and which [`remove_all`] waits for.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] after [`remove_all`]: `work` does not run.
pub fn uninterrupted<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let list = list();
    if list.is_closed {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(work())
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let path = list().paths.remove(&self.id);
        if let Some(path) = path {
            remove(&path);
        }
    }
}

/// Removes everything on the list, and refuses [`Unfinished::make`] and [`Unfinished::commit`] from
/// now on. Called once, before the process ends.
pub fn remove_all() {
    let mut list = list();
    list.is_closed = true;
    for path in std::mem::take(&mut list.paths).into_values() {
        remove(&path);
    }
}

/// Removes a file, or a folder with its content.
fn remove(path: &Path) {
    for _ in 0..ATTEMPTS_MAX {
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            // A thread that still runs has put a file into the folder meanwhile: retry.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            // An error has no reader: the process ends, or another error is being reported.
            _ => return,
        }
    }
}
