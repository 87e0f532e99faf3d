//! The part of the catalog's port for observing a registry: the audit log, webhooks and quotas.
//!
//! # Invariants
//!
//! 1. An action that is a transaction of the catalog is logged in that same transaction: the entry
//!    exists exactly if the action took effect. Only the removal of a pin or a policy is logged by
//!    the caller, in a second transaction.
//! 2. An entry is never changed or removed, and its digest covers all entries before it.
//! 3. Webhook deliveries are written in the same transaction as the entry they report.

use seawall_api::names::ApplicationName;

use super::error::CatalogError;
use super::id::{LeaseId, WebhookId};
use super::model::Frame;

mod audit;
mod quotas;
mod webhooks;

pub use audit::{AuditQuery, Entry, Logged};
pub use quotas::{Excess, LeaseLoad, Quota, QuotaState, Usage};
pub use webhooks::{
    Delivery, DeliveryRow, DeliveryState, Settlement, Webhook, WebhookAdded, WebhookSecret,
    WebhookStatus,
};

/// The part of the catalog for the audit log, webhooks and quotas.
#[async_trait::async_trait]
pub trait Watching: Send + Sync + 'static {
    /// Logs an action that is no transaction of the catalog itself.
    async fn log(&self, entry: Entry) -> Result<Logged, CatalogError>;
    /// Returns entries of the audit log, newest first.
    async fn audit(&self, query: AuditQuery) -> Result<Vec<Logged>, CatalogError>;

    /// Adds a webhook, up to a maximum number. Logged.
    async fn add_webhook(&self, webhook: Webhook) -> Result<WebhookAdded, CatalogError>;
    /// Lists all webhooks with their status, oldest first.
    async fn webhooks(&self) -> Result<Vec<WebhookStatus>, CatalogError>;
    /// Removes a webhook and its deliveries. Returns false if there is none. Logged.
    async fn remove_webhook(
        &self,
        id: WebhookId,
        actor: String,
        now_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Lists the deliveries of a webhook older than `after`, newest first; `None` if there is no
    /// such webhook.
    async fn deliveries(
        &self,
        id: WebhookId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<DeliveryRow>>, CatalogError>;
    /// Returns the webhooks with a delivery due at `now_secs`.
    async fn due_webhooks(&self, now_secs: u64) -> Result<Vec<WebhookId>, CatalogError>;
    /// Claims the next delivery of a webhook due at `now_secs`, if any. No other caller gets this
    /// delivery before `until_secs`.
    async fn claim_delivery(
        &self,
        id: WebhookId,
        now_secs: u64,
        until_secs: u64,
    ) -> Result<Option<Delivery>, CatalogError>;
    /// Records the outcome of an attempt to deliver. Does nothing if the delivery is settled or was
    /// removed with its webhook; `id` is needed because its number may have been reused for another
    /// webhook's delivery.
    async fn settle_delivery(
        &self,
        id: WebhookId,
        delivery: u64,
        settlement: Settlement,
    ) -> Result<(), CatalogError>;

    /// Returns the quota and usage of an application, which need not exist.
    async fn quota(&self, application: ApplicationName) -> Result<QuotaState, CatalogError>;
    /// Sets the quota of an application. Logged.
    async fn set_quota(
        &self,
        application: ApplicationName,
        quota: Quota,
        actor: String,
        now_secs: u64,
    ) -> Result<(), CatalogError>;
    /// Returns the load of a lease, with the chunks in `frames` not yet stored; `None` if its
    /// application has no quota of data.
    async fn lease_load(
        &self,
        lease: LeaseId,
        application: ApplicationName,
        frames: Vec<Frame>,
    ) -> Result<Option<LeaseLoad>, CatalogError>;
    /// Adds to the data counted under a lease, and deletes the counts of leases that are gone.
    async fn add_lease_load(&self, lease: LeaseId, data_bytes: u64) -> Result<(), CatalogError>;
}
