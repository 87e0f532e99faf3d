//! Packs, stored after every frame was decoded and re-hashed.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::digest::PackDigest;
use seawall_store::error::ErrorKind;
use seawall_store::pack::{self, VerifiedPack};
use seawall_store::port::{ObjectName, OpenObject, Put};

use super::Content;
use super::objects::{self, Found};
use crate::app::audit::quotas;
use crate::app::{AppError, present};
use crate::catalog::{Frame, LeaseId, NewPack};

/// A pack opened for reading.
#[derive(Clone)]
pub struct PackObject {
    digest: PackDigest,
    object: Arc<dyn OpenObject>,
}

impl PackObject {
    /// Returns the digest of the pack.
    pub fn digest(&self) -> PackDigest {
        self.digest
    }

    /// Returns the length in bytes.
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.object.len()
    }

    /// Returns the length of the reads that suit the store, in bytes.
    pub fn piece_len(&self) -> u64 {
        self.object.piece_len()
    }

    /// Returns an address from which a client may read the pack for a while; `None` if clients are
    /// not sent there.
    ///
    /// # Errors
    /// Fails if there are no credentials to sign it.
    pub async fn link(&self) -> Result<Option<String>, AppError> {
        Ok(self.object.link().await?)
    }

    /// Reads a range of bytes, unproven. The client proves each decoded chunk against the index.
    ///
    /// # Errors
    /// Fails if the pack was truncated after it was opened, or the store fails.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, AppError> {
        match self.object.read(range).await {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(damaged(self.digest)),
            Err(error) => Err(error.into()),
        }
    }
}

fn damaged(pack: PackDigest) -> AppError {
    AppError::Damaged { object: ObjectName::Pack(pack).path() }
}

/// The result of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptPack {
    /// The outcome in the store: created, or already present.
    pub put: Put,
    /// The number of chunks in the pack.
    pub chunk_count: u64,
}

/// Converts a frame to its row in the catalog.
pub(in crate::app) fn frame_of(frame: &pack::Frame) -> Frame {
    Frame {
        digest: frame.digest,
        offset: frame.offset,
        stored_len: frame.stored_len,
        plain_len: frame.plain_len,
        encoding: frame.encoding.number(),
    }
}

/// Returns the catalog's row of a pack.
pub(in crate::app) fn row_of(pack: &VerifiedPack) -> NewPack {
    let frames = pack.frames().iter().map(frame_of).collect();
    NewPack { digest: pack.digest(), len: pack.bytes().len() as u64, frames }
}

impl Content {
    /// Stores a pack and registers its chunks. Idempotent.
    ///
    /// # Errors
    /// Fails if the lease has ended, the bytes do not match the digest, or a port fails.
    pub async fn upload_pack(
        &self,
        lease: LeaseId,
        expected: PackDigest,
        bytes: Bytes,
    ) -> Result<KeptPack, AppError> {
        let admission = self.admit_upload(lease).await?;
        let pack = self.prove_pack(expected, bytes).await?;
        quotas::check_pack(&self.catalog, &admission, &row_of(&pack).frames).await?;
        let name = ObjectName::Pack(expected);
        let put = self
            .keep_admitted(admission, &name, pack.bytes(), async |stored| {
                Ok(self.catalog.keep_pack(row_of(&pack), stored).await?)
            })
            .await?;
        Ok(KeptPack { put, chunk_count: pack.frames().len() as u64 })
    }

    /// Decodes and hashes every frame of a pack.
    pub(in crate::app) async fn prove_pack(
        &self,
        expected: PackDigest,
        bytes: Bytes,
    ) -> Result<VerifiedPack, AppError> {
        Ok(self.examine(move || VerifiedPack::verify(expected, bytes)).await??)
    }

    /// Runs work on a pack on a blocking thread, once a permit is free.
    pub(in crate::app) async fn examine<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let internal = |source| AppError::Internal { action: "examine a pack", source };
        let permit = Arc::clone(&self.proving).acquire_owned().await;
        let permit = permit.map_err(|error| internal(error.into()))?;
        let proof = tokio::task::spawn_blocking(move || {
            // The work continues after its client disconnects, and holds the permit until it ends.
            let _permit = permit;
            work()
        });
        proof.await.map_err(|error| internal(error.into()))
    }

    /// Returns whether every byte of a stored pack is intact.
    pub(in crate::app) async fn is_sound(&self, pack: PackDigest) -> Result<bool, AppError> {
        let read = || async {
            match objects::unproven(&*self.store, &ObjectName::Pack(pack)).await? {
                Found::Sound(bytes) => {
                    let verified = self.examine(move || VerifiedPack::verify(pack, bytes)).await?;
                    Ok(match verified {
                        Ok(_) => Found::Sound(()),
                        Err(error) => Found::Damaged(error.to_string()),
                    })
                }
                Found::Gone => Ok(Found::Gone),
                Found::Damaged(why) => Ok(Found::Damaged(why)),
            }
        };
        Ok(matches!(objects::retry_once(read).await?, Found::Sound(())))
    }

    /// Marks a pack as lost in the catalog, and logs the damage.
    pub(in crate::app) async fn mark_pack_lost(&self, pack: PackDigest) -> Result<(), AppError> {
        self.forget_cached(pack);
        match self.catalog.mark_pack_lost(pack).await {
            // A process that can write the catalog will find the loss itself.
            Err(error) if error.barrier().is_some() => return Ok(()),
            outcome => outcome?,
        }
        self.damage.log_once(&ObjectName::Pack(pack)).await;
        Ok(())
    }

    /// Forgets what the cache holds of a pack, because a reader found it wrong or it was replaced.
    pub fn forget_cached(&self, pack: PackDigest) {
        if let Some(cache) = &self.cache {
            cache.forget(pack);
        }
    }

    /// Opens a pack after comparing its length with the catalog. Its bytes may come from the cache.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] if the pack is missing or truncated.
    pub async fn pack(&self, digest: PackDigest) -> Result<PackObject, AppError> {
        let len = self.catalog.pack_len(digest).await?;
        let len = len.ok_or_else(|| AppError::not_found(format!("pack {digest}")))?;
        match present(self.store.open(&ObjectName::Pack(digest)).await)? {
            Some(object) if object.len() == len => {
                let object = match &self.cache {
                    Some(cache) => cache.over(digest, object),
                    None => object,
                };
                Ok(PackObject { digest, object })
            }
            _ => {
                self.mark_pack_lost(digest).await?;
                Err(damaged(digest))
            }
        }
    }
}
