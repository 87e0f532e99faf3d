//! The part of the port for retention: pins, hosts, policies and deletion.

use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{
    ApplyRetention, DeletedRelease, Holders, HostPage, HostRun, Pin, Policies, Policy, RenewHost,
    RetentionOutcome, RetentionPlan, RetentionPolicy,
};

use crate::registry::RegistryError;

/// A registry's retention: the calls that keep and delete releases.
///
/// # Contract
///
/// Every call is idempotent except the deletions ([`Self::delete_release`], [`Self::unpin`],
/// [`Self::forget_host`], [`Self::apply_retention`]): a repeat finds nothing left to delete.
#[async_trait::async_trait]
pub trait Retention: Send + Sync {
    /// Deletes a release without holders.
    async fn delete_release(
        &self,
        application: &ApplicationName,
        version: &Version,
    ) -> Result<DeletedRelease, RegistryError>;

    /// Returns everything that keeps a release from being deleted.
    async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Holders, RegistryError>;

    /// Pins a release, replacing a pin of the same name.
    async fn pin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
        reason: &str,
    ) -> Result<Pin, RegistryError>;

    /// Removes a pin.
    async fn unpin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
    ) -> Result<(), RegistryError>;

    /// Records the release that a host runs.
    async fn report_host(
        &self,
        host: &HostName,
        runs: &RenewHost,
    ) -> Result<HostRun, RegistryError>;

    /// Returns a page of hosts by name, beginning after `after`.
    async fn hosts(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&HostName>,
    ) -> Result<HostPage, RegistryError>;

    /// Deletes the records of a host, or only the one of `application`.
    async fn forget_host(
        &self,
        host: &HostName,
        application: Option<&ApplicationName>,
    ) -> Result<(), RegistryError>;

    /// Returns the policies of an application and of its channels.
    async fn policies(&self, application: &ApplicationName) -> Result<Policies, RegistryError>;

    /// Sets the policy of an application or of one of its channels. An empty policy removes the old
    /// one.
    async fn set_policy(
        &self,
        application: &ApplicationName,
        channel: Option<&ChannelName>,
        policy: &RetentionPolicy,
    ) -> Result<Policy, RegistryError>;

    /// Returns the releases that the policies keep and delete at this moment.
    async fn retention_plan(
        &self,
        application: &ApplicationName,
    ) -> Result<RetentionPlan, RegistryError>;

    /// Deletes the releases that the plan lists for deletion.
    async fn apply_retention(
        &self,
        application: &ApplicationName,
        order: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError>;
}
