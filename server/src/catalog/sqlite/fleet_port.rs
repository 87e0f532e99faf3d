//! The port for pins, hosts and policies. Each method runs one function of `fleet`.

use rusqlite::Transaction;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName};
use seawall_api::reference::Selector;

use super::{SqliteCatalog, fleet};
use crate::catalog::collect::{Holder, Tombstone};
use crate::catalog::error::CatalogError;
use crate::catalog::fleet::{
    Fleet, HostPart, HostReport, HostRows, Marks, Pin, Pinned, PolicyRow, Reported, Standing,
};

#[async_trait::async_trait]
impl Fleet for SqliteCatalog {
    async fn deleted(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<Tombstone>, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::deleted(tx, &application, &selector);
        self.connections.read("read a tombstone", work).await
    }

    async fn holders(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Option<Vec<Holder>>, CatalogError> {
        let work = move |tx: &Transaction<'_>| {
            fleet::holders(tx, (&application, release), now_secs, moves_held)
        };
        self.connections.read("list a release's holders", work).await
    }

    async fn marks(
        &self,
        application: ApplicationName,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Vec<(ReleaseDigest, Marks)>, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::marks(tx, &application, now_secs, moves_held);
        self.connections.read("list the holders of releases", work).await
    }

    async fn standing(&self, application: ApplicationName) -> Result<Standing, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::standing(tx, &application);
        self.connections.read("read the inputs of retention", work).await
    }

    async fn pin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        pin: Pin,
    ) -> Result<Pinned, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::pin(tx, (&application, release), &pin);
        self.connections.write("pin a release", work).await
    }

    async fn unpin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        name: PinName,
    ) -> Result<bool, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::unpin(tx, (&application, release), &name);
        self.connections.write("remove a pin", work).await
    }

    async fn pins(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Vec<Pin>, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::pins(tx, (&application, release));
        self.connections.read("list pins", work).await
    }

    async fn report_host(&self, report: HostReport) -> Result<Reported, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::report(tx, &report);
        self.connections.write("record a host's report", work).await
    }

    async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<HostRows, CatalogError> {
        let work = move |tx: &Transaction<'_>| {
            fleet::hosts(tx, application.as_ref(), after.as_ref(), limit)
        };
        self.connections.read("list hosts", work).await
    }

    async fn forget_host(&self, host: HostName, part: HostPart) -> Result<u64, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::forget(tx, &host, &part);
        self.connections.write("remove a host", work).await
    }

    async fn set_policy(
        &self,
        application: ApplicationName,
        policy: PolicyRow,
    ) -> Result<(), CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::set_policy(tx, &application, &policy);
        self.connections.write("set a policy", work).await
    }

    async fn remove_policy(
        &self,
        application: ApplicationName,
        channel: Option<ChannelName>,
    ) -> Result<bool, CatalogError> {
        let work =
            move |tx: &Transaction<'_>| fleet::remove_policy(tx, &application, channel.as_ref());
        self.connections.write("remove a policy", work).await
    }

    async fn policies(&self, application: ApplicationName) -> Result<Vec<PolicyRow>, CatalogError> {
        let work = move |tx: &Transaction<'_>| fleet::policies(tx, &application);
        self.connections.read("list policies", work).await
    }
}
