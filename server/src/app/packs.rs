//! Packs: kept once every frame of them was decoded and re-hashed.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::digest::PackDigest;
use seawall_store::error::ErrorKind;
use seawall_store::pack::{self, VerifiedPack};
use seawall_store::port::{ObjectName, OpenObject, Put};

use super::rebuild::content::twice;
use super::rebuild::readable;
use super::{AppError, Registry, present};
use crate::catalog::{Frame, LeaseId, NewPack};

/// A pack that is open to be read.
#[derive(Clone)]
pub struct PackObject {
    digest: PackDigest,
    object: Arc<dyn OpenObject>,
}

impl PackObject {
    /// Its name.
    pub fn digest(&self) -> PackDigest {
        self.digest
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty)] // none is
    pub fn len(&self) -> u64 {
        self.object.len()
    }

    /// Some of its bytes. Whoever decodes them proves them: chunk by chunk, against the index.
    ///
    /// # Errors
    /// When it was cut meanwhile, or the store fails.
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

/// What became of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptPack {
    /// Whether the store had it.
    pub put: Put,
    /// How many chunks it holds.
    pub chunk_count: u64,
}

/// A frame as the catalog keeps it.
pub(super) fn frame_of(frame: &pack::Frame) -> Frame {
    Frame {
        digest: frame.digest,
        offset: frame.offset,
        stored_len: frame.stored_len,
        plain_len: frame.plain_len,
        encoding: frame.encoding.number(),
    }
}

/// What the catalog keeps of a pack.
pub(super) fn row_of(pack: &VerifiedPack) -> NewPack {
    let frames = pack.frames().iter().map(frame_of).collect();
    NewPack { digest: pack.digest(), len: pack.bytes().len() as u64, frames }
}

impl Registry {
    /// Keeps a pack and makes its chunks known. Sending it again is harmless.
    ///
    /// # Errors
    /// When the lease has ended, the bytes are not that pack, or a port fails.
    pub async fn upload_pack(
        &self,
        lease: LeaseId,
        expected: PackDigest,
        bytes: Bytes,
    ) -> Result<KeptPack, AppError> {
        let found = self.use_lease(lease).await?;
        let pack = self.prove_pack(expected, bytes).await?;
        let brings = self.check_quota_of_pack(&found, &row_of(&pack).frames).await?;
        let name = ObjectName::Pack(expected);
        let put = self
            .keep_under(lease, &name, pack.bytes(), async |grip| {
                Ok(self.catalog.add_pack(row_of(&pack), grip).await?)
            })
            .await?;
        if let Some(brings) = brings {
            self.catalog.add_lease_load(lease, brings).await?;
        }
        Ok(KeptPack { put, chunk_count: pack.frames().len() as u64 })
    }

    /// A pack of which every frame was decoded and hashed.
    pub(super) async fn prove_pack(
        &self,
        expected: PackDigest,
        bytes: Bytes,
    ) -> Result<VerifiedPack, AppError> {
        Ok(self.examine(move || VerifiedPack::verify(expected, bytes)).await??)
    }

    /// Decodes and hashes a pack, where that blocks no request.
    pub(super) async fn examine<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let internal = |source| AppError::Internal { action: "examine a pack", source };
        let permit = Arc::clone(&self.proving).acquire_owned().await;
        let permit = permit.map_err(|error| internal(error.into()))?;
        let proof = tokio::task::spawn_blocking(move || {
            // It goes on when its client is gone, and is counted until it ends.
            let _permit = permit;
            work()
        });
        proof.await.map_err(|error| internal(error.into()))
    }

    /// Whether every byte of a pack is what it was.
    pub(super) async fn is_sound(&self, pack: PackDigest) -> Result<bool, AppError> {
        let read = || async {
            let bytes = self.store.get(&ObjectName::Pack(pack)).await;
            match readable(&*self.store, bytes).await? {
                Ok(bytes) => {
                    let verified = self.examine(move || VerifiedPack::verify(pack, bytes)).await?;
                    Ok(verified.map_err(|error| error.to_string()))
                }
                Err(what) => Ok(Err(what)),
            }
        };
        Ok(twice(read).await?.is_ok())
    }

    /// Says of a pack that it is damaged or gone, to whoever may mend it.
    pub(super) async fn lose_pack(&self, pack: PackDigest) -> Result<(), AppError> {
        match self.catalog.lose_pack(pack).await {
            // Who may write it finds it lost as well.
            Err(error) if error.barrier().is_some() => return Ok(()),
            outcome => outcome?,
        }
        self.note_damage(&ObjectName::Pack(pack)).await;
        Ok(())
    }

    /// Opens a pack, found to be as long as it was when it was kept.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] when it was cut or is gone.
    pub async fn pack(&self, digest: PackDigest) -> Result<PackObject, AppError> {
        let len = self.catalog.pack_len(digest).await?;
        let len = len.ok_or_else(|| AppError::not_found(format!("pack {digest}")))?;
        match present(self.store.open(&ObjectName::Pack(digest)).await)? {
            Some(object) if object.len() == len => Ok(PackObject { digest, object }),
            _ => {
                self.lose_pack(digest).await?;
                Err(damaged(digest))
            }
        }
    }
}
