//! The part of the port that is for those who watch a registry, nothing else.

use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;
use seawall_api::v1::{AuditPage, DeliveryPage, NewWebhook, Quota, SetQuota, Webhook};

use super::RegistryError;

/// Which entries of the audit log are asked for. What is `None` does not narrow it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Of this application.
    pub application: Option<ApplicationName>,
    /// Of this kind.
    pub action: Option<Action>,
    /// With the token of this name.
    pub actor: Option<String>,
    /// Not before this time.
    pub since_secs: Option<u64>,
}

/// A registry, for those who watch it.
#[async_trait::async_trait]
pub trait Watching: Send + Sync {
    /// A page of at most `limit` entries of the audit log, newest first, from the one before
    /// `after`.
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, RegistryError>;

    /// All webhooks.
    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError>;
    /// Adds a webhook; a repeat adds another.
    async fn add_webhook(&self, webhook: &NewWebhook) -> Result<Webhook, RegistryError>;
    /// Removes a webhook.
    async fn remove_webhook(&self, id: &str) -> Result<(), RegistryError>;
    /// The newest deliveries of a webhook.
    async fn deliveries(&self, id: &str) -> Result<DeliveryPage, RegistryError>;

    /// The quota of an application, and what is used of it.
    async fn quota(&self, application: &ApplicationName) -> Result<Quota, RegistryError>;
    /// Sets the quota of an application.
    async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: SetQuota,
    ) -> Result<Quota, RegistryError>;
}
