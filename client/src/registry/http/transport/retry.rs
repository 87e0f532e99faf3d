//! Retries a request when the network or the server fails for a moment.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::registry::RegistryError;

/// The number and pace of retries.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The number of attempts, the first included.
    pub attempts_max: u32,
    /// The pause after the first failure. Each further failure doubles the pause.
    pub delay_first: Duration,
    /// The longest pause, even if the registry asks for a longer one.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        // A restarting registry is back within the pauses of up to 0.25 + 0.5 + 1 + 2 + 4 s.
        Self {
            attempts_max: 6,
            delay_first: Duration::from_millis(250),
            delay_max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Returns the pause after failure number `failure` (from 0). `jitter` is 0 to 1.
    fn delay(&self, failure: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.delay_first.saturating_mul(1_u32 << failure.min(16));
        // Half fixed, half random, so that clients that failed together do not return together.
        let own = doubled.min(self.delay_max).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        asked.map_or(own, |asked| asked.max(own)).min(self.delay_max)
    }
}

/// Retries by a policy, and their first report.
pub(in crate::registry::http) struct Retry {
    policy: RetryPolicy,
    hear: Box<dyn Fn(&RegistryError) + Send + Sync>,
    was_heard: AtomicBool,
}

impl Default for Retry {
    /// Returns a single attempt per request.
    fn default() -> Self {
        Self::new(RetryPolicy { attempts_max: 1, ..RetryPolicy::default() }, |_| {})
    }
}

impl Retry {
    /// Calls `hear` with the error before the first retry, once in the life of this value.
    pub(in crate::registry::http) fn new(
        policy: RetryPolicy,
        hear: impl Fn(&RegistryError) + Send + Sync + 'static,
    ) -> Self {
        Self { policy, hear: Box::new(hear), was_heard: AtomicBool::new(false) }
    }

    /// Calls `attempt` until it succeeds, fails permanently, or has used up the attempts.
    pub(super) async fn run<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut failure = 0;
        loop {
            let error = match attempt().await {
                Err(error) if error.is_transient() && failure + 1 < self.policy.attempts_max => {
                    error
                }
                settled => return settled,
            };
            let delay = self.policy.delay(failure, error.retry_after(), jitter());
            if !self.was_heard.swap(true, Ordering::Relaxed) {
                (self.hear)(&error);
            }
            tracing::warn!(%error, delay_ms = delay.as_millis(), "asking the registry again");
            tokio::time::sleep(delay).await;
            failure += 1;
        }
    }
}

/// Returns a random number from 0 to 1 of low quality.
fn jitter() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
