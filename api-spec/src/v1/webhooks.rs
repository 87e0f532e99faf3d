//! Webhooks: addresses that are told what happens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AuditEntry;
use crate::audit::Action;
use crate::names::ApplicationName;

/// Asks to tell an address what happens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://hooks.example/seawall",
    "events": ["publish", "promote"],
    "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
}))]
pub struct NewWebhook {
    /// Where messages are sent, by POST: http:// or https://.
    pub url: String,
    /// Of what: `publish`, `promote`, `delete`, `damage`; at least one.
    pub events: Vec<Action>,
    /// Of this application alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// What signs the messages: 24 to 64 bytes in Base64, with or without `whsec_` before them.
    pub secret: String,
}

/// A webhook. Its secret is never shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its name.
    pub id: String,
    /// Where messages are sent.
    pub url: String,
    /// Of what it is told.
    pub events: Vec<Action>,
    /// Of which application; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// When it was added, seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// Who added it: the name of the token used; empty without authentication.
    pub created_by: String,
    /// How many messages wait for it.
    pub pending_count: u64,
    /// Since when the oldest of them waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since_secs: Option<u64>,
    /// How many messages were given up.
    pub lost_count: u64,
}

/// All webhooks, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
}

/// A message to a webhook, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// Counts messages of all webhooks.
    pub id: u64,
    /// `webhook-id` of the message.
    pub message: String,
    /// `pending`, `delivered` or `given-up`.
    pub state: String,
    /// How often it was tried.
    pub attempt_count: u32,
    /// When it is tried next, where it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_secs: Option<u64>,
    /// How the last try ended; empty before the first.
    pub outcome: String,
    /// Of what it tells.
    pub entry: AuditEntry,
}

/// A page of deliveries, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<WebhookDelivery>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The body of a message to a webhook (Standard Webhooks 1.0).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessage {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Action,
    /// When, as RFC 3339.
    pub timestamp: String,
    /// The entry of the audit log.
    pub data: AuditEntry,
}
