//! The part of the port for observers: audit log, webhooks and quotas.

use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;
use seawall_api::v1::{AuditPage, DeliveryPage, NewWebhook, Quota, SetQuota, Webhook};

use crate::registry::RegistryError;

/// A filter of audit log entries. A field that is `None` matches every entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// The application of the entry.
    pub application: Option<ApplicationName>,
    /// The action of the entry.
    pub action: Option<Action>,
    /// The name of the token that acted.
    pub actor: Option<String>,
    /// The earliest time, in Unix seconds.
    pub since_secs: Option<u64>,
}

/// A registry's audit log, webhooks and quotas.
///
/// # Contract
///
/// Every call is idempotent except [`Self::add_webhook`], whose repeat adds another webhook, and
/// [`Self::remove_webhook`], whose repeat finds none.
#[async_trait::async_trait]
pub trait Audit: Send + Sync {
    /// Returns at most `limit` entries of the audit log, newest first, older than entry `after`.
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, RegistryError>;

    /// Returns all webhooks.
    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError>;
    /// Adds a webhook.
    async fn add_webhook(&self, webhook: &NewWebhook) -> Result<Webhook, RegistryError>;
    /// Removes a webhook.
    async fn remove_webhook(&self, id: &str) -> Result<(), RegistryError>;
    /// Returns the newest deliveries of a webhook.
    async fn deliveries(&self, id: &str) -> Result<DeliveryPage, RegistryError>;

    /// Returns the quota of an application and its usage.
    async fn quota(&self, application: &ApplicationName) -> Result<Quota, RegistryError>;
    /// Sets the quota of an application.
    async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: SetQuota,
    ) -> Result<Quota, RegistryError>;
}
