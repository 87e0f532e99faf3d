//! The timer of collections.

use std::sync::Arc;
use std::time::Duration;

use crate::app::Registry;
use crate::app::maintenance::collect::CollectOptions;

/// Starts a collection in intervals of `pause`.
pub(crate) async fn repeat(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = registry.start_collecting(CollectOptions::default()).await {
            tracing::error!(%error, "cannot start a collection");
        }
    }
}
