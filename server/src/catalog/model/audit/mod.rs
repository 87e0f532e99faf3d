//! The audit log, webhooks and quotas.
//!
//! # Invariants
//!
//! 1. An action that is a transaction of the catalog is logged in that same transaction: the entry
//!    exists exactly if the action took effect.
//! 2. An entry is never changed or removed, and its digest covers all entries before it.
//! 3. Webhook deliveries are written in the same transaction as the entry they report.

mod log;
mod quotas;
mod webhooks;

pub use log::{AuditQuery, Entry, Logged};
pub use quotas::{Excess, LeaseLoad, Quota, QuotaState, Usage};
pub use webhooks::{
    Delivery, DeliveryRow, DeliveryState, Settlement, Webhook, WebhookAdded, WebhookSecret,
    WebhookStatus,
};
