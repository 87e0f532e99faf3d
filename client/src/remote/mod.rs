//! An image of a release's disk, read from the registry without a local copy.
//!
//! Reads are served from windows of the disk. A window is fetched as a pull fetches (coalesced
//! ranges of packs, seeds first), verified, and kept in a bounded cache. The window after the
//! requested one is fetched ahead.
//!
//! # Invariants
//!
//! 1. Windows are filled through [`crate::fetch`], so every byte that a reader gets was hashed.
//! 2. At most [`WINDOWS_MAX`] windows are cached, regardless of the disk and the number of readers.
//!
//! # Concurrency
//!
//! Readers on many threads share windows. A window wanted by two readers is fetched once. A read
//! blocks, so it must not be called on a thread that runs the runtime's tasks.

mod release;
mod window;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use seawall_store::image::{DiskImage, Format, ImageError, RUN_LEN_MAX, Variant};
use tokio::runtime::Handle;

use crate::directory::DiskLayout;
use crate::fetch::{Fetch, FetchError, Seeds};
use crate::host::HostError;
pub(crate) use release::RemoteRelease;
use window::Loader;

/// The length of a window in bytes: enough for several concurrent requests.
const WINDOW_LEN: u64 = 16 << 20;
/// The maximum number of windows in memory: 128 MiB.
const WINDOWS_MAX: usize = 8;

type Window = Arc<Vec<u8>>;
type Loading = Shared<BoxFuture<'static, Result<Window, Arc<FetchError>>>>;

/// A disk of a release, read from the registry.
pub struct RemoteDisk {
    name: PathBuf,
    disk_len: u64,
    runs: Vec<Range<u64>>,
    loader: Arc<Loader>,
    handle: Handle,
    /// Windows by position, the least recently used first.
    windows: Mutex<VecDeque<(u64, Loading)>>,
    failure: Mutex<Option<Arc<FetchError>>>,
}

impl RemoteDisk {
    /// Opens the disk described by `layout`. Errors refer to it as `name`.
    ///
    /// Must be called within a runtime, on which the windows are then fetched.
    ///
    /// # Errors
    /// Fails if the layout lacks a leaf.
    pub(crate) fn open(
        name: PathBuf,
        layout: DiskLayout,
        fetch: Fetch,
        seeds: Arc<Seeds>,
    ) -> Result<Self, HostError> {
        let runs = layout.data_runs()?;
        let disk_len = layout.index().disk_len().get();
        Ok(Self {
            name,
            disk_len,
            runs,
            loader: Arc::new(Loader::new(layout, fetch, seeds)),
            handle: Handle::current(),
            windows: Mutex::new(VecDeque::new()),
            failure: Mutex::new(None),
        })
    }

    /// Returns the ranges of the disk with data, sorted and merged.
    #[must_use]
    pub fn data_runs(&self) -> &[Range<u64>] {
        &self.runs
    }

    /// Returns the cause of a failed read, which is more precise than its [`ImageError`].
    pub(crate) fn failure(&self) -> Option<Arc<FetchError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_data(&self, range: &Range<u64>) -> bool {
        let next = self.runs.partition_point(|run| run.end <= range.start);
        self.runs.get(next).is_some_and(|run| run.start < range.end)
    }

    fn range(&self, position: u64) -> Range<u64> {
        let start = position.saturating_mul(WINDOW_LEN).min(self.disk_len);
        start..start.saturating_add(WINDOW_LEN).min(self.disk_len)
    }

    /// Returns the window at `position`, loading or loaded, and starts loading the next one.
    fn window(&self, position: u64) -> Loading {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = position + 1;
        if self.has_data(&self.range(ahead)) && !windows.iter().any(|(at, _)| *at == ahead) {
            let loading = self.begin(ahead);
            windows.push_back((ahead, loading));
        }
        let found = windows.iter().position(|(at, _)| *at == position);
        let entry = match found.and_then(|at| windows.remove(at)) {
            Some(entry) => entry,
            None => (position, self.begin(position)),
        };
        let loading = entry.1.clone();
        windows.push_back(entry);
        while windows.len() > WINDOWS_MAX {
            windows.pop_front();
        }
        loading
    }

    fn begin(&self, position: u64) -> Loading {
        let (loader, range) = (Arc::clone(&self.loader), self.range(position));
        let task = self.handle.spawn(async move { loader.load(range).await });
        let outcome = async move {
            match task.await {
                Ok(outcome) => outcome.map(Arc::new).map_err(Arc::new),
                Err(_) => Err(Arc::new(FetchError::Defect)),
            }
        };
        outcome.boxed().shared()
    }

    fn io(&self, source: io::Error) -> ImageError {
        ImageError::Io { verb: "read", path: self.name.clone(), source }
    }
}

impl DiskImage for RemoteDisk {
    fn disk_len(&self) -> u64 {
        self.disk_len
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let next = self.runs.partition_point(|run| run.end <= from);
        Ok(self.runs.get(next).map(|run| {
            let start = run.start.max(from);
            start..run.end.min(start.saturating_add(RUN_LEN_MAX))
        }))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.disk_len);
        let Some(end) = end else {
            let (path, len, disk_len) = (self.name.clone(), buf.len(), self.disk_len);
            return Err(ImageError::OutOfRange { path, offset, len, disk_len });
        };
        let (mut offset, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let position = offset / WINDOW_LEN;
            let range = self.range(position);
            let len = range.end.min(end) - offset;
            let (part, after) = rest.split_at_mut(usize::try_from(len).unwrap_or(0));
            if self.has_data(&(offset..offset + len)) {
                let loading = self.window(position);
                let window = self.handle.block_on(loading).map_err(|error| {
                    let source = io::Error::other(error.to_string());
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    self.io(source)
                })?;
                let start = usize::try_from(offset - range.start).unwrap_or(usize::MAX);
                let bytes = start.checked_add(part.len()).and_then(|end| window.get(start..end));
                let missing = || self.io(io::ErrorKind::UnexpectedEof.into());
                part.copy_from_slice(bytes.ok_or_else(missing)?);
            } else {
                part.fill(0);
            }
            offset += len;
            rest = after;
        }
        Ok(())
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> Variant {
        Variant { format: Format::Raw, detail: "in a registry".to_owned(), sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &[]
    }
}
