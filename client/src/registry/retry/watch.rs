//! Retries the calls of [`Watching`], except adding and removing webhooks.

use async_trait::async_trait;
use seawall_api::names::ApplicationName;
use seawall_api::v1::{AuditPage, DeliveryPage, NewWebhook, Quota, SetQuota, Webhook};

use super::Retry;
use crate::registry::watch::{AuditFilter, Watching};
use crate::registry::{Registry, RegistryError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Registry> Watching for Retry<R> {
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, RegistryError> {
        self.again(|| self.inner.audit(filter, after, limit)).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        self.again(|| self.inner.webhooks()).await
    }

    /// Does not retry: the first attempt may have added the webhook.
    async fn add_webhook(&self, webhook: &NewWebhook) -> Result<Webhook, RegistryError> {
        self.inner.add_webhook(webhook).await
    }

    /// Does not retry: the first attempt may have removed the webhook, and a second would find
    /// none.
    async fn remove_webhook(&self, id: &str) -> Result<(), RegistryError> {
        self.inner.remove_webhook(id).await
    }

    async fn deliveries(&self, id: &str) -> Result<DeliveryPage, RegistryError> {
        self.again(|| self.inner.deliveries(id)).await
    }

    async fn quota(&self, application: &ApplicationName) -> Result<Quota, RegistryError> {
        self.again(|| self.inner.quota(application)).await
    }

    async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: SetQuota,
    ) -> Result<Quota, RegistryError> {
        self.again(|| self.inner.set_quota(application, quota)).await
    }
}
