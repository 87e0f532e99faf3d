//! The read rate of a check.

use std::time::{Duration, Instant};

/// The maximum time lost to other work that is caught up at full speed.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// A throttle for reads.
pub(super) struct Pace {
    rate: u64,
    /// The earliest time of the next read.
    next: Instant,
}

impl Pace {
    /// Creates a throttle of `rate` bytes per second; 0 for no limit.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Accounts for `len` bytes read.
    pub(super) fn read(&mut self, len: u64) {
        if self.rate == 0 {
            return;
        }
        let earliest = Instant::now().checked_sub(CATCH_UP_MAX).unwrap_or(self.next);
        let micros = len.saturating_mul(1_000_000) / self.rate;
        self.next = self.next.max(earliest) + Duration::from_micros(micros);
    }

    /// Returns the delay before the next read, if any.
    pub(super) fn pause(&self) -> Option<Duration> {
        let pause = self.next.saturating_duration_since(Instant::now());
        (!pause.is_zero()).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_bytes_is_followed_by_a_second_of_rest() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.pause(), None);
        pace.read(60_000);
        let pause = pace.pause().unwrap();
        assert!(pause > Duration::from_secs(50) && pause <= Duration::from_secs(60), "{pause:?}");
        let mut free = Pace::new(0);
        free.read(u64::MAX);
        assert_eq!(free.pause(), None);
    }
}
