//! A store in a local directory: each object is a file.
//!
//! # Invariants
//!
//! 1. An object under its path is complete: a `put` writes to a staged file, syncs the file, and
//!    links it to the path.
//! 2. An object that `put` found present is as durable as a new one, although the `put` that
//!    created it may still be running.
//! 3. No object is opened for writing once it has its path, so readers take no lock.
//!
//! # At the same time
//!
//! | running ↓ / starting → | `get` | `put` | `delete` |
//! |---|---|---|---|
//! | `get` | free | free | an open file stays readable |
//! | `put` | free | one links, the other finds it present | the last wins; callers hold a lease |
//! | `delete` | sees it or `Missing` | as above | one removes, the other finds nothing |
//!
//! # File systems without hard links
//!
//! exFAT and FAT have none. There an object is written to a staged file and renamed to its path if
//! the path is free; the puts of one process run one at a time. If two processes put the same name
//! at once, both report `Created`, and the bytes of the last one stay. Only [`ObjectName::Name`]
//! can have different bytes then.
//!
//! # After a crash
//!
//! Staged files, whose names end in `#` and a number, are garbage. Listings never show them, and
//! [`Directory::remove_staged`] removes those too old to belong to a running put.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{Error, ObjectStore as Backend, PutMode};

use super::calls::{self, failed, location, outside, within};
use crate::error::{StoreError, io_error};
use crate::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};

/// The length of a read, in bytes. A piece of this length stays in the processor's cache between
/// the read and the socket. Pieces of 512 KiB were slower for 16 clients and took four times the
/// memory.
const PIECE_LEN: u64 = 256 << 10;

/// An [`ObjectStore`] in a local directory.
#[derive(Debug)]
pub struct Directory {
    files: LocalFileSystem,
    linkless: Linkless,
}

/// The state of a directory whose file system lacks hard links.
#[derive(Debug, Default)]
struct Linkless {
    is_known: AtomicBool,
    /// Serialises puts: each checks for the object, then writes it.
    turn: tokio::sync::Mutex<()>,
}

impl Directory {
    /// Opens the existing directory `root` as a store.
    ///
    /// # Errors
    /// Fails if `root` is not a readable directory.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let files = LocalFileSystem::new_with_prefix(root)
            .map_err(|source| failed("open", root.display().to_string(), source))?
            // Off by default. Without it, an acknowledged push can lose packs when the power fails.
            .with_fsync(true);
        Ok(Self { files, linkless: Linkless::default() })
    }

    /// Removes staged files last written before `before`, which dead puts left behind, and returns
    /// their number. Blocks the thread. Never touches an object.
    ///
    /// # Errors
    /// Fails if a folder cannot be read or a file cannot be removed.
    pub fn remove_staged(&self, before: SystemTime) -> Result<u64, StoreError> {
        let root = self.file_of("list", "x")?;
        let mut folders: Vec<_> = root.parent().map(Path::to_owned).into_iter().collect();
        let mut removed = 0;
        while let Some(folder) = folders.pop() {
            let unreadable = |source| StoreError::io("list", &folder, source);
            for entry in fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                if entry.file_type().map_err(unreadable)?.is_dir() {
                    folders.push(entry.path());
                } else if is_staged(&entry.file_name()) {
                    removed += u64::from(remove_older(&entry.path(), before)?);
                }
            }
        }
        Ok(removed)
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &self.files
    }

    /// Returns the path of an object's file, for the operation `verb`.
    fn file_of(&self, verb: &'static str, path: &str) -> Result<PathBuf, StoreError> {
        let file = self.files.path_to_filesystem(&location(path));
        file.map_err(|source| failed(verb, path.to_owned(), source))
    }

    /// Puts an object where the file system has no hard links.
    async fn put_without_links(&self, path: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let _turn = self.linkless.turn.lock().await;
        if calls::len(&self.files, path).await?.is_some() {
            self.sync_name(path).await?;
            return Ok(Put::AlreadyPresent);
        }
        calls::write(&self.files, "write", path, bytes).await?;
        Ok(Put::Created)
    }

    /// Makes the name of an existing object durable. The `put` that created the object may still be
    /// running: it syncs the bytes before it links them, and the folders after.
    async fn sync_name(&self, path: &str) -> Result<(), StoreError> {
        let folders = folders_of(&self.file_of("sync", path)?, path);
        let sync = move || folders.iter().try_for_each(|folder| File::open(folder)?.sync_all());
        blocking(sync).await.map_err(|source| StoreError::io("sync", path, source))
    }
}

/// Returns whether a file is staged by a put, running or dead: no object's name has a `#`.
fn is_staged(name: &OsStr) -> bool {
    let count = name.to_str().and_then(|name| name.rsplit_once('#'));
    count.is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes a file last written before `before`. Returns false if the file is younger or gone.
fn remove_older(path: &Path, before: SystemTime) -> Result<bool, StoreError> {
    let remove = || {
        if fs::metadata(path)?.modified()? >= before {
            return Ok(false);
        }
        fs::remove_file(path).map(|()| true)
    };
    match remove() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        outcome => outcome.map_err(|source| StoreError::io("remove", path, source)),
    }
}

