//! Webhooks: addresses that are told what happens.
//!
//! An act and the messages that tell of it are one transaction of the catalog (its outbox);
//! delivering them is `jobs/deliver`, a step at a time by [`Registry::deliver_next`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use seawall_api::audit::{Action, EVENTS};
use seawall_api::names::ApplicationName;
use url::Url;

use super::listings::Page;
use super::{AppError, Registry};
use crate::catalog::{
    DeliveryRow, DeliveryState, Settlement, Webhook, WebhookAdded, WebhookId, WebhookStatus,
};
use crate::courier::{Courier, Reach};

mod message;

pub use message::{body_of, message_id};

/// The longest address of a webhook, in bytes.
const URL_LEN_MAX: usize = 2048;
/// For how long a message is tried.
const GIVE_UP_AFTER_SECS: u64 = 3 * 86_400;
/// For how long a message is nobody else's once it was taken: longer than any try lasts.
const CLAIM_SECS: u64 = 15;
/// The first pause between two tries; each is twice the one before,
const PAUSE_SECS_FIRST: u64 = 2;
/// but no longer than this.
const PAUSE_SECS_MAX: u64 = 3600;

/// Asks to tell an address what happens.
#[derive(Clone)]
pub struct NewWebhook {
    /// Where messages go.
    pub url: String,
    /// Of what it is told.
    pub events: Vec<Action>,
    /// Of which application; `None` for all.
    pub application: Option<ApplicationName>,
    /// What signs the messages, as people write it.
    pub secret: String,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

/// How a try to deliver ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The receiver accepted it.
    Accepted,
    /// It did not, and is asked again later.
    Failed,
    /// It did not, for as long as messages are tried.
    GivenUp,
}

/// A receiver that did not accept what it was sent last.
#[derive(Clone, Copy, Debug)]
struct Deaf {
    /// So many times in a row.
    failure_count: u32,
    /// It is sent nothing before.
    until_secs: u64,
}

/// The receivers that this process finds deaf: whatever waits for one, it is tried no oftener than
/// one message alone would be. Their number is that of webhooks.
#[derive(Debug, Default)]
pub(super) struct Receivers(Mutex<HashMap<WebhookId, Deaf>>);

impl Receivers {
    fn may_be_tried(&self, id: WebhookId, now_secs: u64) -> bool {
        let receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.get(&id).is_none_or(|deaf| deaf.until_secs <= now_secs)
    }

    /// One did not accept a message; whether it accepted the one before.
    fn failed(&self, id: WebhookId, at_secs: u64, jitter: u8) -> bool {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deaf = receivers.entry(id).or_insert(Deaf { failure_count: 0, until_secs: 0 });
        deaf.until_secs = at_secs.saturating_add(pause_secs(deaf.failure_count, jitter));
        deaf.failure_count = deaf.failure_count.saturating_add(1);
        deaf.failure_count == 1
    }

    /// One accepts messages, or is none any more; whether it did not before.
    fn forget(&self, id: WebhookId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).is_some()
    }

    /// Forgets those that are webhooks no more: another process may have removed them.
    fn keep(&self, known: &[WebhookStatus]) {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.retain(|id, _| known.iter().any(|status| status.webhook.id == *id));
    }
}

