//! Webhooks, which send events to registered URLs.
//!
//! An action and its messages are committed in one catalog transaction (a transactional outbox).
//! `deliver` delivers the messages.

use seawall_api::audit::{Action, EVENTS};
use seawall_api::names::ApplicationName;
use url::Url;

use super::Audit;
use crate::app::AppError;
use crate::app::model::Page;
use crate::catalog::{DeliveryRow, Webhook, WebhookAdded, WebhookId, WebhookStatus};

mod deliver;
mod message;

pub use deliver::{Delivered, OnAttempt};
pub use message::{body_of, message_id};

/// The maximum length of a webhook's URL, in bytes.
const URL_LEN_MAX: usize = 2048;

/// A request to add a webhook.
#[derive(Clone)]
pub struct NewWebhook {
    /// The URL that receives the messages.
    pub url: String,
    /// The event types to deliver.
    pub events: Vec<Action>,
    /// The application whose events are delivered; `None` for all applications.
    pub application: Option<ApplicationName>,
    /// The signing secret, in Base64.
    pub secret: String,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

impl Audit {
    /// Adds a webhook.
    ///
    /// # Errors
    /// [`AppError::Invalid`] if the URL, the events or the secret are invalid, or there are too
    /// many webhooks; or the error of the catalog.
    pub async fn add_webhook(&self, new: NewWebhook) -> Result<WebhookStatus, AppError> {
        let url = self.prove_url(&new.url)?;
        let mut events = new.events;
        events.sort();
        events.dedup();
        if events.is_empty() || events.iter().any(|event| !EVENTS.contains(event)) {
            let known = EVENTS.map(Action::as_str).join(", ");
            return Err(AppError::rule(format!("the events of a webhook must be among {known}")));
        }
        let secret = message::parse_secret(&new.secret).ok_or_else(|| {
            AppError::rule("the secret must be 24 to 64 bytes in Base64: `openssl rand -base64 32`")
        })?;
        let id = self.host.random().map(WebhookId::from_bytes);
        let webhook = Webhook {
            id: id.ok_or_else(|| AppError::Internal {
                action: "name a webhook",
                source: "the system provides no random bytes".into(),
            })?,
            url: url.into(),
            secret,
            events,
            application: new.application,
            created_at_secs: self.host.now_secs(),
            created_by: new.token,
        };
        match self.catalog.add_webhook(webhook.clone()).await? {
            WebhookAdded::Done => Ok(WebhookStatus {
                webhook,
                pending_count: 0,
                pending_since_secs: None,
                lost_count: 0,
            }),
            WebhookAdded::TooMany(limit) => Err(AppError::rule(format!(
                "there are {limit} webhooks, the maximum: remove one first"
            ))),
        }
    }

    fn prove_url(&self, text: &str) -> Result<Url, AppError> {
        let bad = |why: &str| AppError::rule(format!("the URL of the webhook {why}"));
        if text.len() > URL_LEN_MAX {
            return Err(bad("is longer than 2048 bytes"));
        }
        let url: Url = text.parse().map_err(|error| bad(&format!("is not valid: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("does not begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("contains a user or a password: put a secret in the path instead"));
        }
        if !self.reach.permits_host_of(&url) {
            return Err(bad("is private, and this registry does not send webhooks to private \
                 addresses; start it with --private-webhooks to allow that"));
        }
        Ok(url)
    }

    /// Returns every webhook with its delivery status, oldest first.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn webhooks(&self) -> Result<Vec<WebhookStatus>, AppError> {
        Ok(self.catalog.webhooks().await?)
    }

    /// Removes a webhook with its pending deliveries.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such webhook.
    pub async fn remove_webhook(&self, id: WebhookId, token: String) -> Result<(), AppError> {
        if self.catalog.remove_webhook(id, token, self.host.now_secs()).await? {
            return Ok(());
        }
        Err(AppError::not_found(format!("webhook {id}")))
    }

    /// Returns the deliveries of a webhook, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such webhook.
    pub async fn deliveries(
        &self,
        id: WebhookId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Page<DeliveryRow, u64>, AppError> {
        let rows = self.catalog.deliveries(id, after, limit.saturating_add(1)).await?;
        let rows = rows.ok_or_else(|| AppError::not_found(format!("webhook {id}")))?;
        Ok(Page::of(rows, limit, |row| row.id))
    }
}
