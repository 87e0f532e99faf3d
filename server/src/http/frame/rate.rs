//! Rate limits per token and per application, as token buckets that fill at the rate and hold a
//! burst.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use seawall_api::names::ApplicationName;

use super::Refusal;
use crate::config::{Rate, Rates};

/// The maximum number of buckets. Full buckets are dropped first. If none are full, new
/// applications share one bucket: a client can make names up.
const BUCKET_COUNT_MAX: usize = 10_000;
/// The name of the shared bucket.
const SHARED: &str = "";
/// The parameter of a route that names the application.
const APPLICATION: &str = "application";

/// The rate limiter of a registry.
#[derive(Debug)]
pub(super) struct Limiter {
    tokens: Option<Buckets>,
    applications: Option<Buckets>,
}

impl Limiter {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            tokens: rates.per_token.map(Buckets::new),
            applications: rates.per_application.map(Buckets::new),
        }
    }

    /// Counts a request. Fails if the rate of the token or the application is exceeded. `actor` is
    /// the token's name.
    pub(super) fn admit(&self, request: &ServiceRequest, actor: &str) -> Result<(), Refusal> {
        let now = Instant::now();
        if let Some(tokens) = &self.tokens {
            let whose = || match actor {
                "" => "this registry".to_owned(),
                actor => format!("token `{actor}`"),
            };
            tokens.take(actor, now).map_err(|wait| exceeded(whose(), tokens.rate, wait))?;
        }
        let Some(applications) = &self.applications else { return Ok(()) };
        let name = request.match_info().get(APPLICATION).and_then(application_of);
        let Some(name) = name else { return Ok(()) };
        let whose = format!("application {name}");
        let taken = applications.take(name.as_str(), now);
        taken.map_err(|wait| exceeded(whose, applications.rate, wait))
    }
}

/// Returns the application that a segment of a routed path names. Such a path has no escapes but
/// the slash's.
fn application_of(segment: &str) -> Option<ApplicationName> {
    segment.replace("%2F", "/").replace("%2f", "/").parse().ok()
}

fn exceeded(whose: String, rate: Rate, wait: Duration) -> Refusal {
    Refusal::RateExceeded { whose, per_sec: rate.per_sec, wait }
}

#[derive(Debug)]
struct Buckets {
    rate: Rate,
    filled: Mutex<HashMap<String, Bucket>>,
}

/// The level of a bucket at some time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn level_at(&self, now: Instant, rate: Rate) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level + since * f64::from(rate.per_sec)).min(f64::from(rate.burst))
    }
}

impl Buckets {
    fn new(rate: Rate) -> Self {
        Self { rate, filled: Mutex::new(HashMap::new()) }
    }

    /// Takes one request from a bucket. Fails with the time until the next one is available.
    fn take(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let rate = self.rate;
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if filled.len() >= BUCKET_COUNT_MAX && !filled.contains_key(name) {
            filled.retain(|_, bucket| bucket.level_at(now, rate) < f64::from(rate.burst));
        }
        let has_place = filled.len() < BUCKET_COUNT_MAX || filled.contains_key(name);
        let name = if has_place { name } else { SHARED };
        let full = Bucket { level: f64::from(rate.burst), at: now };
        let level = filled.get(name).unwrap_or(&full).level_at(now, rate);
        let is_enough = level >= 1.0;
        let level = if is_enough { level - 1.0 } else { level };
        filled.insert(name.to_owned(), Bucket { level, at: now });
        if is_enough {
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - level) / f64::from(rate.per_sec.max(1))))
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

    #[test]
    fn a_segment_names_an_application() {
        let name = |segment| application_of(segment).map(|name| name.to_string());
        assert_eq!(name("web").as_deref(), Some("web"));
        assert_eq!(name("team%2Fweb").as_deref(), Some("team/web"));
        for segment in ["", "%"] {
            assert_eq!(name(segment), None, "{segment}");
        }
    }
}
