//! Runs collections on threads of their own.

use std::sync::Arc;
use std::time::Duration;

use crate::app::maintenance::collect::CollectOptions;
use crate::app::{AppError, Registry};

/// Starts a collection on a separate thread. If one is already running, another round follows.
pub(crate) async fn start(
    registry: &Arc<Registry>,
    options: CollectOptions,
) -> Result<(), AppError> {
    let internal = |source| AppError::Internal { action: "start a collection", source };
    let Some(job) = registry.begin_collecting(options).await? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| internal(error.into()))?;
    let work = move || runtime.block_on(job.run());
    let thread = std::thread::Builder::new().name("seawall-collect".to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|error| internal(error.into()))
}

/// Starts a collection in intervals of `pause`.
pub(crate) async fn repeat(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = start(&registry, CollectOptions::default()).await {
            tracing::error!(%error, "cannot start a collection");
        }
    }
}
