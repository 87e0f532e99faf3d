//! The timers of collections.

use std::sync::Arc;
use std::time::Duration;

use crate::app::maintenance::Maintenance;
use crate::app::maintenance::collect::CollectOptions;

/// The interval between looks for requests to processes that died.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts a collection in intervals of `pause`.
pub(crate) async fn repeat(maintenance: Arc<Maintenance>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = maintenance.start_collecting(CollectOptions::default()).await {
            tracing::error!(%error, "cannot start a collection");
        }
    }
}

/// Takes over collections that were requested of processes that died.
pub(crate) async fn take_over(maintenance: Arc<Maintenance>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = maintenance.take_over_collecting().await {
            tracing::warn!(%error, "cannot look for abandoned collections");
        }
    }
}
