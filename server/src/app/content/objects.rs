//! Reads of objects, proven against their names and decoded.
//!
//! The outcome is a value, because callers differ in what damage means to them: a check reports it,
//! a rebuild leaves the object out, an answer to a client fails.

use bytes::Bytes;
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::release::Release;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::pack::{Footer, TRAILER_LEN};
use seawall_store::port::{ObjectName, ObjectStore};

use super::Content;
use super::packs::frame_of;
use crate::app::AppError;
use crate::catalog::NewPack;

/// The reason of [`Found::Damaged`] for altered bytes.
pub(in crate::app) const OTHER_BYTES: &str = "its bytes do not match its name";

/// The outcome of reading an object.
#[derive(Debug)]
pub(in crate::app) enum Found<T> {
    /// The object, intact.
    Sound(T),
    /// The object does not exist, or was removed after the listing.
    Gone,
    /// The object is unreadable, altered or malformed, for this reason.
    Damaged(String),
}

impl<T> Found<T> {
    /// Returns the object, or the reason why `name` cannot be read.
    pub(in crate::app) fn sound(self, name: &ObjectName) -> Result<T, String> {
        self.or_reason(|| StoreError::Missing { object: name.path() }.to_string())
    }

    /// Returns the object, or the reason why it cannot be read: `gone` if there is no such object.
    pub(in crate::app) fn or_reason(self, gone: impl FnOnce() -> String) -> Result<T, String> {
        match self {
            Self::Sound(value) => Ok(value),
            Self::Gone => Err(gone()),
            Self::Damaged(why) => Err(why),
        }
    }

    /// Continues with an object that was read.
    fn and_then<U>(self, next: impl FnOnce(T) -> Result<U, String>) -> Found<U> {
        match self {
            Self::Sound(value) => next(value).map_or_else(Found::Damaged, Found::Sound),
            Self::Gone => Found::Gone,
            Self::Damaged(why) => Found::Damaged(why),
        }
    }
}

/// A digest that names objects of one type.
pub(in crate::app) trait Typed: Copy {
    /// The type of the objects.
    type Object;
    /// Returns the object's name in the store.
    fn name(self) -> ObjectName;
    /// Decodes the proven bytes of an object.
    fn decode(bytes: &Bytes) -> Result<Self::Object, String>;
}

impl Typed for LeafDigest {
    type Object = Leaf;

    fn name(self) -> ObjectName {
        ObjectName::Leaf(self)
    }

    fn decode(bytes: &Bytes) -> Result<Leaf, String> {
        Leaf::decode_any(bytes).map_err(|error| error.to_string())
    }
}

impl Typed for IndexDigest {
    type Object = DiskIndex;

    fn name(self) -> ObjectName {
        ObjectName::Index(self)
    }

    fn decode(bytes: &Bytes) -> Result<DiskIndex, String> {
        DiskIndex::decode(bytes).map_err(|error| error.to_string())
    }
}

impl Typed for ReleaseDigest {
    type Object = Release;

    fn name(self) -> ObjectName {
        ObjectName::Release(self)
    }

    fn decode(bytes: &Bytes) -> Result<Release, String> {
        Release::parse(bytes).map_err(|error| error.to_string())
    }
}

impl Typed for DescriptorDigest {
    type Object = Bytes;

    fn name(self) -> ObjectName {
        ObjectName::Descriptor(self)
    }

    /// Returns the bytes: descriptors are never interpreted.
    fn decode(bytes: &Bytes) -> Result<Bytes, String> {
        Ok(bytes.clone())
    }
}

/// Retries a read once, so that a transient read error is not reported as damage. A push may also
/// have repaired the object in between.
pub(in crate::app) async fn retry_once<T, R>(read: impl Fn() -> R) -> Result<Found<T>, AppError>
where
    R: Future<Output = Result<Found<T>, AppError>>,
{
    match read().await? {
        Found::Damaged(_) => read().await,
        found => Ok(found),
    }
}