impl Registry {
    /// Says which addresses may be webhooks.
    #[must_use]
    pub fn with_reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Adds a webhook.
    ///
    /// # Errors
    /// When its address or secret is none, or there are too many.
    pub async fn add_webhook(&self, new: NewWebhook) -> Result<WebhookStatus, AppError> {
        let url = self.prove_url(&new.url)?;
        let mut events = new.events;
        events.sort();
        events.dedup();
        if events.is_empty() || events.iter().any(|event| !EVENTS.contains(event)) {
            let known = EVENTS.map(Action::as_str).join(", ");
            return Err(AppError::rule(format!("the events of a webhook are some of {known}")));
        }
        let secret = message::parse_secret(&new.secret).ok_or_else(|| {
            AppError::rule("the secret is not 24 to 64 bytes in Base64: `openssl rand -base64 32`")
        })?;
        let id = self.host.random().map(WebhookId::from_bytes);
        let webhook = Webhook {
            id: id.ok_or_else(|| AppError::Internal {
                action: "name a webhook",
                source: "the machine gives no random bytes".into(),
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
                "there are {limit} webhooks, as many as there may be: remove one first"
            ))),
        }
    }

    fn prove_url(&self, text: &str) -> Result<Url, AppError> {
        let bad = |why: &str| AppError::rule(format!("the address of the webhook {why}"));
        if text.len() > URL_LEN_MAX {
            return Err(bad("is longer than 2048 bytes"));
        }
        let url: Url = text.parse().map_err(|error| bad(&format!("is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("does not begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("holds a user or a password: put a secret in its path instead"));
        }
        if !self.reach.permits_host_of(&url) {
            return Err(bad("is private, and this registry does not send webhooks to private \
                 addresses; start it with --private-webhooks to allow that"));
        }
        Ok(url)
    }

    /// Every webhook, oldest first, and how it fares.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn webhooks(&self) -> Result<Vec<WebhookStatus>, AppError> {
        let webhooks = self.catalog.webhooks().await?;
        self.receivers.keep(&webhooks);
        Ok(webhooks)
    }

    /// Removes a webhook, and with it what was to be delivered to it.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is none.
    pub async fn remove_webhook(&self, id: WebhookId, token: String) -> Result<(), AppError> {
        if self.catalog.remove_webhook(id, token, self.host.now_secs()).await? {
            self.receivers.forget(id);
            return Ok(());
        }
        Err(AppError::not_found(format!("webhook {id}")))
    }

    /// Deliveries of a webhook, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such webhook.
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

    /// The webhooks to which something is to be delivered now.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn due_webhooks(&self) -> Result<Vec<WebhookId>, AppError> {
        Ok(self.catalog.due_webhooks(self.host.now_secs()).await?)
    }

    /// Tries to deliver what is due next to a webhook; `None` when nothing is, or when it did not
    /// accept the last one and its time has not come. Then what was not tried for longest goes
    /// first, so that a message which is never accepted holds up no other for long.
    ///
    /// # Errors
    /// When the catalog fails: then it is tried again when the claim on it has ended.
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
        self.note_receiver(id, delivered, &outcome, at_secs);
        let pause_secs = pause_secs(delivery.attempt_count, self.jitter());
        let next_at_secs = at_secs.saturating_add(pause_secs);
        let settlement = Settlement { state, at_secs, next_at_secs, outcome };
        self.catalog.settle_delivery(id, delivery.id, settlement).await?;
        Ok(Some(delivered))
    }

    /// A receiver that goes deaf is worth a line, and so is one that hears again.
    fn note_receiver(&self, id: WebhookId, delivered: Delivered, outcome: &str, at_secs: u64) {
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

/// How long to wait after so many tries and one more; half of it fixed, half by chance, so that
/// what failed together does not come back together.
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
    use crate::app::tests::Site;
    use crate::catalog::Entry;
    use crate::courier::Message;

    /// A receiver on the test's clock.
    #[derive(Default)]
    struct Ear {
        is_deaf: AtomicBool,
        /// It never accepts a message whose body holds this.
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
        let id = registry.add_webhook(new).await.unwrap().webhook.id;
        for n in 0..MESSAGES {
            let entry = Entry::new(Action::Damage, "", site.now_secs());
            registry.catalog.log(entry.with("object", format!("<{n}>"))).await.unwrap();
        }
        (registry, id)
    }

    /// Delivers for some seconds, as `jobs/deliver` does; how many messages wait then.
    async fn pass(site: &Site, registry: &Registry, id: WebhookId, ear: &Ear, secs: u64) -> u64 {
        for _ in 0..secs {
            site.pass(1);
            while registry.deliver_next(id, ear).await.unwrap() == Some(Delivered::Accepted) {}
        }
        registry.webhooks().await.unwrap()[0].pending_count
    }

    /// However much waits for it, a receiver that is down is tried as often as for one message.
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
        // A receiver that is down for three days is asked some eighty times, not thousands.
        let mut secs = 0;
        let tries = (0..).take_while(|n| {
            secs += pause_secs(*n, 128);
            secs < GIVE_UP_AFTER_SECS
        });
        assert!((60..160).contains(&tries.count()));
    }
}
