//! Runs collections to their end, however long older leases take.

use std::sync::Arc;
use std::time::Duration;

use crate::app::upkeep::collect::CollectOptions;
use crate::app::{AppError, Registry};

/// The pause between checks for the end of older leases.
const WAIT_PAUSE: Duration = Duration::from_secs(2);

/// Starts a collection on a separate thread. If this process is already collecting, another
/// collection follows.
pub(crate) fn start(registry: Arc<Registry>, options: CollectOptions) -> Result<(), AppError> {
    let internal = |source| AppError::Internal { action: "start a collection", source };
    let Some(job) = Job::begin(registry, options) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| internal(error.into()))?;
    let work = move || {
        let mut job = job;
        while let Some(options) = job.next {
            runtime.block_on(run(&job.registry, options));
            job.end();
        }
    };
    let thread = std::thread::Builder::new().name("seawall-collect".to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|error| internal(error.into()))
}

/// A started collection. Dropping this value early lets another one start, whatever happened to
/// this one.
struct Job {
    registry: Arc<Registry>,
    /// The options of the next run. `None` once no further run is requested.
    next: Option<CollectOptions>,
}

impl Job {
    fn begin(registry: Arc<Registry>, options: CollectOptions) -> Option<Self> {
        let is_first = registry.begin_collecting(options);
        is_first.then(|| Self { registry, next: Some(options) })
    }

    fn end(&mut self) {
        self.next = self.registry.end_collecting();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.next.is_some() {
            self.registry.abandon_collecting();
        }
    }
}

/// Starts a collection in intervals of `pause`.
pub(crate) async fn repeat(registry: Arc<Registry>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = start(Arc::clone(&registry), CollectOptions::default()) {
            tracing::error!(%error, "cannot start a collection");
        }
    }
}

async fn run(registry: &Registry, options: CollectOptions) {
    loop {
        match registry.collect(options).await {
            Ok(done) if done.waits_for.is_some() && !registry.is_collecting_stopped() => {
                tokio::time::sleep(WAIT_PAUSE).await;
            }
            // Another process collects in the same directory.
            Err(AppError::Busy { .. }) if !registry.is_collecting_stopped() => {
                tokio::time::sleep(WAIT_PAUSE).await;
            }
            Ok(done) => {
                let freed_bytes = done.swept.freed_bytes();
                return tracing::info!(freed_bytes, looked = done.has_looked, "collected");
            }
            Err(error) => {
                return tracing::error!(error = &error as &dyn std::error::Error, "not collected");
            }
        }
    }
}

#[cfg(test)]
mod tests;
