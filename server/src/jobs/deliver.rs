//! Delivers the messages of the outbox.
//!
//! # Invariants
//!
//! 1. Each process sends one message at a time to a webhook. A dead or slow receiver delays only
//!    itself and gets at most one connection.
//! 2. A message leaves the outbox only when its receiver accepts it, or when the time for attempts
//!    is over.
//!
//! # Concurrency
//!
//! Any number of processes may deliver from one catalog. A message taken by one process is not
//! given to another before the first attempt must have ended (`Registry::deliver_next`).
//!
//! # After a crash
//!
//! A message in progress is sent again: delivery is at least once. The receiver recognizes a
//! duplicate by its `webhook-id`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{Delivered, Registry};
use crate::catalog::WebhookId;
use crate::courier::Courier;
use crate::metrics::HealthMetrics;

/// The interval of checks of the outbox.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The maximum number of messages per webhook before the outbox is checked again.
const BATCH: usize = 64;

/// Delivers messages for as long as the future is polled.
pub(crate) async fn deliver(
    registry: Arc<Registry>,
    courier: Arc<dyn Courier>,
    metrics: HealthMetrics,
) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = FuturesUnordered::new();
    let mut busy = HashSet::new();
    loop {
        tokio::select! {
            Some(webhook) = running.next(), if !running.is_empty() => {
                busy.remove(&webhook);
            }
            _ = ticks.tick() => match registry.audit.due_webhooks().await {
                Ok(due) => {
                    for webhook in due {
                        if busy.insert(webhook) {
                            running.push(drain(webhook, &registry, &courier, &metrics));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot look for pending messages"),
            }
        }
    }
}

/// Delivers due messages to one webhook until one fails.
async fn drain(
    webhook: WebhookId,
    registry: &Registry,
    courier: &Arc<dyn Courier>,
    metrics: &HealthMetrics,
) -> WebhookId {
    for _ in 0..BATCH {
        match registry.audit.deliver_next(webhook, courier.as_ref()).await {
            Ok(None) => break,
            Ok(Some(outcome)) => {
                metrics.attempted(outcome);
                if outcome != Delivered::Accepted {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, %webhook, "cannot claim a pending message");
                break;
            }
        }
    }
    webhook
}
