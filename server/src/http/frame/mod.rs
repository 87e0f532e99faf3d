//! The frame of every request, whatever its protocol: request ids, admission, rates, bodies,
//! connections, logs and metrics.
//!
//! The frame does not know the form of a protocol's errors, and asks a [`Voice`] to render a
//! refusal.
//!
//! # Order of checks
//!
//! | step | refuses | where |
//! |---|---|---|
//! | the head's lengths, the host name | before routing | `answer`, `authority` |
//! | the token, its role, the application it is limited to | after routing, by the access that the route declares | `access` |
//! | rates of the token and the application; of the address, without a valid token | with the token | `rate` |
//! | length, pace and memory of the body | while a handler's extractor reads it | `body` |

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::config::Rates;
use crate::metrics::Metrics;
use crate::tokens::{Authentication, Grants};
use body::{Budget, Spool};

mod access;
mod answer;
mod authority;
pub(crate) mod body;
mod connection;
pub mod limits;
mod rate;
mod refusal;
mod route;

pub(crate) use access::{Access, Actor};
pub(crate) use answer::edge;
pub(crate) use connection::Timed;
pub(crate) use refusal::{Refusal, Voice};
pub(crate) use route::{Resource, at, unmatched};

/// The state of the edge, shared by all workers.
#[derive(Debug)]
pub(crate) struct Edge {
    /// The accepted tokens. `None` permits everything to everybody.
    pub(crate) authentication: Option<Authentication>,
    /// The rights of parts of this process, in addition to tokens.
    pub(crate) grants: Arc<Grants>,
    /// The metrics.
    pub(crate) metrics: Metrics,
    /// Set when the registry is about to stop.
    pub(crate) draining: AtomicBool,
    /// The time and the outcome of the last probe of store and catalog.
    pub(crate) probed: Mutex<Option<(Instant, bool)>>,
    /// The memory budget of outgoing packs.
    answers: Budget,
    /// The memory budget of uploads.
    uploads: Budget,
    /// The memory budget of JSON bodies.
    questions: Budget,
    /// The spool for slow bodies.
    spool: Option<Spool>,
    /// The rate limits.
    limiter: rate::Limiter,
    /// The voice of the protocol.
    voice: &'static dyn Voice,
    /// The prefix of the request ids made by this process.
    request_prefix: u64,
    request_count: AtomicU64,
}

impl Edge {
    /// Returns an edge whose request ids start with `request_prefix`.
    #[must_use]
    pub(crate) fn new(
        authentication: Option<Authentication>,
        grants: Arc<Grants>,
        request_prefix: u64,
        rates: Rates,
        voice: &'static dyn Voice,
    ) -> Self {
        Self {
            authentication,
            grants,
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
            probed: Mutex::new(None),
            answers: Budget::new(limits::ANSWER_UNITS, Duration::ZERO),
            uploads: Budget::new(limits::UPLOAD_UNITS, limits::UPLOAD_WAIT_MAX),
            questions: Budget::new(limits::QUESTION_UNITS, limits::QUESTION_WAIT_MAX),
            spool: None,
            limiter: rate::Limiter::new(rates),
            voice,
            request_prefix,
            request_count: AtomicU64::new(0),
        }
    }

    /// Exchanges the requests that count toward rates with the other registries over a catalog.
    /// `exchange` adds those of this registry, by bucket, and returns those of all registries.
    ///
    /// # Errors
    /// As `exchange`.
    pub(crate) async fn exchange_counts<E>(
        &self,
        exchange: impl AsyncFnOnce(Vec<(String, u64)>) -> Result<Vec<u64>, E>,
    ) -> Result<(), E> {
        self.limiter.exchange(exchange).await
    }

    /// Returns the edge with a folder for slow bodies.
    #[must_use]
    pub(crate) fn with_spool(self, folder: &Path) -> Self {
        Self { spool: Some(Spool::new(folder)), ..self }
    }
}
