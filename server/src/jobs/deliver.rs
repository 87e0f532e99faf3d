//! Looks for due messages, and delivers them (`app/audit/webhooks/deliver.rs`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::Registry;
use crate::app::audit::webhooks::OnAttempt;
use crate::courier::Courier;
use crate::metrics::HealthMetrics;

/// The interval of checks of the outbox.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Delivers messages for as long as the future is polled.
pub(crate) async fn deliver(
    registry: Arc<Registry>,
    courier: Arc<dyn Courier>,
    metrics: HealthMetrics,
) {
    let on_attempt: OnAttempt = Arc::new(move |delivered| metrics.attempted(delivered));
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = FuturesUnordered::new();
    let mut busy = HashSet::new();
    let deliver = async |webhook| {
        let (courier, on_attempt) = (Arc::clone(&courier), Arc::clone(&on_attempt));
        if let Err(error) = registry.audit.deliver(webhook, courier, on_attempt).await {
            tracing::warn!(%error, %webhook, "cannot claim the deliveries of a webhook");
        }
        webhook
    };
    loop {
        tokio::select! {
            Some(webhook) = running.next(), if !running.is_empty() => {
                busy.remove(&webhook);
            }
            _ = ticks.tick() => match registry.audit.due_webhooks().await {
                Ok(due) => {
                    running.extend(due.into_iter().filter(|id| busy.insert(*id)).map(deliver));
                }
                Err(error) => tracing::warn!(%error, "cannot look for pending messages"),
            }
        }
    }
}
