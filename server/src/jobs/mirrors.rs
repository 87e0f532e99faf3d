//! Looks for due mirrors, and runs them (`app/mirrors`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::Registry;
use crate::app::mirrors::Means;
use crate::catalog::mirrors::Mirror;

/// The interval of looks for due mirrors.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The maximum number of mirrors that this process runs concurrently.
const RUNS_AT_ONCE: usize = 4;

/// Runs due mirrors for as long as the future is polled.
pub(crate) async fn run(registry: Arc<Registry>, means: Means) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = FuturesUnordered::new();
    let mut busy = HashSet::new();
    let run = async |mirror: Mirror| {
        let name = mirror.name.clone();
        if let Err(error) = registry.mirrors.run(mirror, means.clone()).await {
            tracing::warn!(%error, mirror = %name, "cannot run a mirror");
        }
        name
    };
    loop {
        tokio::select! {
            Some(name) = running.next(), if !running.is_empty() => {
                busy.remove(&name);
            }
            _ = ticks.tick(), if busy.len() < RUNS_AT_ONCE => match registry.mirrors.due().await {
                Ok(due) => for mirror in due {
                    if busy.len() < RUNS_AT_ONCE && busy.insert(mirror.name.clone()) {
                        running.push(run(mirror));
                    }
                },
                Err(error) => tracing::warn!(%error, "cannot look for due mirrors"),
            }
        }
    }
}
