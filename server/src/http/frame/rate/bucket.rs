//! Token buckets that fill at a rate and hold a burst, shared with other registries.
//!
//! # Several registries
//!
//! The rate holds for all registries over a catalog together. Each registry counts its own
//! requests, and exchanges counts with the others through the catalog, in one transaction for all
//! its buckets. An exchange takes the requests of the others from a bucket, and lets it fill more
//! slowly by their rate until the next exchange. In the first second of a new client, each registry
//! may permit a burst. No clock is shared.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Rate;

/// The maximum number of buckets. Full buckets are dropped first. If none are full, new
/// applications share one bucket: a client can make names up.
const BUCKET_COUNT_MAX: usize = 10_000;
/// The maximum debt of a bucket: the requests of this many other registries in a second.
const DEBT_MAX: f64 = 4.0;
/// The name of the shared bucket.
const SHARED: &str = "";

#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) rate: Rate,
    filled: Mutex<HashMap<String, Bucket>>,
}

/// The level of a bucket at some time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Instant,
    /// The number of requests since the last exchange.
    counted: u64,
    /// The result of the last exchange; `None` before the first one.
    known: Option<Known>,
}

/// The requests of all registries to a bucket.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The number of requests that were ever counted.
    total: u64,
    at: Instant,
    /// The rate of the requests to other registries.
    others_per_sec: f64,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { level: f64::from(rate.burst), at: now, counted: 0, known: None }
    }

    fn level_at(&self, now: Instant, rate: Rate) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        let others = self.known.map_or(0.0, |known| known.others_per_sec);
        (self.level + since * (f64::from(rate.per_sec) - others)).min(f64::from(rate.burst))
    }

    fn is_full(&self, now: Instant, rate: Rate) -> bool {
        self.level_at(now, rate) >= f64::from(rate.burst)
    }

    /// Takes the requests of other registries, of which there are `total` with the `sent` ones of
    /// this registry.
    fn learn(&mut self, total: u64, sent: u64, (now, rate): (Instant, Rate)) {
        self.level = self.level_at(now, rate);
        self.at = now;
        let mut others_per_sec = 0.0;
        if let Some(known) = self.known {
            let secs = now.saturating_duration_since(known.at).as_secs_f64().max(0.001);
            // Counts of this process fit in a float's 53 bits.
            let others = total.saturating_sub(known.total).saturating_sub(sent) as f64;
            self.level += known.others_per_sec * secs - others;
            // A debt is bounded, so that a burst elsewhere keeps nobody out for long.
            let burst = f64::from(rate.burst);
            let debt_max = DEBT_MAX * (burst + f64::from(rate.per_sec));
            self.level = self.level.clamp(-debt_max, burst);
            others_per_sec = (others / secs).min(f64::from(rate.per_sec));
        }
        self.known = Some(Known { total, at: now, others_per_sec });
    }
}

