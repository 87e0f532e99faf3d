//! The heartbeat of a check. Runs beside the check itself, because a single step may take minutes
//! (the engine's own check of the catalog, the wait for a processor), and a check without a
//! heartbeat is taken over.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Registry;
use crate::app::maintenance::kernel::BEAT_EVERY;

/// A heartbeat of a check, until dropped.
pub(super) struct Beat(JoinHandle<()>);

impl Beat {
    pub(super) fn start(registry: Arc<Registry>, run: u64) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                let now_secs = registry.host.now_secs();
                let runner = registry.runner;
                match registry.catalog.beat_check(run, runner, now_secs).await {
                    Ok(true) => {}
                    // The check was stopped or taken over, and will notice at its next save.
                    Ok(false) => return,
                    Err(error) => {
                        tracing::warn!(%error, run, "cannot record the check's heartbeat")
                    }
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
