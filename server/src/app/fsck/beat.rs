//! The sign of life of a check, beside its work: a step may take minutes (the engine's own look at
//! the catalog, the wait for a processor), and a check that looks dead is taken over.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{PATIENCE_SECS, Registry};

/// How often a check says that it is alive.
pub(super) const BEAT_EVERY: Duration = Duration::from_secs(PATIENCE_SECS / 6);

/// Says that a check is alive, until it is dropped.
pub(super) struct Beat(JoinHandle<()>);

impl Beat {
    pub(super) fn start(registry: Arc<Registry>, run: u64) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                let now_secs = registry.host.now_secs();
                let runner = registry.checks.runner;
                match registry.catalog.beat_check(run, runner, now_secs).await {
                    Ok(true) => {}
                    // It was stopped, or is another's: the check learns that when it saves.
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, run, "cannot say that a check is alive"),
                }
            }
        }))
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
