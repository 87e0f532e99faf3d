//! The delivery of messages, a job for each webhook.
//!
//! # Invariants
//!
//! 1. One runner among all processes sends the messages of a webhook, one at a time, the one due
//!    for longest first. A dead or slow receiver delays only itself and gets at most one
//!    connection.
//! 2. A message leaves the outbox only when its receiver accepts it, or when the time for attempts
//!    is over.
//! 3. A receiver that fails is tried as often with a backlog as with a single message. The job has
//!    the time of the next attempt, so that the next runner keeps to it.
//!
//! # After a crash
//!
//! After the patience of the kernel, another process takes the job over and sends the message in
//! progress again: delivery is at least once. The receiver recognizes a duplicate by its
//! `webhook-id`. The same happens while a registry of a version before schema 13 serves the
//! catalog, too: it claims messages instead of webhooks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::message;
use crate::app::AppError;
use crate::app::audit::Audit;
use crate::app::jobs::{self, Order, PATIENCE_SECS, Running, Step, Task, Work};
use crate::catalog::jobs::{Job, JobKind};
use crate::catalog::{DeliveryState, Settlement, WebhookId};
use crate::courier::Courier;

/// The time after which an undelivered message is abandoned, in seconds.
const GIVE_UP_AFTER_SECS: u64 = 3 * 86_400;
/// The first delay between attempts, in seconds. Each delay is twice the previous one.
const PAUSE_SECS_FIRST: u64 = 2;
/// The maximum delay between attempts, in seconds.
const PAUSE_SECS_MAX: u64 = 3600;

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

/// Takes the outcome of each attempt.
pub type OnAttempt = Arc<dyn Fn(Delivered) + Send + Sync>;

/// The progress of deliveries to a receiver.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Receiver {
    /// The number of accepted messages.
    objects: u64,
    /// The number of consecutive failures.
    failure_count: u32,
    /// The earliest time of the next attempt, in seconds since 1970-01-01 UTC.
    until_secs: u64,
}

impl Receiver {
    fn of(job: &Job) -> Self {
        serde_json::from_str(&job.progress).unwrap_or_default()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The deliveries of a webhook in progress.
struct Deliveries {
    audit: Audit,
    running: Arc<Running>,
    courier: Arc<dyn Courier>,
    on_attempt: OnAttempt,
    webhook: WebhookId,
    receiver: Receiver,
}

impl Audit {
    /// Returns the webhooks with due deliveries that no process delivers, and whose receivers may
    /// be tried.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn due_webhooks(&self) -> Result<Vec<WebhookId>, AppError> {
        let now_secs = self.host.now_secs();
        let is_free = |job: Job| {
            !job.is_alive(now_secs, PATIENCE_SECS) && Receiver::of(&job).until_secs <= now_secs
        };
        let due = self.catalog.due_webhooks(now_secs).await?.into_iter();
        Ok(due.filter_map(|(id, job)| job.is_none_or(is_free).then_some(id)).collect())
    }

    /// Delivers due messages to a webhook until none is due or one fails. Does nothing if another
    /// process delivers to the webhook.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn deliver(
        &self,
        webhook: WebhookId,
        courier: Arc<dyn Courier>,
        on_attempt: OnAttempt,
    ) -> Result<(), AppError> {
        let Some((running, job)) = self.begin_delivering(webhook).await? else { return Ok(()) };
        let (audit, receiver) = (self.clone(), Receiver::of(&job));
        let running_too = Arc::clone(&running);
        let work =
            Deliveries { audit, running: running_too, courier, on_attempt, webhook, receiver };
        Task { running, work }.run().await;
        Ok(())
    }

    /// Claims the job of delivering to a webhook.
    async fn begin_delivering(
        &self,
        webhook: WebhookId,
    ) -> Result<Option<(Arc<Running>, Job)>, AppError> {
        let name = JobKind::Deliver.of(webhook.to_string());
        let order = Order { name, patience_secs: PATIENCE_SECS, restart: false };
        self.kernel.claim(order, |_| Receiver::default().text()).await
    }

    fn jitter(&self) -> u8 {
        self.host.random().map_or(0, |bytes| bytes[0])
    }
}

impl Work for Deliveries {
    const NAME: &'static str = "the delivery of messages";

    /// Attempts the delivery that is due for longest, so that a message which is never accepted
    /// does not block the others.
    async fn step(&mut self) -> Result<Step, AppError> {
        let Audit { catalog, host, .. } = &self.audit;
        let now_secs = host.now_secs();
        let Some(delivery) = catalog.next_delivery(self.webhook, now_secs).await? else {
            return Ok(Step::Done);
        };
        let message = message::message(&delivery, now_secs);
        let (is_accepted, outcome) = match self.courier.post(message).await {
            Ok(status) => ((200..300).contains(&status), format!("HTTP status {status}")),
            Err(why) => (false, why),
        };
        let at_secs = host.now_secs();
        let waited_secs = at_secs.saturating_sub(delivery.created_at_secs);
        let (delivered, state) = match is_accepted {
            true => (Delivered::Accepted, DeliveryState::Delivered),
            false if waited_secs < GIVE_UP_AFTER_SECS => {
                (Delivered::Failed, DeliveryState::Pending)
            }
            false => (Delivered::GivenUp, DeliveryState::GivenUp),
        };
        let pause_secs = pause_secs(delivery.attempt_count, self.audit.jitter());
        let next_at_secs = at_secs.saturating_add(pause_secs);
        let settlement = Settlement { state, at_secs, next_at_secs, outcome: outcome.clone() };
        catalog.settle_delivery(self.webhook, delivery.id, settlement).await?;
        (self.on_attempt)(delivered);
        self.record(delivered, &outcome, at_secs);
        match delivered {
            Delivered::Accepted => Ok(Step::Continue),
            Delivered::Failed | Delivered::GivenUp => Err(AppError::Failed { why: outcome }),
        }
    }

