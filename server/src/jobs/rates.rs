//! The exchange of rates between the registries over a catalog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::access::Tokens;
use crate::http::Edge;

/// The interval of exchanges. Without requests that count, nothing is written.
const EXCHANGE_EVERY: Duration = Duration::from_secs(1);
/// The interval of looking for counts to forget.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Exchanges the counted requests of this registry with those of others.
pub(crate) async fn exchange(tokens: Arc<Tokens>, edge: Arc<Edge>) {
    let (mut forgotten_at, mut is_failing) = (Instant::now(), false);
    loop {
        tokio::time::sleep(EXCHANGE_EVERY).await;
        let done = edge.exchange_counts(async |counts| tokens.add_counts(counts).await).await;
        match done {
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(%error, "cannot exchange rates: each registry keeps to its own");
            }
            Err(_) => {}
            Ok(()) => is_failing = false,
        }
        if forgotten_at.elapsed() >= FORGET_EVERY {
            forgotten_at = Instant::now();
            if let Err(error) = tokens.forget_counts().await {
                tracing::warn!(%error, "cannot forget old counts of requests");
            }
        }
    }
}