impl Buckets {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, filled: Mutex::new(HashMap::new()) }
    }

    fn filled(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time until a bucket of this level has a request.
    fn wait_at(&self, level: f64) -> Duration {
        Duration::from_secs_f64((1.0 - level) / f64::from(self.rate.per_sec.max(1)))
    }

    /// Returns the time until a request is available in a bucket; `None` if one is.
    pub(super) fn wait(&self, name: &str, now: Instant) -> Option<Duration> {
        let level = self.filled().get(name)?.level_at(now, self.rate);
        (level < 1.0).then(|| self.wait_at(level))
    }

    /// Takes one request from a bucket. Fails with the time until the next one is available.
    pub(super) fn take(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let rate = self.rate;
        let mut filled = self.filled();
        if filled.len() >= BUCKET_COUNT_MAX && !filled.contains_key(name) {
            filled.retain(|_, bucket| !bucket.is_full(now, rate));
        }
        let has_place = filled.len() < BUCKET_COUNT_MAX || filled.contains_key(name);
        let name = if has_place { name } else { SHARED };
        let bucket = filled.get(name).copied().unwrap_or(Bucket::full(rate, now));
        let level = bucket.level_at(now, rate);
        let is_enough = level >= 1.0;
        let taken = u8::from(is_enough);
        let (level, counted) = (level - f64::from(taken), bucket.counted + u64::from(taken));
        filled.insert(name.to_owned(), Bucket { level, at: now, counted, ..bucket });
        if is_enough { Ok(()) } else { Err(self.wait_at(level)) }
    }

    /// Returns the requests counted since the last exchange, by bucket, and drops full buckets.
    pub(super) fn counted(&self, now: Instant) -> Vec<(String, u64)> {
        let mut filled = self.filled();
        filled.retain(|_, bucket| bucket.counted > 0 || !bucket.is_full(now, self.rate));
        let counted = filled.iter_mut();
        counted.map(|(name, bucket)| (name.clone(), std::mem::take(&mut bucket.counted))).collect()
    }

    /// Takes the requests that other registries counted. `sent` is what [`Self::counted`]
    /// returned, and `totals` are the counts of all registries.
    pub(super) fn learn(&self, sent: &[(String, u64)], totals: &[u64], now: Instant) {
        let mut filled = self.filled();
        for ((name, sent), total) in sent.iter().zip(totals) {
            if let Some(bucket) = filled.get_mut(name) {
                bucket.learn(*total, *sent, (now, self.rate));
            }
        }
    }

    /// Counts requests again whose exchange failed.
    pub(super) fn put_back(&self, sent: &[(String, u64)]) {
        let mut filled = self.filled();
        for (name, sent) in sent {
            if let Some(bucket) = filled.get_mut(name) {
                bucket.counted += sent;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_sec: u32, burst: u32) -> Buckets {
        Buckets::new(Rate { per_sec, burst })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (buckets, begin) = (buckets(10, 5), Instant::now());
        let passed = (0..20).filter(|_| buckets.take("ci", begin).is_ok()).count();
        assert_eq!(passed, 5);
        assert_eq!(buckets.take("ci", begin), Err(Duration::from_millis(100)));
        assert!(buckets.take("other", begin).is_ok(), "each has its own");
        let passed =
            (1..=1000).filter(|ms| buckets.take("ci", begin + Duration::from_millis(*ms)).is_ok());
        assert_eq!(passed.count(), 10);
        let later = begin + Duration::from_secs(60);
        let passed = (0..20).filter(|_| buckets.take("ci", later).is_ok()).count();
        assert_eq!(passed, 5, "it holds no more than a burst");
    }

    #[test]
    fn names_that_a_client_makes_up_take_bounded_memory() {
        let (buckets, begin) = (buckets(1, 1), Instant::now());
        for n in 0..BUCKET_COUNT_MAX + 500 {
            let _ = buckets.take(&n.to_string(), begin);
        }
        assert!(buckets.filled.lock().unwrap().len() <= BUCKET_COUNT_MAX + 1);
        assert!(buckets.take("one more", begin).is_err(), "it shares what others emptied");
        let later = begin + Duration::from_secs(2);
        assert!(buckets.take("one more", later).is_ok(), "full ones made room");
        assert_eq!(buckets.filled.lock().unwrap().len(), 1);
    }

    /// Two registries under more requests than the rate permit as many as one, from the second
    /// second on, wherever the requests arrive.
    #[test]
    fn the_rate_holds_for_all_registries_together() {
        for shares in [[10, 10], [18, 2], [20, 0]] {
            let registries = [(); 2].map(|()| buckets(100, 50));
            let begin = Instant::now();
            let (mut total, mut passed) = (0, 0);
            for step in 0..1000_u64 {
                let now = begin + Duration::from_millis(10 * step);
                for (registry, share) in registries.iter().zip(shares) {
                    // Twenty requests in ten milliseconds: 2000 a second.
                    passed += (0..share).filter(|_| registry.take("ci", now).is_ok()).count();
                }
                if step % 100 == 99 {
                    for registry in &registries {
                        let sent = registry.counted(now);
                        total += sent.iter().map(|(_, count)| count).sum::<u64>();
                        let totals: Vec<_> = sent.iter().map(|_| total).collect();
                        registry.learn(&sent, &totals, now);
                    }
                }
            }
            // Ten seconds and a burst; a second burst, and the rate twice, before the first
            // exchange that tells of another registry.
            assert!((900..=1050 + 250).contains(&passed), "{shares:?}: {passed}");
        }
    }

    #[test]
    fn an_exchange_that_fails_loses_no_count() {
        let (buckets, now) = (buckets(10, 5), Instant::now());
        for _ in 0..3 {
            buckets.take("ci", now).unwrap();
        }
        let sent = buckets.counted(now);
        assert_eq!(sent, [("ci".to_owned(), 3)]);
        buckets.take("ci", now).unwrap();
        buckets.put_back(&sent);
        assert_eq!(buckets.counted(now), [("ci".to_owned(), 4)]);
        let later = now + Duration::from_secs(9);
        assert_eq!(buckets.counted(later), [], "a full bucket is not exchanged");
    }
}
