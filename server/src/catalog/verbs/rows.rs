//! Rows, as a check compares them with the store.

use seawall_api::digest::{LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};

use super::super::model::channels::ChannelMove;
use super::super::model::check::{KnownPack, MoveRow};
use super::super::model::collect::Actor;
use super::super::model::content::{Frame, LeafRow, NewPack};
use super::super::model::releases::Release;
use super::super::rules::maintenance::{identity, rows};
use super::super::{Catalog, CatalogError, Identity, RegistryId};

/// The maximum number of channels adrift that are listed.
const FAULTS_NAMED: u32 = 100;

impl Catalog {
    /// Returns the identity of the registry, if one was given.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn identity(&self) -> Result<Option<Identity>, CatalogError> {
        self.read("read its identity", |tx| identity::get(tx)).await
    }

    /// Returns the identity of the registry. Gives it this id if it has none.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn identify(&self, registry: RegistryId) -> Result<Identity, CatalogError> {
        self.write("record its identity", move |tx| identity::give(tx, registry)).await
    }

    /// Binds the registry to the store at an address.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn bind_store(&self, address: String) -> Result<(), CatalogError> {
        self.write("record its store", move |tx| identity::bind(tx, &address)).await
    }

    /// Returns the total length of all packs, in bytes.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn packs_len(&self) -> Result<u64, CatalogError> {
        self.read("sum up packs", move |tx| rows::packs_len(tx)).await
    }

    /// Returns a pack.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_pack(&self, pack: PackDigest) -> Result<Option<KnownPack>, CatalogError> {
        self.read("read a pack's row", move |tx| rows::pack(tx, pack)).await
    }

    /// Lists packs by digest, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_packs(
        &self,
        after: Option<PackDigest>,
        limit: u32,
    ) -> Result<Vec<KnownPack>, CatalogError> {
        self.read("list packs", move |tx| rows::packs(tx, after, limit)).await
    }

    /// Returns those frames of a pack whose chunks have no row, or a row with another place in the
    /// same pack.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn misplaced(
        &self,
        pack: PackDigest,
        frames: Vec<Frame>,
    ) -> Result<Vec<Frame>, CatalogError> {
        let places = self.chunk_places();
        self.read("compare a pack with its rows", move |tx| {
            rows::misplaced(tx, &*places, pack, &frames)
        })
        .await
    }

    /// Corrects the rows of a pack and its chunks to match the pack's footer. A condemned pack is
    /// left alone.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn correct_pack(&self, pack: NewPack, actor: Actor) -> Result<(), CatalogError> {
        let places = self.chunk_places();
        self.write("correct a pack's rows", move |tx| rows::correct(tx, &*places, &pack, actor))
            .await
    }

    /// Lists leaves by digest, complete or not, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_leaves(
        &self,
        after: Option<LeafDigest>,
        limit: u32,
    ) -> Result<Vec<LeafRow>, CatalogError> {
        self.read("list leaves", move |tx| rows::leaves(tx, after, limit)).await
    }

    /// Lists releases in order of publication, deleted ones excluded, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_releases(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError> {
        self.read("list all releases", move |tx| rows::releases(tx, after.as_ref(), limit)).await
    }

    /// Returns a release by its version, deleted or not.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn named_release(
        &self,
        application: ApplicationName,
        version: Version,
    ) -> Result<Option<Release>, CatalogError> {
        self.read("read a release by its name", move |tx| {
            rows::named_release(tx, &application, &version)
        })
        .await
    }

    /// Returns a release by its digest, unless deleted.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn release_of(
        &self,
        release: ReleaseDigest,
    ) -> Result<Option<Release>, CatalogError> {
        self.read("read a release", move |tx| rows::release(tx, release)).await
    }

    /// Lists the moves of all channels, beginning after the cursor `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_moves(
        &self,
        after: String,
        limit: u32,
    ) -> Result<Vec<MoveRow>, CatalogError> {
        self.read("list moves", move |tx| rows::moves(tx, &after, limit)).await
    }

    /// Returns a move of a channel.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn known_move(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        sequence: u64,
    ) -> Result<Option<ChannelMove>, CatalogError> {
        self.read("read a move", move |tx| rows::one_move(tx, &application, &channel, sequence))
            .await
    }

    /// Returns the faults the engine finds in its files and in the references between rows, and the
    /// channels that contradict their last move.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn check_rows(&self) -> Result<Vec<String>, CatalogError> {
        let mut faults = self.engine().check().await?;
        let adrift = self.read("check its rows", |tx| rows::adrift(tx, FAULTS_NAMED)).await?;
        let said = |channel| format!("channel {channel} contradicts its last move");
        faults.extend(adrift.into_iter().map(said));
        Ok(faults)
    }
}
