//! The end of a running registry that was moved.

use std::time::Duration;

use crate::app::Registry;
use crate::catalog::relocation::RelocationState;

/// The interval of looks at the registry's relocation.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Waits until the registry has moved elsewhere. Returns the new place, in words.
pub(in crate::startup) async fn moved(registry: &Registry) -> String {
    let mut first = None;
    loop {
        // A catalog that cannot be read is reported by the requests.
        if let Ok(found) = registry.relocation().await {
            let epoch = found.as_ref().map_or(0, |found| found.epoch);
            let is_stale = *first.get_or_insert(epoch) != epoch;
            if let Some(found) = found.filter(|it| is_stale || it.state == RelocationState::Moved) {
                return found.to.to_string();
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
