//! The trait through which a person or a host says what must stay, and what goes.

use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{
    ApplyRetention, DeletedRelease, Holders, HostPage, HostRun, Pin, Policies, Policy, RenewHost,
    RetentionOutcome, RetentionPlan, RetentionPolicy,
};

use super::RegistryError;

/// What keeps releases in a registry, and deletes them.
///
/// # Contract
///
/// Every call may be repeated with the same outcome but for those that take something away
/// ([`Self::delete_release`], [`Self::unpin`], [`Self::forget_host`], [`Self::apply_retention`]),
/// which a repeat finds gone.
#[async_trait::async_trait]
pub trait Fleet: Send + Sync {
    /// Deletes a release that nothing holds.
    async fn delete_release(
        &self,
        application: &ApplicationName,
        version: &Version,
    ) -> Result<DeletedRelease, RegistryError>;

    /// Everything that keeps a release from being deleted.
    async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Holders, RegistryError>;

    /// Pins a release; a pin of that name is replaced.
    async fn pin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
        reason: &str,
    ) -> Result<Pin, RegistryError>;

    /// Takes a pin away.
    async fn unpin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
    ) -> Result<(), RegistryError>;

    /// Says what a host runs.
    async fn report_host(
        &self,
        host: &HostName,
        runs: &RenewHost,
    ) -> Result<HostRun, RegistryError>;

    /// A page of hosts by name, beginning after `after`.
    async fn hosts(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&HostName>,
    ) -> Result<HostPage, RegistryError>;

    /// Forgets what a host runs, of one application where that is given.
    async fn forget_host(
        &self,
        host: &HostName,
        application: Option<&ApplicationName>,
    ) -> Result<(), RegistryError>;

    /// The policies of an application and of its channels.
    async fn policies(&self, application: &ApplicationName) -> Result<Policies, RegistryError>;

    /// Sets the policy of an application, or of one of its channels; an empty one removes it.
    async fn set_policy(
        &self,
        application: &ApplicationName,
        channel: Option<&ChannelName>,
        policy: &RetentionPolicy,
    ) -> Result<Policy, RegistryError>;

    /// What the policies make of the releases now.
    async fn retention_plan(
        &self,
        application: &ApplicationName,
    ) -> Result<RetentionPlan, RegistryError>;

    /// Deletes what the plan says goes.
    async fn apply_retention(
        &self,
        application: &ApplicationName,
        order: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError>;
}
