//! Webhooks, and what is to be delivered to them.

use std::fmt;

use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;

use super::Logged;
use crate::catalog::id::WebhookId;

/// What a webhook's messages are signed with. It is kept as it is: whoever signs needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// Takes a secret; how long one is, is for the caller to prove.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The secret itself.
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

/// An address that is told what happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its name.
    pub id: WebhookId,
    /// Where messages go.
    pub url: String,
    /// What signs them.
    pub secret: WebhookSecret,
    /// Of what it is told.
    pub events: Vec<Action>,
    /// Of which application; `None` for all.
    pub application: Option<ApplicationName>,
    /// When it was added.
    pub created_at_secs: u64,
    /// With which token.
    pub created_by: String,
}

impl Webhook {
    /// Whether it is to be told of an act.
    #[must_use]
    pub fn wants(&self, logged: &Logged) -> bool {
        let named = self.application.as_ref();
        self.events.contains(&logged.entry.action)
            && named.is_none_or(|name| logged.entry.application.as_ref() == Some(name))
    }
}

/// What became of a webhook that was to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookAdded {
    /// It is there.
    Done,
    /// There are as many as there may be: this many.
    TooMany(u32),
}

/// A webhook, and how it fares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookStatus {
    /// The webhook.
    pub webhook: Webhook,
    /// How many messages wait for it.
    pub pending_count: u64,
    /// Since when the oldest of them waits.
    pub pending_since_secs: Option<u64>,
    /// How many messages were given up: after the time for it, or because too many waited.
    pub lost_count: u64,
}

/// How far a delivery is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// To be tried, perhaps again.
    Pending,
    /// The receiver accepted it.
    Delivered,
    /// It was tried for as long as it is.
    GivenUp,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::GivenUp];

    /// Its text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
        }
    }
}

/// A message that is to be delivered now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Which.
    pub id: u64,
    /// To whom.
    pub webhook: Webhook,
    /// Of what it tells.
    pub logged: Logged,
    /// How often it was tried.
    pub attempt_count: u32,
    /// Since when it waits.
    pub created_at_secs: u64,
}

/// A delivery as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRow {
    /// Which.
    pub id: u64,
    /// Of what it tells.
    pub logged: Logged,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempt_count: u32,
    /// When it is tried next, where it is pending.
    pub next_at_secs: u64,
    /// How the last try ended; empty before the first.
    pub outcome: String,
}

/// How a try to deliver ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// How far the delivery is now.
    pub state: DeliveryState,
    /// When this was found.
    pub at_secs: u64,
    /// When it is tried next, where it is pending.
    pub next_at_secs: u64,
    /// What the receiver answered, or why it did not.
    pub outcome: String,
}
