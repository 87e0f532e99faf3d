//! Webhooks, which send events to registered URLs.
//!
//! An action and its messages are committed in one catalog transaction (a transactional outbox).
//! `jobs/deliver` delivers the messages, one [`Audit::deliver_next`] at a time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use seawall_api::audit::{Action, EVENTS};
use seawall_api::names::ApplicationName;
use url::Url;

use super::Audit;
use crate::app::AppError;
use crate::app::model::Page;
use crate::catalog::{
    DeliveryRow, DeliveryState, Settlement, Webhook, WebhookAdded, WebhookId, WebhookStatus,
};
use crate::courier::Courier;

mod message;

pub use message::{body_of, message_id};

/// The maximum length of a webhook's URL, in bytes.
const URL_LEN_MAX: usize = 2048;
/// The time after which an undelivered message is abandoned, in seconds.
const GIVE_UP_AFTER_SECS: u64 = 3 * 86_400;
/// The duration of a claim on a message, in seconds: longer than any delivery attempt.
const CLAIM_SECS: u64 = 15;
/// The first delay between attempts, in seconds. Each delay is twice the previous one.
const PAUSE_SECS_FIRST: u64 = 2;
/// The maximum delay between attempts, in seconds.
const PAUSE_SECS_MAX: u64 = 3600;

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

/// The outcome of a delivery attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The receiver accepted the message.
    Accepted,
    /// The receiver did not accept the message. The delivery will be retried.
    Failed,
    /// The receiver did not accept the message, and the message has expired.
    GivenUp,
}

/// A receiver that did not accept the last message.
#[derive(Clone, Copy, Debug)]
struct Deaf {
    /// The number of consecutive failures.
    failure_count: u32,
    /// The earliest time of the next attempt, in seconds since 1970-01-01 UTC.
    until_secs: u64,
}

/// The failing receivers known to this process. Throttles attempts per receiver, so that a backlog
/// causes no more attempts than a single message. At most one entry per webhook.
#[derive(Debug, Default)]
pub(super) struct Receivers(Mutex<HashMap<WebhookId, Deaf>>);

impl Receivers {
    fn may_be_tried(&self, id: WebhookId, now_secs: u64) -> bool {
        let receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.get(&id).is_none_or(|deaf| deaf.until_secs <= now_secs)
    }

    /// Records a failed attempt. Returns true on the first failure in a row.
    fn failed(&self, id: WebhookId, at_secs: u64, jitter: u8) -> bool {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deaf = receivers.entry(id).or_insert(Deaf { failure_count: 0, until_secs: 0 });
        deaf.until_secs = at_secs.saturating_add(pause_secs(deaf.failure_count, jitter));
        deaf.failure_count = deaf.failure_count.saturating_add(1);
        deaf.failure_count == 1
    }

    /// Forgets a receiver that accepts messages or was removed. Returns whether the receiver was
    /// failing.
    fn forget(&self, id: WebhookId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).is_some()
    }

    /// Retains the listed webhooks, because another process may have removed some.
    fn keep(&self, known: &[WebhookStatus]) {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.retain(|id, _| known.iter().any(|status| status.webhook.id == *id));
    }
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
        let webhooks = self.catalog.webhooks().await?;
        self.receivers.keep(&webhooks);
        Ok(webhooks)
    }

    /// Removes a webhook with its pending deliveries.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such webhook.
    pub async fn remove_webhook(&self, id: WebhookId, token: String) -> Result<(), AppError> {
        if self.catalog.remove_webhook(id, token, self.host.now_secs()).await? {
            self.receivers.forget(id);
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

    /// Returns the webhooks with due deliveries.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn due_webhooks(&self) -> Result<Vec<WebhookId>, AppError> {
        Ok(self.catalog.due_webhooks(self.host.now_secs()).await?)
    }

    /// Attempts the next due delivery of a webhook. Returns `None` if nothing is due, or if the
    /// receiver failed and its delay has not elapsed. The delivery due for longest comes first, so
    /// that a message which is never accepted does not block the others.
    ///
    /// # Errors
    /// Fails if the catalog fails. The delivery is retried once its claim expires.
    pub async fn deliver_next(
        &self,
        id: WebhookId,
        courier: &dyn Courier,
    ) -> Result<Option<Delivered>, AppError> {
        let now_secs = self.host.now_secs();
        if !self.receivers.may_be_tried(id, now_secs) {
            return Ok(None);
        }
        let until_secs = now_secs.saturating_add(CLAIM_SECS);
        let claimed = self.catalog.claim_delivery(id, now_secs, until_secs).await?;
        let Some(delivery) = claimed else { return Ok(None) };
        let message = message::message(&delivery, now_secs);
        let (is_accepted, outcome) = match courier.post(message).await {
            Ok(status) => ((200..300).contains(&status), format!("HTTP status {status}")),
            Err(why) => (false, why),
        };
        let at_secs = self.host.now_secs();
        let waited_secs = at_secs.saturating_sub(delivery.created_at_secs);
        let (delivered, state) = match is_accepted {
            true => (Delivered::Accepted, DeliveryState::Delivered),
            false if waited_secs < GIVE_UP_AFTER_SECS => {
                (Delivered::Failed, DeliveryState::Pending)
            }
            false => (Delivered::GivenUp, DeliveryState::GivenUp),
        };
        self.record_receiver(id, delivered, &outcome, at_secs);
        let pause_secs = pause_secs(delivery.attempt_count, self.jitter());
        let next_at_secs = at_secs.saturating_add(pause_secs);
        let settlement = Settlement { state, at_secs, next_at_secs, outcome };
        self.catalog.settle_delivery(id, delivery.id, settlement).await?;
        Ok(Some(delivered))
    }

    /// Updates the state of a receiver, and logs when a receiver starts failing and when it
    /// recovers.
    fn record_receiver(&self, id: WebhookId, delivered: Delivered, outcome: &str, at_secs: u64) {
        if delivered == Delivered::Accepted {
            if self.receivers.forget(id) {
                tracing::info!(webhook = %id, "a webhook accepts messages again");
            }
        } else if self.receivers.failed(id, at_secs, self.jitter()) {
            tracing::warn!(webhook = %id, outcome, "a webhook does not accept messages");
        } else {
            tracing::debug!(webhook = %id, outcome, "a webhook still does not accept messages");
        }
        if delivered == Delivered::GivenUp {
            tracing::warn!(webhook = %id, outcome, "a message was given up");
        }
    }

    fn jitter(&self) -> u8 {
        self.host.random().map_or(0, |bytes| bytes[0])
    }
}

