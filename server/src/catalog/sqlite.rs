//! The catalog in one SQLite file.
//!
//! # Invariants
//!
//! 1. The file uses a write-ahead log and `synchronous = FULL`: a transaction that returned
//!    survives loss of power.
//! 2. Write transactions begin as `IMMEDIATE`, so that none fails half-way because another process
//!    wrote first.
//! 3. A connection is lent to one call at a time. A call that panics leaves no transaction open.
//!
//! # At the same time
//!
//! | running ↓ / starting → | read | write | another process |
//! |---|---|---|---|
//! | read | free, `READERS` at once | free: readers see the last commit | free |
//! | write | free | waits for the one writer | waits, at most `BUSY_WAIT` |
//!
//! # After a crash
//!
//! SQLite rolls the log back or forward when the file is next opened; no transaction is half done.
//! A catalog being rebuilt is a separate file until it is complete (`scratch`).

use std::fs::File;
use std::path::Path;

use rusqlite::Transaction;
use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::ChunkRef;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;

use super::collect::{Added, Grip};
use super::error::{Barrier, CatalogError};
use super::id::LeaseId;
use super::model::{
    Application, Channel, ChannelMove, IndexRow, LeafAdded, LeafRow, Lease, LeaseOpened, Located,
    MoveRequest, Moved, NewLease, NewPack, NewRelease, PastChannel, Publication, Release,
};
use super::port::Catalog;

mod audit;
mod channels;
mod check;
mod collect;
mod collecting;
mod connection;
mod content;
mod deletion;
mod fleet;
mod fleet_port;
mod leases;
mod quotas;
mod releases;
mod reserve;
mod row;
mod schema;
mod scratch;
mod watch;
mod webhooks;

use connection::{Connections, Durability};
pub use scratch::{Found, Scratch};

/// A catalog in one SQLite file.
#[derive(Debug)]
pub struct SqliteCatalog {
    connections: Connections,
    /// Held while the catalog is in use, so that no process replaces the file meanwhile.
    _lock: Option<File>,
}

impl SqliteCatalog {
    /// Opens the catalog at `path`, creating and migrating the file where necessary.
    ///
    /// # Errors
    /// If the file cannot be used, is not a catalog, or was written by a later version.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let connections = Connections::open(path, Durability::EveryCommit)?;
        Ok(Self { connections, _lock: None })
    }

    /// Opens the catalog with commits that need not survive loss of power.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(test)]
    pub(crate) fn open_unsynced(path: &Path) -> Result<Self, CatalogError> {
        let connections = Connections::open(path, Durability::Never)?;
        Ok(Self { connections, _lock: None })
    }
}

#[async_trait::async_trait]
impl Catalog for SqliteCatalog {
    async fn open_lease(
        &self,
        lease: NewLease,
        now_secs: u64,
    ) -> Result<LeaseOpened, CatalogError> {
        self.connections.write("open a lease", move |tx| leases::open(tx, &lease, now_secs)).await
    }

    async fn lease(&self, id: LeaseId, now_secs: u64) -> Result<Option<Lease>, CatalogError> {
        self.connections.read("read a lease", move |tx| leases::alive(tx, id, now_secs)).await
    }

    async fn renew_lease(
        &self,
        id: LeaseId,
        now_secs: u64,
        deadline_secs: u64,
    ) -> Result<bool, CatalogError> {
        let renew = move |tx: &Transaction<'_>| leases::renew(tx, id, now_secs, deadline_secs);
        self.connections.write("renew a lease", renew).await
    }

    async fn note_kept(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.connections
            .write("record a lease's objects", move |tx| leases::note_kept(tx, id))
            .await
    }

    async fn end_lease(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.connections.write("end a lease", move |tx| leases::end(tx, id)).await
    }

    async fn add_pack(&self, pack: NewPack, grip: Grip) -> Result<Added, CatalogError> {
        self.connections.write("add a pack", move |tx| content::add_pack(tx, &pack, grip)).await
    }

    async fn pack_len(&self, pack: PackDigest) -> Result<Option<u64>, CatalogError> {
        self.connections.read("read a pack's length", move |tx| content::pack_len(tx, pack)).await
    }

    async fn missing_chunks(
        &self,
        chunks: Vec<ChunkDigest>,
        grip: Grip,
    ) -> Result<Vec<u32>, CatalogError> {
        let look = move |tx: &Transaction<'_>| content::missing(tx, &chunks, grip);
        self.connections.read("look up chunks", look).await
    }

    async fn locate_chunks(&self, chunks: Vec<ChunkDigest>) -> Result<Located, CatalogError> {
        self.connections.read("locate chunks", move |tx| content::locate(tx, &chunks)).await
    }

    async fn lose_pack(&self, pack: PackDigest) -> Result<(), CatalogError> {
        self.connections.write("record a lost pack", move |tx| content::lose_pack(tx, pack)).await
    }

