//! Retries of requests that failed for a while only.
//!
//! A request is sent again with growing pauses. All requests of a bucket share a budget of retries,
//! as in the SDKs of AWS: a success pays a little into it, a retry takes more out. During an outage
//! the budget is soon spent, and each request then fails at once, so that the load of the service
//! does not multiply when it can bear it least.
//!
//! Every request may be repeated, uploads included, because the name of an object determines its
//! content.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Method, StatusCode};
use object_store::client::{HttpError, HttpErrorKind, HttpResponse};
use tokio::time::{Instant, sleep};

use crate::port::RetryTally;

/// The number of times that one request is repeated.
const RETRIES_MAX: u32 = 8;
/// The time in which one request is repeated more than once.
const TIME_MAX: Duration = Duration::from_secs(60);
/// The first pause; each further one is up to twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The budget at the start, and its maximum.
const BUDGET_MAX: u32 = 500;
/// The cost of a retry. The success of a request that was retried pays the cost of the last one
/// back.
const COST: u32 = 5;
/// The gain from a request that succeeds at once.
const GAIN: u32 = 1;

/// The budget of retries of a bucket.
#[derive(Debug)]
pub(in crate::backend) struct Budget {
    left: AtomicU32,
    sent: AtomicU64,
    refused: AtomicU64,
    throttled: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        let [sent, refused, throttled] = [0; 3].map(AtomicU64::new);
        Self { left: AtomicU32::new(BUDGET_MAX), sent, refused, throttled }
    }
}

impl Budget {
    /// Returns the counts since the start.
    pub(in crate::backend) fn tally(&self) -> RetryTally {
        let [sent, refused, throttled] =
            [&self.sent, &self.refused, &self.throttled].map(|count| count.load(Relaxed));
        RetryTally { sent, refused, throttled }
    }

    /// Takes the cost of a retry. Returns false if too little is left.
    fn take(&self) -> bool {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(COST));
        match taken {
            Ok(_) => self.sent.fetch_add(1, Relaxed),
            Err(_) => self.refused.fetch_add(1, Relaxed),
        };
        if taken.is_ok_and(|left| left < 2 * COST) {
            tracing::warn!("the bucket fails so often that failed requests are not sent again");
        }
        taken.is_ok()
    }

    fn pay(&self, amount: u32) {
        let pay = |left: u32| (left < BUDGET_MAX).then(|| BUDGET_MAX.min(left + amount));
        let _ = self.left.fetch_update(Relaxed, Relaxed, pay);
    }

    /// Sends a request until it is answered, or may not be sent again.
    pub(super) async fn send<R>(
        &self,
        method: &Method,
        attempt: impl Fn() -> R,
    ) -> Result<HttpResponse, HttpError>
    where
        R: Future<Output = Result<HttpResponse, HttpError>>,
    {
        let begun = Instant::now();
        for retries in 0.. {
            let outcome = attempt().await;
            if is_throttled(&outcome) {
                self.throttled.fetch_add(1, Relaxed);
            }
            if !is_transient(method, &outcome) {
                self.pay(if retries == 0 { GAIN } else { COST });
                return outcome;
            }
            let pause = pause(retries, &outcome);
            // A request that stalled may have taken all the time by itself.
            let is_late = retries > 0 && begun.elapsed() + pause > TIME_MAX;
            let is_over = retries == RETRIES_MAX || is_late;
            if is_over || !self.take() {
                return outcome;
            }
            tracing::debug!(?pause, retries, "a request to the bucket is sent again");
            sleep(pause).await;
        }
        attempt().await
    }
}

/// Returns whether a service told to send fewer requests.
fn is_throttled(outcome: &Result<HttpResponse, HttpError>) -> bool {
    let statuses = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    outcome.as_ref().is_ok_and(|response| statuses.contains(&response.status()))
}

/// Returns whether a later attempt may succeed.
fn is_transient(method: &Method, outcome: &Result<HttpResponse, HttpError>) -> bool {
    match outcome {
        Ok(response) => {
            let status = response.status();
            status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE
                || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
                // Another write of the object is in progress. Taken for its success, the object
                // could be missing.
                || status == StatusCode::CONFLICT && method == Method::PUT
        }
        Err(error) => matches!(
            error.kind(),
            HttpErrorKind::Connect
                | HttpErrorKind::Request
                | HttpErrorKind::Timeout
                | HttpErrorKind::Interrupted
        ),
    }
}

