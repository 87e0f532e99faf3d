//! A store in a bucket, or in any other backend of the `object_store` crate that is reached by
//! requests: an object is one object of the backend.
//!
//! # Invariants
//!
//! 1. A `put` does not replace an object that it can see. Of two puts at the same time the second
//!    may replace the first where the backend ignores conditions; both have the same content then,
//!    because the name determines it. The catalog decides who was first, never the bucket.
//! 2. An open object is a name and a length: each read is a request for a range by name.
//! 3. An object is one request to write. No upload has parts that a crash could leave behind.
//!
//! # Requests
//!
//! A long object is read in pieces of 4 MiB, four at once. A long list is read by the 256 folders
//! of its kind, 16 at once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore as Backend, PutMode};

use super::calls::{self, failed, location, outside, within};
use super::s3::Service;
use crate::error::{ErrorKind, StoreError};
use crate::port::{
    BucketState, Conditions, Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put,
};

/// The length of a read, in bytes. Four such reads at once fill a fast line.
const PIECE_LEN: u64 = 4 << 20;
/// The number of pieces of one object that are read at once.
const PIECES_AT_ONCE: usize = 4;
/// The number of names in one answer of a list. A list that is longer is continued by folders.
const PAGE_LEN: usize = 1000;
/// The number of folders that are listed at once.
const LISTS_AT_ONCE: usize = 16;
/// The maximum number of packs whose length is remembered: about 10 MiB.
const LENS_MAX: usize = 1 << 16;
/// Read attempts of an object that is replaced meanwhile.
const READS_MAX: usize = 3;

/// An [`ObjectStore`] in a bucket. Clones share it.
#[derive(Debug, Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Arc<dyn Backend>,
    /// Known after [`Bucket::probe_conditions`]. Until then they are taken to be ignored.
    conditions: OnceLock<Conditions>,
    /// The lengths of packs that were read or written. A pack never changes.
    lens: Mutex<HashMap<ObjectName, u64>>,
    /// The parts of a remote service; `None` in memory.
    service: Option<Service>,
}