    async fn add_leaf(
        &self,
        leaf: LeafRow,
        chunks: Vec<ChunkRef>,
        grip: Grip,
    ) -> Result<LeafAdded, CatalogError> {
        let add = move |tx: &Transaction<'_>| content::add_leaf(tx, &leaf, &chunks, grip);
        self.connections.write("add a leaf", add).await
    }

    async fn forget_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError> {
        self.connections.write("forget a leaf", move |tx| content::lose_leaf(tx, leaf)).await
    }

    async fn packs_of(
        &self,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<(PackDigest, u64)>, CatalogError> {
        self.connections.read("list packs", move |tx| content::packs_of(tx, &leaves)).await
    }

    async fn leaves(
        &self,
        leaves: Vec<LeafDigest>,
        grip: Grip,
    ) -> Result<Vec<Option<LeafRow>>, CatalogError> {
        self.connections.read("look up leaves", move |tx| content::leaves(tx, &leaves, grip)).await
    }

    async fn add_index(&self, index: IndexRow, grip: Grip) -> Result<Added, CatalogError> {
        self.connections.write("add an index", move |tx| content::add_index(tx, &index, grip)).await
    }

    async fn index(
        &self,
        index: IndexDigest,
        grip: Grip,
    ) -> Result<Option<IndexRow>, CatalogError> {
        self.connections.read("read an index", move |tx| content::index(tx, index, grip)).await
    }

    async fn publish(&self, release: NewRelease) -> Result<Publication, CatalogError> {
        self.connections.write("publish a release", move |tx| releases::publish(tx, &release)).await
    }

    async fn release(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Option<Release>, CatalogError> {
        let read = move |tx: &Transaction<'_>| releases::read(tx, &application, release);
        self.connections.read("read a release", read).await
    }

    async fn restore_release(
        &self,
        release: Release,
        indexes: Vec<IndexDigest>,
    ) -> Result<bool, CatalogError> {
        let restore = move |tx: &Transaction<'_>| releases::restore(tx, &release, &indexes);
        self.connections.write("restore a release", restore).await
    }

    async fn resolve(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<ReleaseDigest>, CatalogError> {
        let resolve = move |tx: &Transaction<'_>| releases::resolve(tx, &application, &selector);
        self.connections.read("resolve a release", resolve).await
    }

    async fn releases(
        &self,
        application: ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError> {
        let list =
            move |tx: &Transaction<'_>| releases::list(tx, &application, after.as_ref(), limit);
        self.connections.read("list releases", list).await
    }

    async fn applications(
        &self,
        after: Option<ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>, CatalogError> {
        let list = move |tx: &Transaction<'_>| releases::applications(tx, after.as_ref(), limit);
        self.connections.read("list applications", list).await
    }

    async fn has_application(&self, name: ApplicationName) -> Result<bool, CatalogError> {
        let find = move |tx: &Transaction<'_>| releases::has_application(tx, &name);
        self.connections.read("find an application", find).await
    }

    async fn application(
        &self,
        name: ApplicationName,
    ) -> Result<Option<Application>, CatalogError> {
        let read = move |tx: &Transaction<'_>| releases::application(tx, &name);
        self.connections.read("read an application", read).await
    }

    async fn channels(&self, application: ApplicationName) -> Result<Vec<Channel>, CatalogError> {
        self.connections.read("list channels", move |tx| channels::list(tx, &application)).await
    }

    async fn channel(
        &self,
        application: ApplicationName,
        channel: ChannelName,
    ) -> Result<Option<Channel>, CatalogError> {
        let read = move |tx: &Transaction<'_>| channels::read(tx, &application, &channel);
        self.connections.read("read a channel", read).await
    }

    async fn channel_moves(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        limit: u32,
    ) -> Result<Vec<ChannelMove>, CatalogError> {
        let read = move |tx: &Transaction<'_>| channels::moves(tx, &application, &channel, limit);
        self.connections.read("read a channel's moves", read).await
    }

    async fn move_channel(&self, request: MoveRequest) -> Result<Moved, CatalogError> {
        self.connections.write("move a channel", move |tx| channels::advance(tx, &request)).await
    }

    async fn restore_channel(&self, past: PastChannel) -> Result<(), CatalogError> {
        self.connections.write("restore a channel", move |tx| channels::restore(tx, &past)).await
    }

    fn barrier(&self) -> Option<Barrier> {
        self.connections.barrier()
    }

    async fn make_room(&self) -> Result<(), CatalogError> {
        self.connections.make_room().await
    }

    async fn keep_room(&self) -> Result<(), CatalogError> {
        self.connections.keep_room().await;
        Ok(())
    }

    async fn probe(&self) -> Result<(), CatalogError> {
        if self.barrier().is_some() {
            return self.connections.read("serve", |_| Ok(())).await;
        }
        self.connections.write("serve", leases::probe).await
    }
}