/// Returns the time until the next attempt: that of the service, or a random part of a growing one,
/// so that requests that failed together do not come back together.
fn pause(retries: u32, outcome: &Result<HttpResponse, HttpError>) -> Duration {
    let told = outcome.as_ref().ok().and_then(|response| response.headers().get(RETRY_AFTER));
    let told = told.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let longest = PAUSE_MIN.saturating_mul(1 << (retries + 1).min(16)).min(PAUSE_MAX);
    // Keys of hash tables are random.
    let random = RandomState::new().build_hasher().finish() % 1024;
    let part = u32::try_from(random).unwrap_or_default();
    told.unwrap_or(longest * part / 1024).clamp(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use object_store::client::HttpResponseBody;

    use super::*;

    fn answer(status: u16) -> Result<HttpResponse, HttpError> {
        let body = HttpResponseBody::from(bytes::Bytes::new());
        Ok(http::Response::builder().status(status).body(body).unwrap())
    }

    /// Sends a request whose attempts have these statuses, the last again and again. Returns the
    /// last status and the number of attempts.
    async fn send(budget: &Budget, method: Method, statuses: &[u16]) -> (u16, usize) {
        let count = Cell::new(0);
        let outcome = budget.send(&method, || async {
            let at = count.replace(count.get() + 1);
            answer(statuses[at.min(statuses.len() - 1)])
        });
        (outcome.await.unwrap().status().as_u16(), count.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_sent_again_and_the_rest_is_not() {
        let budget = Budget::default();
        for status in [200, 206, 400, 403, 404, 412, 416, 501, 507] {
            let attempts = if status == 501 { 9 } else { 1 };
            assert_eq!(send(&budget, Method::GET, &[status]).await, (status, attempts));
        }
        for status in [408, 429, 500, 503] {
            assert_eq!(send(&budget, Method::GET, &[status, status, 200]).await, (200, 3));
        }
        assert_eq!(send(&budget, Method::PUT, &[409, 200]).await, (200, 2));
        assert_eq!(send(&budget, Method::DELETE, &[409, 200]).await, (409, 1));
    }

    /// A hundred requests fail in a row; after the budget is spent, each is sent once.
    #[tokio::test(start_paused = true)]
    async fn an_outage_does_not_multiply_the_load() {
        let budget = Budget::default();
        let mut attempts = 0;
        for _ in 0..100 {
            attempts += send(&budget, Method::GET, &[503]).await.1;
        }
        let retries = usize::try_from(BUDGET_MAX / COST).unwrap();
        assert_eq!(attempts, 100 + retries);
        assert_eq!(send(&budget, Method::GET, &[503, 200]).await, (503, 1));
        let tally = budget.tally();
        assert_eq!((tally.sent, tally.throttled), (100, 201));
        assert!(tally.refused >= 80, "{tally:?}");
        // Requests that succeed fill the budget again.
        for _ in 0..COST {
            send(&budget, Method::GET, &[200]).await;
        }
        assert_eq!(send(&budget, Method::GET, &[503, 200]).await, (200, 2));
        assert_eq!(send(&budget, Method::GET, &[503, 200]).await, (200, 2), "it was paid back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stalls_for_long_is_sent_once_more() {
        let (budget, count) = (Budget::default(), Cell::new(0));
        let outcome = budget.send(&Method::GET, || async {
            count.set(count.get() + 1);
            sleep(TIME_MAX).await;
            answer(503)
        });
        assert_eq!((outcome.await.unwrap().status().as_u16(), count.get()), (503, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_says_when_to_come_back() {
        let budget = Budget::default();
        let begun = Instant::now();
        let first = Cell::new(true);
        let outcome = budget.send(&Method::GET, || async {
            let mut response = answer(if first.replace(false) { 503 } else { 200 })?;
            response.headers_mut().insert(RETRY_AFTER, "7".parse().unwrap());
            Ok(response)
        });
        assert_eq!(outcome.await.unwrap().status(), 200);
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
    }
}