/// Returns whether an error means that the file system lacks hard links. For a folder without write
/// permission, the code is `EACCES`.
fn lacks_links(error: &Error) -> bool {
    const EPERM: i32 = 1;
    const EMLINK: i32 = 31;
    const ENOSYS: i32 = 38;
    const EOPNOTSUPP: i32 = 95;
    let code = io_error(error).and_then(io::Error::raw_os_error);
    code.is_some_and(|code| [EPERM, EMLINK, ENOSYS, EOPNOTSUPP].contains(&code))
}

/// Returns the folders on the way from `place`, where the object with this `path` lies, up to the
/// store's root.
fn folders_of(place: &Path, path: &str) -> Vec<PathBuf> {
    place.ancestors().skip(1).take(path.split('/').count()).map(Path::to_owned).collect()
}

#[async_trait::async_trait]
impl ObjectStore for Directory {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        let path = name.path();
        if self.linkless.is_known.load(Ordering::Relaxed) {
            return self.put_without_links(&path, bytes).await;
        }
        let payload = bytes.clone().into();
        match self.files.put_opts(&location(&path), payload, PutMode::Create.into()).await {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => {
                self.sync_name(&path).await?;
                Ok(Put::AlreadyPresent)
            }
            Err(source) if lacks_links(&source) => {
                self.linkless.is_known.store(true, Ordering::Relaxed);
                self.put_without_links(&path, bytes).await
            }
            Err(source) => Err(failed("write", path, source)),
        }
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        calls::write(&self.files, "replace", &name.path(), bytes).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        calls::get(&self.files, &name.path()).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        let object = name.path();
        let place = self.file_of("open", &object)?;
        let open = move || File::open(place).and_then(|file| Ok((file.metadata()?.len(), file)));
        match blocking(open).await {
            Ok((len, file)) => Ok(Arc::new(OpenFile { file: Arc::new(file), len, object })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing { object })
            }
            Err(source) => Err(StoreError::io("open", object, source)),
        }
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        calls::len(&self.files, &name.path()).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        calls::list(&self.files, kind)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        calls::delete(&self.files, &name.path()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        calls::probe(&self.files).await
    }
}

/// An object in a local file.
struct OpenFile {
    file: Arc<File>,
    len: u64,
    object: String,
}

#[async_trait::async_trait]
impl OpenObject for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn piece_len(&self) -> u64 {
        PIECE_LEN
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let len = within(&range, self.len, &self.object)?;
        let file = Arc::clone(&self.file);
        let start = range.start;
        let read = blocking(move || {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, start).map(|()| bytes)
        });
        match read.await {
            Ok(bytes) => Ok(bytes.into()),
            // The file was cut after it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(outside(&range, &self.object))
            }
            Err(source) => Err(StoreError::io("read", self.object.clone(), source)),
        }
    }
}

/// Runs blocking I/O on the thread pool, so that no other task waits.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_by_every_folder_up_to_the_root_of_the_store() {
        let folders = folders_of(Path::new("/data/store/packs/ab/abcd"), "packs/ab/abcd");
        assert_eq!(
            folders,
            ["/data/store/packs/ab", "/data/store/packs", "/data/store"].map(Path::new)
        );
    }

    #[tokio::test]
    async fn what_dead_puts_left_is_removed_once_it_is_old_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        let store = Directory::open(root.path()).unwrap();
        let name = ObjectName::Name("webshop/@1.0".to_owned());
        store.put(&name, Bytes::from_static(b"x")).await.unwrap();
        let folder = root.path().join("packs/ab");
        fs::create_dir_all(&folder).unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let young = fs::metadata(root.path().join(name.path())).unwrap().modified().unwrap();
        let files = [("a#1", 2), ("b#22", 2), ("c#1", 0), ("d#x", 2), ("e#", 2), ("f", 2)];
        for (file, age_days) in files {
            let file = File::create(folder.join(file)).unwrap();
            file.set_modified(young - day * age_days).unwrap();
        }
        assert_eq!(store.remove_staged(young - day).unwrap(), 2);
        for (file, is_left) in [("a#1", false), ("b#22", false), ("c#1", true), ("d#x", true)] {
            assert_eq!(folder.join(file).exists(), is_left, "{file}");
        }
        assert_eq!(store.get(&name).await.unwrap(), "x");
    }

    /// The case of exFAT.
    #[tokio::test]
    async fn without_hard_links_a_put_makes_an_object_once() {
        let root = tempfile::tempdir().unwrap();
        let store = Directory::open(root.path()).unwrap();
        store.linkless.is_known.store(true, Ordering::Relaxed);
        let name = ObjectName::Name("webshop/@1.0".to_owned());
        assert_eq!(store.put(&name, Bytes::from_static(b"one")).await.unwrap(), Put::Created);
        let again = store.put(&name, Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(again, Put::AlreadyPresent);
        assert_eq!(store.get(&name).await.unwrap(), "one");
        for (code, is_lacking) in [(1, true), (95, true), (13, false), (28, false)] {
            let source = Box::new(io::Error::from_raw_os_error(code));
            let error = Error::Generic { store: "x", source };
            assert_eq!(lacks_links(&error), is_lacking, "{code}");
        }
    }

    /// A folder that cannot be opened is an error, so no name is wrongly reported as durable.
    #[tokio::test]
    async fn a_name_whose_folder_is_gone_is_not_said_to_be_durable() {
        let root = tempfile::tempdir().unwrap();
        let store = Directory::open(root.path()).unwrap();
        store.sync_name("packs").await.unwrap();
        store.sync_name("packs/ab/abcd").await.unwrap_err();
    }
}
