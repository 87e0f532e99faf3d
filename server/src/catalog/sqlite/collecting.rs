//! The port for collection. Each method runs one function of `collect` or `deletion`.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;

use rusqlite::Transaction;
use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};
use seawall_api::names::{ApplicationName, Version};
use seawall_store::error::ErrorKind;

use super::{SqliteCatalog, collect, deletion};
use crate::catalog::collect::{
    Added, CollectClaim, CollectState, Collectable, Collecting, DeleteRequest, Deletion, Grip,
    OlderLeases, PackRow, PlaceRow, Roots, Sweep, Sweeping, Tombstone,
};
use crate::catalog::error::CatalogError;
use crate::catalog::model::NewPack;
use crate::own_file::open_own;

/// Suffix of the file that is locked by the collection with the right to sweep.
const CLAIM_SUFFIX: &str = "-collecting";

#[async_trait::async_trait]
impl Collecting for SqliteCatalog {
    async fn claim_collecting(&self) -> Result<Option<CollectClaim>, CatalogError> {
        let mut path = self.connections.path().as_os_str().to_owned();
        path.push(CLAIM_SUFFIX);
        let path = PathBuf::from(path);
        let claimed = tokio::task::spawn_blocking(move || {
            let mut options = File::options();
            let file = open_own(&path, options.create(true).truncate(false).write(true))?;
            match file.try_lock() {
                Ok(()) => Ok(Some(CollectClaim::new(file))),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        });
        let action = "claim the sweep";
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::Denied
                }
                io::ErrorKind::StorageFull => ErrorKind::StorageFull,
                _ => ErrorKind::Unavailable,
            };
            CatalogError::new(kind, action, error)
        };
        claimed
            .await
            .map_err(|error| CatalogError::new(ErrorKind::Internal, action, error))?
            .map_err(failed)
    }

    async fn collect_state(&self, now_secs: u64) -> Result<CollectState, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::state(tx, now_secs);
        self.connections.write("read the progress of collections", work).await
    }

    async fn roots(&self) -> Result<Roots, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::roots(tx);
        self.connections.read("list objects to keep", work).await
    }

    async fn all_packs(&self) -> Result<Vec<PackRow>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::all_packs(tx);
        self.connections.read("list packs", work).await
    }

    async fn places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Vec<PlaceRow>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::places(tx, after, limit);
        self.connections.read("list places", work).await
    }

    async fn places_of(&self, chunks: Vec<ChunkDigest>) -> Result<Vec<PlaceRow>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::places_of(tx, &chunks);
        self.connections.read("find places", work).await
    }

    async fn all_objects(&self) -> Result<Vec<Collectable>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::all_objects(tx);
        self.connections.read("list leaves and indexes", work).await
    }

    async fn leaves_in(&self, packs: Vec<PackDigest>) -> Result<Vec<LeafDigest>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::leaves_in(tx, &packs);
        self.connections.read("list leaves", work).await
    }

    async fn move_frames(
        &self,
        pack: NewPack,
        from: Vec<PackDigest>,
        grip: Grip,
    ) -> Result<Added, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::move_frames(tx, &pack, &from, grip);
        self.connections.write("move chunks", work).await
    }

    async fn condemn(
        &self,
        packs: Vec<(PackDigest, u64)>,
        objects: Vec<Collectable>,
    ) -> Result<u64, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::condemn(tx, &packs, &objects);
        self.connections.write("condemn", work).await
    }

    async fn condemned(&self) -> Result<Sweeping, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::condemned(tx);
        self.connections.read("list condemned objects", work).await
    }

    async fn older_leases(
        &self,
        generation: u64,
        now_secs: u64,
    ) -> Result<Option<OlderLeases>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::older_leases(tx, generation, now_secs);
        self.connections.write("look for older leases", work).await
    }

    async fn pardon(
        &self,
        packs: Vec<PackDigest>,
        objects: Vec<Collectable>,
    ) -> Result<(), CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::pardon(tx, &packs, &objects);
        self.connections.write("pardon", work).await
    }

    async fn begin_sweep(&self, sweep: Sweep) -> Result<Sweeping, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::begin_sweep(tx, &sweep);
        self.connections.write("begin a sweep", work).await
    }

    async fn sweeping(&self) -> Result<Sweeping, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::sweeping(tx);
        self.connections.read("list objects to sweep", work).await
    }

    async fn forget_places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Option<ChunkDigest>, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::forget_places(tx, after, limit);
        self.connections.write("forget places", work).await
    }

    async fn end_sweep(&self, done: Sweeping) -> Result<(), CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::end_sweep(tx, &done);
        self.connections.write("end a sweep", work).await
    }

    async fn end_collection(&self, litter: u64) -> Result<(), CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::end_collection(tx, litter);
        self.connections.write("end a collection", work).await
    }

    async fn revive(&self, object: Collectable, grip: Grip) -> Result<Added, CatalogError> {
        let work = move |tx: &Transaction<'_>| collect::revive(tx, object, grip);
        self.connections.write("revive an object", work).await
    }

    async fn delete_release(&self, request: DeleteRequest) -> Result<Deletion, CatalogError> {
        let work = move |tx: &Transaction<'_>| deletion::delete(tx, &request);
        self.connections.write("delete a release", work).await
    }

    async fn tombstones(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, CatalogError> {
        let work = move |tx: &Transaction<'_>| deletion::tombstones(tx, after.as_ref(), limit);
        self.connections.read("list deleted releases", work).await
    }

    async fn restore_tombstone(&self, tombstone: Tombstone) -> Result<(), CatalogError> {
        let work = move |tx: &Transaction<'_>| deletion::restore(tx, &tombstone);
        self.connections.write("restore a tombstone", work).await
    }
}