/// Reads an object, with [`retry_once`].
///
/// # Errors
/// Fails if the store cannot serve.
pub(in crate::app) async fn read<D: Typed>(
    store: &dyn ObjectStore,
    digest: D,
) -> Result<Found<D::Object>, AppError> {
    read_with(store, &digest.name(), D::decode).await
}

/// Reads an object and decodes its bytes, with [`retry_once`].
///
/// # Errors
/// Fails if the store cannot serve.
pub(in crate::app) async fn read_with<T>(
    store: &dyn ObjectStore,
    name: &ObjectName,
    decode: impl Fn(&Bytes) -> Result<T, String>,
) -> Result<Found<T>, AppError> {
    let decode = &decode;
    let once = move || async move {
        let bytes = unproven(store, name).await?;
        Ok(bytes.and_then(|bytes| match name.is_of(&bytes) {
            true => decode(&bytes),
            false => Err(OTHER_BYTES.to_owned()),
        }))
    };
    retry_once(once).await
}

/// Reads an object's bytes, for callers that prove them. An object longer than its kind permits is
/// damaged.
///
/// # Errors
/// Fails if the store cannot serve.
pub(in crate::app) async fn unproven(
    store: &dyn ObjectStore,
    name: &ObjectName,
) -> Result<Found<Bytes>, AppError> {
    // A file that is not Seawall's may be too long for memory.
    let len = match readable(store, store.len(name).await).await? {
        Found::Sound(Some(len)) => len,
        Found::Sound(None) | Found::Gone => return Ok(Found::Gone),
        Found::Damaged(why) => return Ok(Found::Damaged(why)),
    };
    let rules = name.kind().rules();
    if len > rules.len_max as u64 {
        return Ok(Found::Damaged(format!("no {} has {len} bytes", rules.noun)));
    }
    readable(store, store.get(name).await).await
}

/// Reads the length and the footer of a pack, without reading the frames.
///
/// # Errors
/// Fails if the store cannot serve.
pub(in crate::app) async fn read_footer(
    store: &dyn ObjectStore,
    digest: PackDigest,
) -> Result<Found<(u64, Footer)>, AppError> {
    const TRAILER: u64 = TRAILER_LEN as u64;
    let name = ObjectName::Pack(digest);
    let pack = match readable(store, store.open(&name).await).await? {
        Found::Sound(pack) => pack,
        Found::Gone => return Ok(Found::Gone),
        Found::Damaged(why) => return Ok(Found::Damaged(why)),
    };
    let len = pack.len();
    if len < TRAILER || len > name.kind().rules().len_max as u64 {
        return Ok(Found::Damaged(format!("no pack has {len} bytes")));
    }
    let trailer = readable(store, pack.read(len - TRAILER..len).await).await?;
    let place = trailer.and_then(|trailer| match trailer.first_chunk() {
        Some(trailer) => Footer::place(len, trailer).map_err(|error| error.to_string()),
        None => Err("it is truncated".to_owned()),
    });
    let place = match place {
        Found::Sound(place) => place,
        Found::Gone => return Ok(Found::Gone),
        Found::Damaged(why) => return Ok(Found::Damaged(why)),
    };
    let start = place.start;
    let footer = readable(store, pack.read(place).await).await?;
    Ok(footer.and_then(|footer| {
        let footer = Footer::of_tail(digest, &footer, start).map_err(|error| error.to_string())?;
        Ok((len, footer))
    }))
}

/// Reads the catalog's row of a pack from its footer.
///
/// # Errors
/// Fails if the store cannot serve.
pub(in crate::app) async fn read_pack(
    store: &dyn ObjectStore,
    digest: PackDigest,
) -> Result<Found<NewPack>, AppError> {
    let read = read_footer(store, digest).await?;
    Ok(read.and_then(|(len, footer)| {
        let frames = footer.frames().iter().map(frame_of).collect();
        Ok(NewPack { digest, len, frames })
    }))
}

