//! Applications, releases and channels.

use seawall_api::digest::{IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;

use super::super::model::channels::{Channel, ChannelMove, MoveRequest, Moved, PastChannel};
use super::super::model::collect::{DeleteRequest, Deletion, Tombstone};
use super::super::model::releases::{Application, NewRelease, Publication, Release};
use super::super::rules::releases::{channels, deletion, list, publish};
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Publishes a release and ends its lease. The first release creates its application. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn publish(&self, release: NewRelease) -> Result<Publication, CatalogError> {
        self.write("publish a release", move |tx| publish::publish(tx, &release)).await
    }

    /// Returns a release of an application.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn release(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Option<Release>, CatalogError> {
        self.read("read a release", move |tx| list::one(tx, &application, release)).await
    }

    /// Adds a release published before this catalog was made, as the newest of its application.
    /// Links the release to those of its indexes that are present. Returns false if its digest or
    /// version exists.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn restore_release(
        &self,
        release: Release,
        indexes: Vec<IndexDigest>,
    ) -> Result<bool, CatalogError> {
        self.write("restore a release", move |tx| publish::restore(tx, &release, &indexes)).await
    }

    /// Resolves a selector to a release.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn resolve(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<ReleaseDigest>, CatalogError> {
        self.read("resolve a release", move |tx| list::resolve(tx, &application, &selector)).await
    }

    /// Lists the releases of an application published before `after`, newest first, at most
    /// `limit`. The list ends early, but not before the second release, once its machine names
    /// exceed [`LISTED_NAMES_LEN_MAX`](super::super::LISTED_NAMES_LEN_MAX).
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn releases(
        &self,
        application: ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError> {
        self.read("list releases", move |tx| {
            list::of_application(tx, &application, after.as_ref(), limit)
        })
        .await
    }

    /// Lists applications by name, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn applications(
        &self,
        after: Option<ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>, CatalogError> {
        self.read("list applications", move |tx| list::applications(tx, after.as_ref(), limit))
            .await
    }

    /// Returns whether an application exists.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn has_application(&self, name: ApplicationName) -> Result<bool, CatalogError> {
        self.read("find an application", move |tx| list::has_application(tx, &name)).await
    }

    /// Returns an application.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn application(
        &self,
        name: ApplicationName,
    ) -> Result<Option<Application>, CatalogError> {
        self.read("read an application", move |tx| list::application(tx, &name)).await
    }

    /// Lists all channels of an application by name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn channels(
        &self,
        application: ApplicationName,
    ) -> Result<Vec<Channel>, CatalogError> {
        self.read("list channels", move |tx| channels::list(tx, &application)).await
    }

    /// Returns a channel.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn channel(
        &self,
        application: ApplicationName,
        channel: ChannelName,
    ) -> Result<Option<Channel>, CatalogError> {
        self.read("read a channel", move |tx| channels::one(tx, &application, &channel)).await
    }

    /// Lists the newest moves of a channel, newest first.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn channel_moves(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        limit: u32,
    ) -> Result<Vec<ChannelMove>, CatalogError> {
        self.read("read a channel's moves", move |tx| {
            channels::moves(tx, &application, &channel, limit)
        })
        .await
    }

    /// Moves a channel if its last move is as expected, and records the move. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn move_channel(&self, request: MoveRequest) -> Result<Moved, CatalogError> {
        self.write("move a channel", move |tx| channels::advance(tx, &request)).await
    }

    /// Adds a channel that existed before this catalog was made, with its history. Its releases
    /// must be present.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn restore_channel(&self, past: PastChannel) -> Result<(), CatalogError> {
        self.write("restore a channel", move |tx| channels::restore(tx, &past)).await
    }

    /// Deletes a release unless it is held. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn delete_release(&self, request: DeleteRequest) -> Result<Deletion, CatalogError> {
        self.write("delete a release", move |tx| deletion::delete(tx, &request)).await
    }

    /// Returns a deleted release by version or digest. A channel never selects one.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn deleted(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<Tombstone>, CatalogError> {
        self.read("read a tombstone", move |tx| deletion::deleted(tx, &application, &selector))
            .await
    }

    /// Lists deleted releases in order of publication, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn tombstones(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, CatalogError> {
        self.read("list deleted releases", move |tx| {
            deletion::tombstones(tx, after.as_ref(), limit)
        })
        .await
    }

    /// Marks a restored release as deleted.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn restore_tombstone(&self, tombstone: Tombstone) -> Result<(), CatalogError> {
        self.write("restore a tombstone", move |tx| deletion::restore(tx, &tombstone)).await
    }
}
