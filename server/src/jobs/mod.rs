//! The timers of jobs, and the look for jobs of processes that died.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{AppError, Registry};

pub(crate) mod deliver;
pub(crate) mod mirrors;
pub(crate) mod rates;

/// The interval between looks for jobs of processes that died.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts the timers of collections and of retention, and the look, for as long as the runtime
/// lives.
pub(crate) fn spawn(
    registry: Arc<Registry>,
    (collect, retention): (Option<Duration>, Option<Duration>),
) {
    if let Some(pause) = collect {
        actix_web::rt::spawn(repeat_collecting(Arc::clone(&registry), pause));
    }
    if let Some(pause) = retention {
        actix_web::rt::spawn(apply_retention(Arc::clone(&registry), pause));
    }
    actix_web::rt::spawn(take_over(registry));
}

/// Starts a collection in intervals of `pause`.
async fn repeat_collecting(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let started = registry.collector.start_collecting(<_>::default()).await;
        warn("start a collection", started);
    }
}

/// Applies all retention policies in intervals of `pause`.
async fn apply_retention(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        warn("apply the retention policies", registry.retention.apply_all().await);
    }
}

/// Takes over jobs that were requested of processes that died.
async fn take_over(registry: Arc<Registry>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let collections = registry.collector.take_over_collecting().await;
        warn("look for abandoned collections", collections);
        warn("look for abandoned retention", registry.retention.take_over().await);
    }
}

fn warn(action: impl Display, outcome: Result<(), AppError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "cannot {action}");
    }
}
