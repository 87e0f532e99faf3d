//! The store of a registry: in its data directory, in another directory, or in a bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use seawall_store::backend::s3::{self, Settings};
use seawall_store::backend::{Bucket, Directory};
use seawall_store::error::StoreError;
use seawall_store::layer::ReadCache;
use seawall_store::port::ObjectStore;

use super::relocate::MOVED_MARKER;
use super::{Machine, STORE_FOLDER, StartError};
use crate::app::StateOf;
use crate::host::Host as _;

/// The age above which a half-written file cannot belong to a write in progress, in seconds.
const STAGED_AGE_MAX_SECS: u64 = 86_400;

/// The place of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreAt {
    /// The folder `store` of the data directory.
    Inside,
    /// Another directory.
    Directory(PathBuf),
    /// A bucket.
    Bucket(Box<Settings>),
}

impl StoreAt {
    /// Opens the cache before the store, if there is one.
    ///
    /// # Errors
    /// If its folder cannot be used.
    pub(super) fn cache(&self) -> Result<Option<Arc<ReadCache>>, StartError> {
        match self {
            Self::Bucket(settings) => {
                let at = settings.cache.clone();
                Ok(at.map(ReadCache::open).transpose().map_err(StartError::Cache)?)
            }
            Self::Inside | Self::Directory(_) => Ok(None),
        }
    }

    /// Returns the directory whose file system takes the objects; `None` for a bucket.
    pub(super) fn disk(&self, data_dir: &Path) -> Option<PathBuf> {
        match self {
            Self::Inside => Some(data_dir.to_owned()),
            Self::Directory(path) => Some(path.clone()),
            Self::Bucket(_) => None,
        }
    }
}

impl fmt::Display for StoreAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside => f.write_str("the data directory"),
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket(settings) => write!(f, "{}", settings.address),
        }
    }
}

/// An opened store.
pub(super) enum OpenStore {
    /// A directory.
    Directory(Arc<Directory>),
    /// A bucket.
    Bucket(Bucket),
}

/// Opens the store of a registry.
///
/// # Errors
/// If it cannot be used, or if the data directory has objects of its own and another store is
/// named.
pub(super) fn open(data_dir: &Path, at: &StoreAt) -> Result<OpenStore, StartError> {
    let inside = data_dir.join(STORE_FOLDER);
    // What a relocation left behind is no longer this registry's.
    if *at != StoreAt::Inside && inside.is_dir() && !inside.join(MOVED_MARKER).is_file() {
        return Err(StartError::OwnStore { path: inside, named: at.to_string() });
    }
    open_any(data_dir, at)
}

/// Opens a store, beside one in the data directory or not.
///
/// # Errors
/// If it cannot be used.
pub(super) fn open_any(data_dir: &Path, at: &StoreAt) -> Result<OpenStore, StartError> {
    let inside = data_dir.join(STORE_FOLDER);
    let directory = |path: &Path| {
        std::fs::create_dir_all(path)
            .map_err(|source| StartError::DataDir { path: path.to_owned(), source })?;
        Ok::<_, StartError>(OpenStore::Directory(Arc::new(Directory::open(path)?)))
    };
    match at {
        StoreAt::Inside => directory(&inside),
        StoreAt::Directory(path) => directory(path),
        StoreAt::Bucket(settings) => Ok(OpenStore::Bucket(s3::open(settings)?)),
    }
}

impl OpenStore {
    /// Returns the store as its port.
    pub(super) fn port(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Directory(directory) => Arc::clone(directory) as _,
            Self::Bucket(bucket) => Arc::new(bucket.clone()),
        }
    }

    /// Returns the bytes of a marker, `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn marker(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Directory(directory) => directory.marker(path).await,
            Self::Bucket(bucket) => bucket.marker(path).await,
        }
    }

    /// Writes a marker unless it is there.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn put_marker(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.put_marker(path, bytes).await,
            Self::Bucket(bucket) => bucket.put_marker(path, bytes).await,
        }
    }

    /// Removes a marker. A missing one is not an error.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn remove_marker(&self, path: &str) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.remove_marker(path).await,
            Self::Bucket(bucket) => bucket.remove_marker(path).await,
        }
    }

    /// Prepares the store for writes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn prepare(&self) -> Result<(), StartError> {
        match self {
            Self::Directory(directory) => remove_staged(Arc::clone(directory)),
            Self::Bucket(bucket) => {
                let no_random = StartError::Machine("the system provides no random bytes");
                let nonce = hex::encode(Machine.random().ok_or(no_random)?);
                let found = block_on(bucket.probe_conditions(&nonce))??;
                tracing::info!(conditional_writes = found.as_str(), "opened the bucket");
                Ok(())
            }
        }
    }

    /// Returns a function that tells the state of a bucket; `None` for a directory.
    pub(super) fn state(&self) -> Option<StateOf> {
        let Self::Bucket(bucket) = self else { return None };
        let bucket = bucket.clone();
        Some(Arc::new(move || bucket.state()))
    }
}

/// Runs a future to its end on this thread, which has no runtime.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|_| StartError::Machine("cannot create a runtime"))?;
    Ok(runtime.block_on(work))
}

/// Removes files of interrupted writes from the store, in the background.
fn remove_staged(store: Arc<Directory>) -> Result<(), StartError> {
    let before_secs = Machine.now_secs().saturating_sub(STAGED_AGE_MAX_SECS);
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(before_secs);
    let work = move || match store.remove_staged(before) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "removed files of interrupted writes from the store"),
        Err(error) => {
            tracing::warn!(%error, "cannot look for files of interrupted writes in the store")
        }
    };
    let thread = std::thread::Builder::new().name("seawall-staged".to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|_| StartError::Machine("cannot create a thread"))
}
