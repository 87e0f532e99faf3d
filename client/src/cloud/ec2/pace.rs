//! The number of calls of the EBS direct API in flight: more with every success, fewer with every
//! throttled call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The number at the start.
const START: f64 = 64.0;
/// The maximum.
const MAX: f64 = 100.0;
/// The minimum.
const MIN: f64 = 2.0;
/// The factor of a cut.
const CUT: f64 = 0.7;
/// The time between two cuts: calls that were in flight together are throttled together.
const CUT_PAUSE: Duration = Duration::from_millis(200);

/// The pace of calls.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: usize,
    cut_at: Option<Instant>,
}

/// The permission for one call, returned on drop.
pub(super) struct Permit<'a>(&'a Pace);

impl Default for Pace {
    fn default() -> Self {
        let state = State { limit: START, in_flight: 0, cut_at: None };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

impl Pace {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the permission for a call.
    pub(super) async fn permit(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                #[allow(clippy::cast_precision_loss)] // at most 100
                let is_free = (state.in_flight as f64) + 1.0 <= state.limit;
                if is_free {
                    state.in_flight += 1;
                    return Permit(self);
                }
            }
            freed.await;
        }
    }

    /// Records a call that was served.
    pub(super) fn served(&self) {
        let mut state = self.lock();
        state.limit = (state.limit + 1.0 / state.limit).min(MAX);
    }

    /// Records a call that was throttled.
    pub(super) fn throttled(&self, now: Instant) {
        let mut state = self.lock();
        if state.cut_at.is_none_or(|at| now.duration_since(at) >= CUT_PAUSE) {
            state.limit = (state.limit * CUT).max(MIN);
            state.cut_at = Some(now);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn throttling_lowers_the_pace_once_per_pause_and_success_raises_it() {
        let pace = Pace::default();
        let now = Instant::now();
        for _ in 0..50 {
            pace.throttled(now);
        }
        let limit = pace.lock().limit;
        assert!((44.0..46.0).contains(&limit), "{limit}");
        for step in 1..100 {
            pace.throttled(now + CUT_PAUSE * step);
        }
        assert!(pace.lock().limit <= MIN);
        let (one, two) = (pace.permit().await, pace.permit().await);
        let third = tokio::time::timeout(Duration::from_millis(20), pace.permit()).await;
        assert!(third.is_err(), "the limit is two");
        drop((one, two));
        let _ = pace.permit().await;
        for _ in 0..20_000 {
            pace.served();
        }
        assert!(pace.lock().limit >= MAX - 1.0);
    }
}