    /// Writes nothing to the log of a receiver that failed, which is done once for a row of
    /// failures.
    async fn ended(&mut self, outcome: Result<(), AppError>) {
        if !matches!(outcome, Ok(()) | Err(AppError::Failed { .. })) {
            jobs::log(Self::NAME, &outcome);
        }
    }
}

impl Deliveries {
    /// Updates the state of the receiver, and logs when it starts failing and when it recovers.
    fn record(&mut self, delivered: Delivered, outcome: &str, at_secs: u64) {
        let (webhook, receiver) = (self.webhook, &mut self.receiver);
        if delivered == Delivered::Accepted {
            if receiver.failure_count > 0 {
                tracing::info!(%webhook, "a webhook accepts messages again");
            }
            *receiver = Receiver { objects: receiver.objects + 1, ..Receiver::default() };
        } else {
            if receiver.failure_count == 0 {
                tracing::warn!(%webhook, outcome, "a webhook does not accept messages");
            } else {
                tracing::debug!(%webhook, outcome, "a webhook still does not accept messages");
            }
            let pause_secs = pause_secs(receiver.failure_count, self.audit.jitter());
            receiver.until_secs = at_secs.saturating_add(pause_secs);
            receiver.failure_count = receiver.failure_count.saturating_add(1);
        }
        if delivered == Delivered::GivenUp {
            tracing::warn!(%webhook, outcome, "a message was given up");
        }
        self.running.note(self.receiver.text());
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
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use seawall_api::audit::Action;

    use super::*;
    use crate::app::Registry;
    use crate::app::audit::webhooks::NewWebhook;
    use crate::app::jobs::JobState;
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
    async fn pass(site: &Site, registry: &Registry, ear: &Arc<Ear>, secs: u64) -> u64 {
        for _ in 0..secs {
            site.pass(1);
            for id in registry.audit.due_webhooks().await.unwrap() {
                let courier = Arc::clone(ear) as Arc<dyn Courier>;
                registry.audit.deliver(id, courier, Arc::new(|_| {})).await.unwrap();
            }
        }
        registry.audit.webhooks().await.unwrap()[0].pending_count
    }

    fn ear(is_deaf: bool, dislikes: Option<&'static str>) -> Arc<Ear> {
        Arc::new(Ear { is_deaf: AtomicBool::new(is_deaf), dislikes, ..Ear::default() })
    }

    async fn state(registry: &Registry) -> JobState {
        registry.jobs.list(10).await.unwrap()[0].state
    }

    /// A failing receiver with a backlog is tried as often as for a single message.
    #[tokio::test]
    async fn a_dead_receiver_is_tried_no_oftener_for_its_backlog() {
        let site = Site::new();
        let (registry, _) = with_backlog(&site).await;
        let ear = ear(true, None);
        // The next process knows that the receiver is deaf.
        for registry in [registry, Arc::new(site.sound())] {
            assert_eq!(pass(&site, &registry, &ear, 1800).await, MESSAGES);
        }
        let tries = ear.try_count.load(Ordering::Relaxed);
        assert!((5..=16).contains(&tries), "{tries} tries in an hour");
        let registry = site.sound();
        assert_eq!(state(&registry).await, JobState::Failed);
        ear.is_deaf.store(false, Ordering::Relaxed);
        assert_eq!(pass(&site, &registry, &ear, 3600).await, 0);
        assert_eq!(state(&registry).await, JobState::Complete);
    }

    #[tokio::test]
    async fn a_message_that_is_never_accepted_holds_up_no_other() {
        let site = Site::new();
        let (registry, _) = with_backlog(&site).await;
        assert_eq!(pass(&site, &registry, &ear(false, Some("<0>")), 10).await, 1);
    }

    /// While one process delivers, no other does. When it dies, another one goes on.
    #[tokio::test]
    async fn one_process_delivers_to_a_webhook_until_it_dies() {
        let site = Site::new();
        let (one, id) = with_backlog(&site).await;
        let other = site.sound();
        let dead = one.audit.begin_delivering(id).await.unwrap().unwrap();
        let ear = ear(false, None);
        assert_eq!(other.audit.due_webhooks().await.unwrap(), []);
        other.audit.deliver(id, Arc::clone(&ear) as _, Arc::new(|_| {})).await.unwrap();
        assert_eq!(ear.try_count.load(Ordering::Relaxed), 0);
        assert_eq!(state(&other).await, JobState::Running);
        drop(dead);
        site.pass(PATIENCE_SECS);
        assert_eq!(state(&other).await, JobState::Interrupted);
        assert_eq!(pass(&site, &other, &ear, 1).await, 0);
        assert_eq!(u64::from(ear.try_count.load(Ordering::Relaxed)), MESSAGES);
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
