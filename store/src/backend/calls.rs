//! The calls that are the same for every backend of the `object_store` crate.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{
    Error, ObjectMeta, ObjectStore as Backend, ObjectStoreExt, PutMode, PutPayload, PutResult, path,
};

use crate::error::{Fault, StoreError};
use crate::port::{Listing, ObjectKind, ObjectName};

/// The bytes a probe writes and reads back.
const PROBE: &[u8] = b"seawall";

/// Makes a call once more if the credentials were refused. Credentials are read anew for each call,
/// and those of the first may have expired on the way.
pub(super) async fn renewed<T, R>(call: impl Fn() -> R) -> Result<T, Error>
where
    R: Future<Output = Result<T, Error>>,
{
    match call().await {
        Err(error) if Fault::of(&error).is_some_and(|(it, _)| it == Fault::Unauthenticated) => {
            call().await
        }
        outcome => outcome,
    }
}

async fn put(
    backend: &dyn Backend,
    path: &str,
    bytes: Bytes,
    mode: PutMode,
) -> Result<PutResult, Error> {
    let (place, payload) = (location(path), PutPayload::from(bytes));
    renewed(|| backend.put_opts(&place, payload.clone(), mode.clone().into())).await
}

/// Writes an object on the condition that it is absent.
pub(super) async fn create(
    backend: &dyn Backend,
    path: &str,
    bytes: Bytes,
) -> Result<PutResult, Error> {
    put(backend, path, bytes, PutMode::Create).await
}

/// Writes an object, over an earlier one if there is one.
pub(super) async fn write(
    backend: &dyn Backend,
    verb: &'static str,
    path: &str,
    bytes: Bytes,
) -> Result<(), StoreError> {
    match put(backend, path, bytes, PutMode::Overwrite).await {
        Ok(_) => Ok(()),
        Err(source) => Err(failed(verb, path.to_owned(), source)),
    }
}

/// Returns an object's bytes.
pub(super) async fn get(backend: &dyn Backend, path: &str) -> Result<Bytes, StoreError> {
    let place = location(path);
    let answer = renewed(|| async { backend.get(&place).await?.bytes().await }).await;
    answer.map_err(|source| failed("read", path.to_owned(), source))
}

/// Returns an object's length in bytes, `None` if there is none.
pub(super) async fn len(backend: &dyn Backend, path: &str) -> Result<Option<u64>, StoreError> {
    match backend.head(&location(path)).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed("inspect", path.to_owned(), source)),
    }
}

/// Lists the objects of a kind. Skips other files.
pub(super) fn list(backend: &dyn Backend, kind: ObjectKind) -> Listing<'static> {
    names(kind, backend.list(Some(&location(kind.rules().folder))))
}

/// Returns the names of those found that are objects of a kind.
pub(super) fn names(
    kind: ObjectKind,
    found: BoxStream<'static, Result<ObjectMeta, Error>>,
) -> Listing<'static> {
    let names = found.filter_map(move |found| {
        std::future::ready(match found {
            Ok(meta) => ObjectName::from_path(kind, meta.location.as_ref()).map(Ok),
            Err(source) => Some(Err(failed("list", kind.rules().folder.to_owned(), source))),
        })
    });
    names.boxed()
}

/// Removes an object. A missing object is not an error.
pub(super) async fn delete(backend: &dyn Backend, path: &str) -> Result<(), StoreError> {
    let place = location(path);
    let deleted = renewed(|| backend.delete(&place)).await;
    match deleted.map_err(|source| failed("delete", path.to_owned(), source)) {
        Ok(()) | Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a small object and reads it back.
pub(super) async fn probe(backend: &dyn Backend) -> Result<(), StoreError> {
    let object = "a probe of the store".to_owned();
    let place = path::Path::from("probe");
    let write = backend.put(&place, Bytes::from_static(PROBE).into()).await;
    write.map_err(|source| failed("write", object.clone(), source))?;
    let read = match backend.get(&place).await {
        Ok(answer) => answer.bytes().await,
        Err(source) => Err(source),
    };
    // The probe of another process writes the same bytes.
    match read.map_err(|source| failed("read", object.clone(), source))? {
        bytes if bytes == PROBE => Ok(()),
        _ => Err(StoreError::Damaged { object }),
    }
}

/// Makes the error of an operation on an object.
pub(super) fn failed(verb: &'static str, object: String, source: Error) -> StoreError {
    match (Fault::of(&source), source) {
        (Some((fault, why)), _) => StoreError::Bucket { verb, object, fault, why },
        (None, Error::NotFound { .. }) => StoreError::Missing { object },
        (None, source) => StoreError::Backend { verb, object, source },
    }
}

/// Makes the error of a range that lies outside its object.
pub(super) fn outside(range: &Range<u64>, object: &str) -> StoreError {
    StoreError::Range { object: object.to_owned(), start: range.start, end: range.end }
}

/// Returns the length of a range. Fails if the range does not lie in an object of `len` bytes.
pub(super) fn within(range: &Range<u64>, len: u64, object: &str) -> Result<usize, StoreError> {
    let refused = || outside(range, object);
    let wanted = range.end.checked_sub(range.start).filter(|_| range.end <= len);
    wanted.and_then(|wanted| usize::try_from(wanted).ok()).ok_or_else(refused)
}

/// Converts a path made by [`ObjectName::path`]. Its parts are names and hexadecimal digits, so
/// nothing is escaped.
pub(super) fn location(path: &str) -> path::Path {
    path::Path::from(path)
}
