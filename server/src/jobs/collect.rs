//! The timers of collections.

use std::sync::Arc;
use std::time::Duration;

use crate::app::Registry;
use crate::app::maintenance::collect::CollectOptions;

/// The interval between looks for requests to processes that died.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts a collection in intervals of `pause`.
pub(crate) async fn repeat(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = registry.start_collecting(CollectOptions::default()).await {
            tracing::error!(%error, "cannot start a collection");
        }
    }
}

/// Takes over collections that were requested of processes that died.
pub(crate) async fn take_over(registry: Arc<Registry>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if registry.barrier().is_some() {
            continue;
        }
        if let Err(error) = registry.take_over_collecting().await {
            tracing::warn!(%error, "cannot look for abandoned collections");
        }
    }
}
