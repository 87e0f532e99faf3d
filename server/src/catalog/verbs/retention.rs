//! Pins, hosts and policies. Deleting a release deletes its pins and host reports.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName};

use super::super::model::audit::Entry;
use super::super::model::collect::Holder;
use super::super::model::retention::{
    HostPart, HostReport, HostRows, Inventory, Marks, Pin, Pinned, PolicyRow, Reported,
};
use super::super::rules::releases::deletion;
use super::super::rules::retention::{hosts, inventory, pins, policies};
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Returns the holders of a release; `None` if there is no such release.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn holders(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Option<Vec<Holder>>, CatalogError> {
        self.read("list a release's holders", move |tx| {
            deletion::holders_of(tx, &application, release, (now_secs, moves_held))
        })
        .await
    }

    /// Returns the marks of an application's releases. A release held by no more than channels
    /// pointing at it has none.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn marks(
        &self,
        application: ApplicationName,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Vec<(ReleaseDigest, Marks)>, CatalogError> {
        self.read("list the holders of releases", move |tx| {
            inventory::marks(tx, &application, now_secs, moves_held)
        })
        .await
    }

    /// Returns everything that decides which releases of an application stay.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn inventory(&self, application: ApplicationName) -> Result<Inventory, CatalogError> {
        self.read("read the inputs of retention", move |tx| inventory::inventory(tx, &application))
            .await
    }

    /// Pins a release. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn pin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        pin: Pin,
    ) -> Result<Pinned, CatalogError> {
        self.write("pin a release", move |tx| pins::set(tx, &application, release, &pin)).await
    }

    /// Removes a pin, and logs the removal as `entry`. Returns false if there is none of this name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn unpin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        name: PinName,
        entry: Entry,
    ) -> Result<bool, CatalogError> {
        self.write("remove a pin", move |tx| {
            pins::remove(tx, &application, release, (&name, &entry))
        })
        .await
    }

    /// Lists the pins of a release by name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn pins(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Vec<Pin>, CatalogError> {
        self.read("list pins", move |tx| pins::list(tx, &application, release)).await
    }

    /// Records the release a host runs. Before adding an instance, deletes hosts silent for
    /// [`HOST_FORGOTTEN_SECS`](super::super::retention::HOST_FORGOTTEN_SECS).
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn report_host(&self, report: HostReport) -> Result<Reported, CatalogError> {
        self.write("record a host's report", move |tx| hosts::report(tx, &report)).await
    }

    /// Lists at most `limit` hosts by name, beginning after `after`; only hosts and instances of
    /// `application` if given.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<HostRows, CatalogError> {
        self.read("list hosts", move |tx| {
            hosts::list(tx, application.as_ref(), after.as_ref(), limit)
        })
        .await
    }

    /// Deletes instances of a host. Returns the number deleted.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn forget_host(&self, host: HostName, part: HostPart) -> Result<u64, CatalogError> {
        self.write("remove a host", move |tx| hosts::forget(tx, &host, &part)).await
    }

    /// Sets a policy of an existing application. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn set_policy(
        &self,
        application: ApplicationName,
        policy: PolicyRow,
    ) -> Result<(), CatalogError> {
        self.write("set a policy", move |tx| policies::set(tx, &application, &policy)).await
    }

    /// Removes a policy, and logs the removal as `entry`. Returns false if there was none.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn remove_policy(
        &self,
        application: ApplicationName,
        channel: Option<ChannelName>,
        entry: Entry,
    ) -> Result<bool, CatalogError> {
        self.write("remove a policy", move |tx| {
            policies::remove(tx, &application, channel.as_ref(), &entry)
        })
        .await
    }

    /// Lists the applications with policies, by name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn applications_with_policies(&self) -> Result<Vec<ApplicationName>, CatalogError> {
        self.read("list policies", policies::applications).await
    }

    /// Lists the policies of an application: its own first, then those of its channels by name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn policies(
        &self,
        application: ApplicationName,
    ) -> Result<Vec<PolicyRow>, CatalogError> {
        self.read("list policies", move |tx| policies::list(tx, &application)).await
    }
}
