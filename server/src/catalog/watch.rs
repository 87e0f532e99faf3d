//! What is kept for those who watch a registry: the audit log, webhooks and quotas.
//!
//! # Invariants
//!
//! 1. An act that is a transaction of the catalog is logged in that transaction: it is logged
//!    exactly if it happened.
//! 2. An entry is never changed or removed, and bound by its digest to all before it.
//! 3. What is to be delivered is written with the entry that it tells of.

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

/// The part of the catalog that is for those who watch.
#[async_trait::async_trait]
pub trait Watching: Send + Sync + 'static {
    /// Logs an act that is no transaction of the catalog itself.
    async fn log(&self, entry: Entry) -> Result<Logged, CatalogError>;
    /// Entries of the audit log, newest first.
    async fn audit(&self, query: AuditQuery) -> Result<Vec<Logged>, CatalogError>;

    /// Adds a webhook, unless there are as many as there may be. Logged.
    async fn add_webhook(&self, webhook: Webhook) -> Result<WebhookAdded, CatalogError>;
    /// Every webhook, oldest first, and how it fares.
    async fn webhooks(&self) -> Result<Vec<WebhookStatus>, CatalogError>;
    /// Removes a webhook and what was to be delivered to it; false when there is none. Logged.
    async fn remove_webhook(
        &self,
        id: WebhookId,
        actor: String,
        now_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Deliveries of a webhook, newest first, from the one before `after`; `None` when there is no
    /// such webhook.
    async fn deliveries(
        &self,
        id: WebhookId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<DeliveryRow>>, CatalogError>;
    /// The webhooks to which something is to be delivered at `now_secs`.
    async fn due_webhooks(&self, now_secs: u64) -> Result<Vec<WebhookId>, CatalogError>;
    /// What is to be delivered next to a webhook, if anything is by `now_secs`. Nobody else is
    /// given it before `until_secs`.
    async fn claim_delivery(
        &self,
        id: WebhookId,
        now_secs: u64,
        until_secs: u64,
    ) -> Result<Option<Delivery>, CatalogError>;
    /// Writes down how a try to deliver to a webhook ended. A delivery that went with its webhook
    /// meanwhile is nothing any more, though another's may bear its number now.
    async fn settle_delivery(
        &self,
        id: WebhookId,
        delivery: u64,
        settlement: Settlement,
    ) -> Result<(), CatalogError>;

    /// The quota of an application, and what it has; it need not exist.
    async fn quota(&self, application: ApplicationName) -> Result<QuotaState, CatalogError>;
    /// Sets the quota of an application. Logged.
    async fn set_quota(
        &self,
        application: ApplicationName,
        quota: Quota,
        actor: String,
        now_secs: u64,
    ) -> Result<(), CatalogError>;
    /// What a lease brought and what frames would bring besides, where its application has a quota
    /// of data.
    async fn lease_load(
        &self,
        lease: LeaseId,
        application: ApplicationName,
        frames: Vec<Frame>,
    ) -> Result<Option<LeaseLoad>, CatalogError>;
    /// Notes that a lease brought data, and forgets the notes of leases that are gone.
    async fn add_lease_load(&self, lease: LeaseId, data_bytes: u64) -> Result<(), CatalogError>;
}
