//! Webhooks and their deliveries.

use std::fmt;

use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;

use super::Logged;
use crate::catalog::id::WebhookId;

/// The secret that signs a webhook's messages. Stored in plain text, because signing needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// Takes a secret. The caller checks its length.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the secret itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// A webhook: an address to notify of events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// The id of the webhook.
    pub id: WebhookId,
    /// The address to send messages to.
    pub url: String,
    /// The secret that signs the messages.
    pub secret: WebhookSecret,
    /// The event types to deliver.
    pub events: Vec<Action>,
    /// The application to report on; `None` for all.
    pub application: Option<ApplicationName>,
    /// Time the webhook was added, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that added the webhook; empty without authentication.
    pub created_by: String,
}

impl Webhook {
    /// Returns whether an entry is to be delivered to this webhook.
    #[must_use]
    pub fn wants(&self, logged: &Logged) -> bool {
        let named = self.application.as_ref();
        self.events.contains(&logged.entry.action)
            && named.is_none_or(|name| logged.entry.application.as_ref() == Some(name))
    }
}

/// The outcome of adding a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookAdded {
    /// The webhook was added.
    Done,
    /// The registry already has the maximum number of webhooks, given here.
    TooMany(u32),
}

/// A webhook and its delivery status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookStatus {
    /// The webhook.
    pub webhook: Webhook,
    /// The number of pending messages.
    pub pending_count: u64,
    /// Creation time of the oldest pending message, in seconds since 1970-01-01 UTC.
    pub pending_since_secs: Option<u64>,
    /// The number of lost messages: given up after too long, or dropped because the queue was full.
    pub lost_count: u64,
}

/// The state of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// To be attempted, possibly again.
    Pending,
    /// Accepted by the receiver.
    Delivered,
    /// Abandoned after the time for retries.
    GivenUp,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::GivenUp];

    /// Returns the state's name in the API and in the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
        }
    }
}

/// A message to deliver now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The number of the delivery.
    pub id: u64,
    /// The receiver.
    pub webhook: Webhook,
    /// The entry to report.
    pub logged: Logged,
    /// The number of attempts so far.
    pub attempt_count: u32,
    /// Time since which the message is pending, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
}

/// A delivery in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRow {
    /// The number of the delivery.
    pub id: u64,
    /// The entry reported.
    pub logged: Logged,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// The number of attempts so far.
    pub attempt_count: u32,
    /// Time of the next attempt if pending, in seconds since 1970-01-01 UTC.
    pub next_at_secs: u64,
    /// The outcome of the last attempt; empty before the first.
    pub outcome: String,
}

/// The outcome of an attempt to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// The state of the delivery after the attempt.
    pub state: DeliveryState,
    /// Time of the attempt, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// Time of the next attempt if pending, in seconds since 1970-01-01 UTC.
    pub next_at_secs: u64,
    /// The receiver's answer, or the reason for its absence.
    pub outcome: String,
}
