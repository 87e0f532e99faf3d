//! The removal of swept content. Collections decide a sweep and carry it out here, and uploads
//! finish a sweep that a crash interrupted.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_store::port::{ObjectName, ObjectStore};

use super::AppError;
use super::records::Records;
use crate::catalog::Catalog;
use crate::catalog::collect::Sweeping;
use crate::catalog::engine::Claim;

/// Objects removed concurrently.
const REMOVALS_AT_ONCE: usize = 8;
/// Places per catalog query.
const PLACES_PAGE: u32 = 100_000;

/// The quantities of a sweep.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Swept {
    /// The number of removed packs.
    pub(super) pack_count: u64,
    /// The length of the removed packs, in bytes.
    pub(super) pack_bytes: u64,
    /// The number of other removed objects.
    pub(super) object_count: u64,
    /// The length of the other removed objects, in bytes.
    pub(super) object_bytes: u64,
}

/// Carries out decided sweeps.
#[derive(Clone)]
pub(super) struct Sweeper {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) catalog: Catalog,
    pub(super) records: Records,
}

impl Sweeper {
    /// Finishes an interrupted sweep that blocks a request, unless another process is collecting.
    pub(super) async fn finish_abandoned(&self) -> Result<(), AppError> {
        if self.catalog.sweeping().await? == Sweeping::default() {
            return Ok(());
        }
        if let Some(claim) = self.catalog.claim_collecting().await? {
            self.records.prove_current().await?;
            self.finish(&claim).await?;
        }
        Ok(())
    }

    /// Carries out a decided sweep, which a crash may have interrupted. Stops when `claim`, the
    /// right to sweep, is lost: another process then ends the sweep, and the objects may be stored
    /// anew.
    ///
    /// # Errors
    /// [`AppError::Busy`] if the claim is lost; also fails if a port fails.
    pub(super) async fn finish(&self, claim: &Claim) -> Result<Swept, AppError> {
        let sweeping = self.catalog.sweeping().await?;
        let mut swept = Swept::default();
        if sweeping == Sweeping::default() {
            return Ok(swept);
        }
        if !sweeping.packs.is_empty() {
            let mut after = None;
            loop {
                after = self.catalog.delete_places(after, PLACES_PAGE).await?;
                if after.is_none() {
                    break;
                }
            }
        }
        let packs = sweeping.packs.iter().map(|pack| ObjectName::Pack(*pack)).collect();
        (swept.pack_count, swept.pack_bytes) = self.remove(packs, claim).await?;
        let objects = sweeping.objects.iter().map(|object| object.object()).collect();
        (swept.object_count, swept.object_bytes) = self.remove(objects, claim).await?;
        self.catalog.end_sweep(sweeping).await?;
        Ok(swept)
    }

    /// Removes objects. Returns their number, and their length in bytes.
    async fn remove(&self, names: Vec<ObjectName>, claim: &Claim) -> Result<(u64, u64), AppError> {
        let removals = stream::iter(names.into_iter().map(|name| async move {
            let len = self.store.len(&name).await?;
            if len.is_some() {
                if !claim.is_held().await {
                    return Err(AppError::Busy { what: "another process finishes the sweep" });
                }
                self.store.delete(&name).await?;
            }
            Ok::<_, AppError>(len)
        }));
        let mut removals = removals.buffer_unordered(REMOVALS_AT_ONCE);
        let (mut count, mut bytes) = (0, 0);
        while let Some(len) = removals.try_next().await? {
            count += u64::from(len.is_some());
            bytes += len.unwrap_or(0);
        }
        Ok((count, bytes))
    }
}