impl Bucket {
    /// Wraps a backend, whose root is the root of the store.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        let (conditions, lens, service) = <_>::default();
        Self { inner: Arc::new(Inner { backend, conditions, lens, service }) }
    }

    /// Wraps the calls and the other parts of a service.
    pub(super) fn of_service(backend: Arc<dyn Backend>, service: Service) -> Self {
        let (conditions, lens) = <_>::default();
        Self { inner: Arc::new(Inner { backend, conditions, lens, service: Some(service) }) }
    }

    /// Returns a store in memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// Finds out whether the backend honours conditions, by two writes of one object that is
    /// deleted again. `nonce` keeps this object apart from those of other processes.
    ///
    /// # Errors
    /// Fails if the backend cannot be written.
    pub async fn probe_conditions(&self, nonce: &str) -> Result<Conditions, StoreError> {
        let path = format!("probe/{nonce}");
        let create = || async {
            let bytes = Bytes::from_static(b"seawall").into();
            let mode = PutMode::Create.into();
            match self.backend().put_opts(&location(&path), bytes, mode).await {
                Ok(_) => Ok(Conditions::Ignored),
                Err(Error::AlreadyExists { .. }) => Ok(Conditions::Honoured),
                Err(source) => Err(failed("write", path.clone(), source)),
            }
        };
        // The first may find its own bytes, if it was repeated after its answer was lost.
        create().await?;
        let found = create().await;
        calls::delete(self.backend(), &path).await?;
        Ok(*self.inner.conditions.get_or_init(|| found.unwrap_or(Conditions::Ignored)))
    }

    /// Returns what is known of the backend's behaviour.
    #[must_use]
    pub fn state(&self) -> BucketState {
        let conditions = self.inner.conditions.get().copied();
        let budget = self.inner.service.as_ref().map(|service| service.budget.tally());
        BucketState { conditions, retries: budget.unwrap_or_default() }
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.inner.backend
    }

    /// Reads a range of an object in one request.
    pub(super) async fn part(&self, path: &str, range: Range<u64>) -> Result<Part, Error> {
        let range = Some(GetRange::Bounded(range));
        let options = GetOptions { range, ..GetOptions::default() };
        let place = location(path);
        let read = || async {
            let answer = self.backend().get_opts(&place, options.clone()).await?;
            let meta = answer.meta.clone();
            Ok(Part { meta, bytes: answer.bytes().await? })
        };
        calls::renewed(read).await
    }

    /// Reads an object in pieces. Returns `None` if it was replaced meanwhile, or is longer than
    /// `len_max` bytes.
    pub(super) async fn read_whole(
        &self,
        path: &str,
        len_max: u64,
    ) -> Result<Option<Bytes>, Error> {
        let first = match self.part(path, 0..PIECE_LEN).await {
            Ok(first) => first,
            Err(error) if is_beyond_the_end(&error) => return Ok(Some(Bytes::new())),
            Err(error) => return Err(error),
        };
        let ObjectMeta { size, e_tag, .. } = first.meta;
        if size > len_max {
            return Ok(None);
        }
        if size <= PIECE_LEN {
            return Ok(Some(first.bytes));
        }
        let starts = (1..size.div_ceil(PIECE_LEN)).map(|piece| piece * PIECE_LEN);
        let reads = starts.map(|start| self.part(path, start..size.min(start + PIECE_LEN)));
        let mut rest = stream::iter(reads).buffered(PIECES_AT_ONCE);
        let mut whole = BytesMut::with_capacity(usize::try_from(size).unwrap_or_default());
        whole.extend_from_slice(&first.bytes);
        while let Some(part) = rest.next().await {
            match part {
                Ok(part) if part.meta.e_tag == e_tag && part.meta.size == size => {
                    whole.extend_from_slice(&part.bytes);
                }
                Ok(_) => return Ok(None),
                Err(error) if is_beyond_the_end(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(whole.freeze()))
    }

    /// Returns the length of an object by reading its first byte. The answer to a request without
    /// a body would not say whether the object or the bucket is missing.
    async fn ask_len(&self, path: &str) -> Result<Option<u64>, StoreError> {
        match self.part(path, 0..1).await {
            Ok(part) => Ok(Some(part.meta.size)),
            Err(error) if is_beyond_the_end(&error) => Ok(Some(0)),
            Err(source) => match failed("inspect", path.to_owned(), source) {
                StoreError::Missing { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    fn known_len(&self, name: &ObjectName) -> Option<u64> {
        self.inner.lens.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Remembers the length of a pack, so that opening it takes no request.
    fn remember(&self, name: &ObjectName, len: u64) {
        if name.kind() != ObjectKind::Pack {
            return;
        }
        let mut lens = self.inner.lens.lock().unwrap_or_else(PoisonError::into_inner);
        if lens.len() >= LENS_MAX {
            lens.clear();
        }
        lens.insert(name.clone(), len);
    }

    fn forget(&self, name: &ObjectName) {
        self.inner.lens.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Lists the objects that come after `last`, folder by folder.
    fn list_after(&self, kind: ObjectKind, last: &Path) -> Listing<'static> {
        let folder = kind.rules().folder;
        let Some(from) = shard_of(folder, last.as_ref()) else {
            return calls::names(kind, self.pages(location(folder), Some(last.clone())));
        };
        let (bucket, last) = (self.clone(), last.clone());
        let lists = (from..=u8::MAX).map(move |shard| {
            let prefix = location(&format!("{folder}/{shard:02x}"));
            let after = (shard == from).then(|| last.clone());
            calls::names(kind, bucket.pages(prefix, after))
        });
        stream::iter(lists).flatten_unordered(LISTS_AT_ONCE).boxed()
    }

    /// Lists what comes after `after` in a folder, page by page: credentials may expire between two
    /// pages.
    pub(super) fn pages(
        &self,
        folder: Path,
        after: Option<Path>,
    ) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        let bucket = self.clone();
        let pages = stream::try_unfold(Some(after), move |state| {
            let (bucket, folder) = (bucket.clone(), folder.clone());
            async move {
                let Some(after) = state else { return Ok::<_, Error>(None) };
                let page = bucket.page(&folder, after.as_ref()).await?;
                let last = page.last().filter(|_| page.len() == PAGE_LEN);
                let next = last.map(|last| Some(last.location.clone()));
                Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    /// Lists the first page of what comes after `after` in a folder.
    async fn page(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<ObjectMeta>, Error> {
        let list = || {
            let found = match after {
                Some(after) => self.backend().list_with_offset(Some(folder), after),
                None => self.backend().list(Some(folder)),
            };
            found.take(PAGE_LEN).try_collect()
        };
        calls::renewed(list).await
    }
}

/// Returns the folder of an object among the 256 in `folder`; `None` for another file.
fn shard_of(folder: &str, path: &str) -> Option<u8> {
    let shard = path.strip_prefix(folder)?.strip_prefix('/')?.split('/').next()?;
    let shard = u8::from_str_radix(shard, 16).ok().filter(|it| format!("{it:02x}") == shard)?;
    Some(shard)
}

/// A range of an object.
pub(super) struct Part {
    pub(super) meta: ObjectMeta,
    pub(super) bytes: Bytes,
}

/// Returns whether a range begins at or after the end of its object.
pub(super) fn is_beyond_the_end(error: &Error) -> bool {
    let text = error.to_string();
    let is_generic = matches!(error, Error::Generic { .. });
    // The answer of a service, and the words of the backend in memory.
    is_generic && (text.contains("status code: 416") || text.contains("Wanted range starting at"))
}

#[async_trait::async_trait]
impl ObjectStore for Bucket {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        let path = name.path();
        let is_refused = self.inner.conditions.get() == Some(&Conditions::Honoured);
        if !is_refused && self.ask_len(&path).await?.is_some() {
            return Ok(Put::AlreadyPresent);
        }
        let len = bytes.len() as u64;
        match calls::create(self.backend(), &path, bytes.clone()).await {
            Ok(_) => {}
            // Taken at its word, a service that is wrong here would lose the object.
            Err(Error::AlreadyExists { .. }) => match self.ask_len(&path).await? {
                Some(_) => return Ok(Put::AlreadyPresent),
                None => calls::write(self.backend(), "write", &path, bytes).await?,
            },
            Err(source) => return Err(failed("write", path, source)),
        }
        self.remember(name, len);
        Ok(Put::Created)
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.forget(name);
        calls::write(self.backend(), "replace", &name.path(), bytes).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        let path = name.path();
        for _ in 0..READS_MAX {
            let read = self.read_whole(&path, u64::MAX).await;
            if let Some(bytes) = read.map_err(|source| failed("read", path.clone(), source))? {
                return Ok(bytes);
            }
        }
        Err(StoreError::Damaged { object: path })
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        let object = name.path();
        let len = match self.known_len(name) {
            Some(len) => Some(len),
            None => self.ask_len(&object).await?,
        };
        let Some(len) = len else { return Err(StoreError::Missing { object }) };
        self.remember(name, len);
        Ok(Arc::new(Remote { bucket: self.clone(), name: name.clone(), len }))
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.ask_len(&name.path()).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        let folder = location(kind.rules().folder);
        if kind == ObjectKind::Name {
            return calls::names(kind, self.pages(folder, None));
        }
        let listed = async move {
            let failed = |source| failed("list", kind.rules().folder.to_owned(), source);
            let page = self.page(&folder, None).await.map_err(failed)?;
            let rest = match page.last() {
                Some(last) if page.len() == PAGE_LEN => self.list_after(kind, &last.location),
                _ => stream::empty().boxed(),
            };
            let page = stream::iter(page.into_iter().map(Ok)).boxed();
            Ok(calls::names(kind, page).chain(rest))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.forget(name);
        calls::delete(self.backend(), &name.path()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        calls::probe(self.backend()).await
    }
}

/// An object of a bucket.
struct Remote {
    bucket: Bucket,
    name: ObjectName,
    len: u64,
}

#[async_trait::async_trait]
impl OpenObject for Remote {
    fn len(&self) -> u64 {
        self.len
    }

    fn piece_len(&self) -> u64 {
        PIECE_LEN
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        match self.bucket.inner.service.as_ref().and_then(|service| service.links.as_ref()) {
            Some(links) => links.of(&self.name.path()).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.name.path();
        let len = within(&range, self.len, &path)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        let read = match self.bucket.part(&path, range.clone()).await {
            Ok(part) if part.bytes.len() == len => return Ok(part.bytes),
            // Backends clip a range at the object's end: the object was cut after it was opened.
            Ok(_) => outside(&range, &path),
            Err(error) if is_beyond_the_end(&error) => outside(&range, &path),
            Err(source) => failed("read", path, source),
        };
        if matches!(read.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) {
            self.bucket.forget(&self.name);
        }
        Err(read)
    }
}
