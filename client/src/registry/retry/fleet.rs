//! Retries the calls of [`Fleet`], except the deletions.

use async_trait::async_trait;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{
    ApplyRetention, DeletedRelease, Holders, HostPage, HostRun, Pin, Policies, Policy, RenewHost,
    RetentionOutcome, RetentionPlan, RetentionPolicy,
};

use super::Retry;
use crate::registry::fleet::Fleet;
use crate::registry::{Registry, RegistryError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Registry> Fleet for Retry<R> {
    async fn delete_release(
        &self,
        application: &ApplicationName,
        version: &Version,
    ) -> Result<DeletedRelease, RegistryError> {
        self.inner.delete_release(application, version).await
    }

    async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Holders, RegistryError> {
        self.again(|| self.inner.holders(application, selector)).await
    }

    async fn pin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
        reason: &str,
    ) -> Result<Pin, RegistryError> {
        self.again(|| self.inner.pin(application, selector, name, reason)).await
    }

    async fn unpin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
    ) -> Result<(), RegistryError> {
        self.inner.unpin(application, selector, name).await
    }

    async fn report_host(
        &self,
        host: &HostName,
        runs: &RenewHost,
    ) -> Result<HostRun, RegistryError> {
        self.again(|| self.inner.report_host(host, runs)).await
    }

    async fn hosts(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&HostName>,
    ) -> Result<HostPage, RegistryError> {
        self.again(|| self.inner.hosts(application, after)).await
    }

    async fn forget_host(
        &self,
        host: &HostName,
        application: Option<&ApplicationName>,
    ) -> Result<(), RegistryError> {
        self.inner.forget_host(host, application).await
    }

    async fn policies(&self, application: &ApplicationName) -> Result<Policies, RegistryError> {
        self.again(|| self.inner.policies(application)).await
    }

    async fn set_policy(
        &self,
        application: &ApplicationName,
        channel: Option<&ChannelName>,
        policy: &RetentionPolicy,
    ) -> Result<Policy, RegistryError> {
        self.again(|| self.inner.set_policy(application, channel, policy)).await
    }

    async fn retention_plan(
        &self,
        application: &ApplicationName,
    ) -> Result<RetentionPlan, RegistryError> {
        self.again(|| self.inner.retention_plan(application)).await
    }

    async fn apply_retention(
        &self,
        application: &ApplicationName,
        order: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError> {
        self.inner.apply_retention(application, order).await
    }
}