/// Returns the delay after `attempt_count` previous attempts and one more, in seconds. Half of the
/// delay is fixed and half is random jitter, so that failed deliveries are not retried in step.
fn pause_secs(attempt_count: u32, jitter: u8) -> u64 {
    let doubled = PAUSE_SECS_FIRST.checked_shl(attempt_count.min(32)).unwrap_or(PAUSE_SECS_MAX);
    let half = doubled.min(PAUSE_SECS_MAX) / 2;
    half + half * u64::from(jitter) / 255
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::app::Registry;
    use crate::app::tests::Site;
    use crate::catalog::Entry;
    use crate::courier::Message;

    /// A receiver for tests.
    #[derive(Default)]
    struct Ear {
        is_deaf: AtomicBool,
        /// The body text of messages that are never accepted.
        dislikes: Option<&'static str>,
        try_count: AtomicU32,
    }

    #[async_trait::async_trait]
    impl Courier for Ear {
        async fn post(&self, message: Message) -> Result<u16, String> {
            self.try_count.fetch_add(1, Ordering::Relaxed);
            let body = String::from_utf8(message.body).unwrap();
            let is_disliked = self.dislikes.is_some_and(|text| body.contains(text));
            let refuses = is_disliked || self.is_deaf.load(Ordering::Relaxed);
            Ok(if refuses { 500 } else { 204 })
        }
    }

    const MESSAGES: u64 = 40;

    async fn with_backlog(site: &Site) -> (Arc<Registry>, WebhookId) {
        let registry = Arc::new(site.sound());
        let new = NewWebhook {
            url: "https://hooks.example/".to_owned(),
            events: vec![Action::Damage],
            application: None,
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            token: String::new(),
        };
        let id = registry.audit.add_webhook(new).await.unwrap().webhook.id;
        for n in 0..MESSAGES {
            let entry = Entry::new(Action::Damage, "", site.now_secs());
            registry.catalog.log(entry.with("object", format!("<{n}>"))).await.unwrap();
        }
        (registry, id)
    }

    /// Delivers for some seconds, as `jobs/deliver` does. Returns the number of pending messages.
    async fn pass(site: &Site, registry: &Registry, id: WebhookId, ear: &Ear, secs: u64) -> u64 {
        for _ in 0..secs {
            site.pass(1);
            while registry.audit.deliver_next(id, ear).await.unwrap() == Some(Delivered::Accepted) {
            }
        }
        registry.audit.webhooks().await.unwrap()[0].pending_count
    }

    /// A failing receiver with a backlog is tried as often as for a single message.
    #[tokio::test]
    async fn a_dead_receiver_is_tried_no_oftener_for_its_backlog() {
        let site = Site::new();
        let (registry, id) = with_backlog(&site).await;
        let ear = Ear { is_deaf: AtomicBool::new(true), ..Ear::default() };
        assert_eq!(pass(&site, &registry, id, &ear, 3600).await, MESSAGES);
        let tries = ear.try_count.load(Ordering::Relaxed);
        assert!((5..=16).contains(&tries), "{tries} tries in an hour");
        ear.is_deaf.store(false, Ordering::Relaxed);
        assert_eq!(pass(&site, &registry, id, &ear, 3600).await, 0);
    }

    #[tokio::test]
    async fn a_message_that_is_never_accepted_holds_up_no_other() {
        let site = Site::new();
        let (registry, id) = with_backlog(&site).await;
        let ear = Ear { dislikes: Some("<0>"), ..Ear::default() };
        assert_eq!(pass(&site, &registry, id, &ear, 10).await, 1);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_are_half_chance() {
        let pauses =
            [0, 1, 2, 10, 11, 40, u32::MAX].map(|n| (pause_secs(n, 0), pause_secs(n, 255)));
        let hour = (1800, 3600);
        assert_eq!(pauses, [(1, 2), (2, 4), (4, 8), (1024, 2048), hour, hour, hour]);
        // A receiver that is down for three days is tried about eighty times, not thousands of
        // times.
        let mut secs = 0;
        let tries = (0..).take_while(|n| {
            secs += pause_secs(*n, 128);
            secs < GIVE_UP_AFTER_SECS
        });
        assert!((60..160).contains(&tries.count()));
    }
}