/// Separates damage or absence from a store that cannot serve. A read error of the medium counts as
/// damage if the store still passes a probe: one bad sector is damage, a failing disk is not.
async fn readable<T>(
    store: &dyn ObjectStore,
    result: Result<T, StoreError>,
) -> Result<Found<T>, AppError> {
    match result {
        Ok(value) => Ok(Found::Sound(value)),
        Err(error) if error.is_media_failure() => {
            store.probe().await?;
            Ok(Found::Damaged("the disk failed to read it".to_owned()))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(Found::Gone),
            ErrorKind::InvalidInput | ErrorKind::Damaged => Ok(Found::Damaged(error.to_string())),
            _ => Err(error.into()),
        },
    }
}

impl Content {
    /// Reads an object that the catalog lists.
    ///
    /// # Errors
    /// [`AppError::Damaged`] if the object is missing, altered or malformed, or the error of the
    /// store.
    pub(in crate::app) async fn read<D: Typed>(&self, digest: D) -> Result<D::Object, AppError> {
        let found = read(&*self.store, digest).await?;
        self.expect(&digest.name(), found).await
    }

    /// Returns the bytes of an object that the catalog lists.
    ///
    /// # Errors
    /// [`AppError::Damaged`] if the object is missing or altered, or the error of the store.
    pub(in crate::app) async fn proven_bytes(&self, name: &ObjectName) -> Result<Bytes, AppError> {
        let found = self.find_bytes(name).await?;
        self.expect(name, found).await
    }

    /// Reads the bytes of an object that the catalog may not list, for a client: from the cache if
    /// they are there.
    ///
    /// # Errors
    /// Fails if the store cannot serve.
    pub(super) async fn find_bytes(&self, name: &ObjectName) -> Result<Found<Bytes>, AppError> {
        if let Some(cache) = &self.cache
            && let Some(bytes) = cache.object(name).await
        {
            return Ok(Found::Sound(bytes));
        }
        let found = read_with(&*self.store, name, |bytes| Ok(bytes.clone())).await?;
        if let (Some(cache), Found::Sound(bytes)) = (&self.cache, &found) {
            cache.keep_object(name, bytes.clone()).await;
        }
        Ok(found)
    }

    /// Returns the object that was read. Logs damage and fails if the object is missing or damaged.
    pub(super) async fn expect<T>(
        &self,
        name: &ObjectName,
        found: Found<T>,
    ) -> Result<T, AppError> {
        match found {
            Found::Sound(value) => Ok(value),
            Found::Gone | Found::Damaged(_) => {
                self.damage.log_once(name).await;
                Err(AppError::Damaged { object: name.path() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use seawall_store::backend::Bucket;

    use super::*;
    use crate::app::tests::faults::BadSector;
    use crate::app::tests::fixture::TinyDisk;

    #[tokio::test]
    async fn an_object_is_sound_gone_or_damaged() {
        let store: Arc<dyn ObjectStore> = Arc::new(Bucket::in_memory());
        let (leaf, bytes) = TinyDisk::new("ab").leaf_bytes();
        assert!(matches!(read(&*store, leaf).await.unwrap(), Found::Gone));
        store.put(&leaf.name(), bytes.clone()).await.unwrap();
        assert!(matches!(read(&*store, leaf).await.unwrap(), Found::Sound(_)));
        for (failing, is_sound) in [(1, true), (2, false)] {
            let (inner, left) = (Arc::clone(&store), AtomicU64::new(failing));
            let store = BadSector { inner, object: leaf.name(), left, is_probed: true };
            let found = read(&store, leaf).await.unwrap();
            assert_eq!(matches!(found, Found::Sound(_)), is_sound, "{failing} reads fail");
        }
        store.replace(&leaf.name(), bytes.slice(1..)).await.unwrap();
        let why = read(&*store, leaf).await.unwrap().sound(&leaf.name()).unwrap_err();
        assert_eq!(why, OTHER_BYTES);
        let noise = Bytes::from_static(b"noise");
        let noisy = LeafDigest::of(&noise);
        store.put(&noisy.name(), noise).await.unwrap();
        assert!(matches!(read(&*store, noisy).await.unwrap(), Found::Damaged(_)));
    }
}
