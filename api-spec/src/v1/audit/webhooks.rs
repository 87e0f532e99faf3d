//! Webhooks: delivery of events to external addresses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Action;
use crate::names::ApplicationName;
use crate::v1::AuditEntry;

/// A request to add a webhook.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://hooks.example/seawall",
    "events": ["publish", "promote"],
    "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
}))]
pub struct NewWebhook {
    /// The http:// or https:// URL to POST messages to.
    pub url: String,
    /// The event types to deliver, at least one of `publish`, `promote`, `delete`, `damage`,
    /// `mirror`.
    pub events: Vec<Action>,
    /// The application whose events to deliver. Absent for all applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// The key that signs the messages: 24 to 64 bytes in Base64, optionally prefixed with
    /// `whsec_`.
    pub secret: String,
}

/// A webhook. The secret is never returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The webhook's id.
    pub id: String,
    /// The URL that messages are sent to.
    pub url: String,
    /// The event types to deliver.
    pub events: Vec<Action>,
    /// The application whose events are delivered. Absent for all applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// The time when the webhook was added, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that added the webhook. Empty without authentication.
    pub created_by: String,
    /// The number of pending messages.
    pub pending_count: u64,
    /// The time when the oldest pending message was queued, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since_secs: Option<u64>,
    /// The number of messages given up.
    pub lost_count: u64,
}

/// All webhooks, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
}

/// A message to a webhook, in a listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// The delivery's number, counted over all webhooks.
    pub id: u64,
    /// The message's `webhook-id`.
    pub message: String,
    /// The state: `pending`, `delivered` or `given-up`.
    pub state: String,
    /// The number of attempts.
    pub attempt_count: u32,
    /// The time of the next attempt of a pending message, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_secs: Option<u64>,
    /// The outcome of the last attempt. Empty before the first.
    pub outcome: String,
    /// The entry of the audit log that the message carries.
    pub entry: AuditEntry,
}

/// A page of deliveries, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<WebhookDelivery>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The body of a message to a webhook (Standard Webhooks 1.0).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessage {
    /// The event type.
    #[serde(rename = "type")]
    pub kind: Action,
    /// The time of the event, as RFC 3339.
    pub timestamp: String,
    /// The entry of the audit log.
    pub data: AuditEntry,
}
