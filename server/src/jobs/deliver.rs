//! Delivers what is in the outbox.
//!
//! # Invariants
//!
//! 1. One message is under way to a webhook at a time, of this process: a receiver that is dead or
//!    slow holds up nobody but itself, and gets at most one connection.
//! 2. A message leaves the outbox only when its receiver accepted it, or when it was tried for as
//!    long as messages are.
//!
//! # At the same time
//!
//! Any number of processes may deliver from one catalog: a message that one of them takes is not
//! given to another before it must have been answered (`Registry::deliver_next`).
//!
//! # After a crash
//!
//! A message that was under way is sent again: at least once, not once. `webhook-id` tells a
//! receiver that it had it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{Delivered, Registry};
use crate::catalog::WebhookId;
use crate::courier::Courier;
use crate::metrics::Watched;

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many messages go to a webhook before the outbox is looked at anew.
const BATCH: usize = 64;

/// Delivers for as long as it is polled.
pub(crate) async fn deliver(registry: Arc<Registry>, courier: Arc<dyn Courier>, watched: Watched) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = FuturesUnordered::new();
    let mut busy = HashSet::new();
    loop {
        tokio::select! {
            Some(webhook) = running.next(), if !running.is_empty() => {
                busy.remove(&webhook);
            }
            _ = ticks.tick() => match registry.due_webhooks().await {
                Ok(due) => {
                    for webhook in due {
                        if busy.insert(webhook) {
                            running.push(drain(webhook, &registry, &courier, &watched));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot look for messages to deliver"),
            }
        }
    }
}

/// Delivers what is due to one webhook until something fails.
async fn drain(
    webhook: WebhookId,
    registry: &Registry,
    courier: &Arc<dyn Courier>,
    watched: &Watched,
) -> WebhookId {
    for _ in 0..BATCH {
        match registry.deliver_next(webhook, courier.as_ref()).await {
            Ok(None) => break,
            Ok(Some(outcome)) => {
                watched.attempted(outcome);
                if outcome != Delivered::Accepted {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, %webhook, "cannot take a message from the outbox");
                break;
            }
        }
    }
    webhook
}
