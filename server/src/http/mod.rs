//! The HTTP edge: translates between HTTP and use cases, one file per resource.
//!
//! Decisions do not belong here. A handler parses, calls one use case and picks a status.
//!
//! # Invariants
//!
//! 1. Every error answer is a problem document with the request's id (`edge`).
//! 2. Every body, header, count and wait has a named limit (`limits`).
//! 3. No answer is held in memory as a whole, except documents with limits of their own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use actix_web::web;

use crate::config::Rates;
use crate::metrics::Metrics;
use crate::tokens::TokenBook;
use budget::Budget;
use spool::Spool;
use tokio::sync::Mutex;

mod applications;
mod audit;
mod auth;
mod authority;
mod backup;
mod body;
mod budget;
mod channels;
mod chunks;
mod collect;
mod connection;
mod descriptors;
mod diff;
mod edge;
mod fixed;
mod framing;
mod fsck;
mod hosts;
mod indexes;
mod leases;
pub mod limits;
mod meta;
mod openapi;
mod packs;
mod pins;
mod problem;
mod quotas;
mod range;
mod rate;
mod releases;
mod retention;
mod spool;
mod webhooks;

pub(crate) use connection::Watched;
pub(crate) use edge::edge;
pub use openapi::openapi_json;

/// The state of the edge, shared by all workers.
#[derive(Debug)]
pub(crate) struct Edge {
    /// The tokens and their roles. `None` permits everything to everybody.
    pub(crate) tokens: Option<TokenBook>,
    /// The metrics.
    pub(crate) metrics: Metrics,
    /// Set when the registry is about to stop.
    pub(crate) draining: AtomicBool,
    /// The memory budget of uploads.
    uploads: Budget,
    /// The memory budget of JSON bodies.
    questions: Budget,
    /// The memory budget of outgoing packs.
    answers: Budget,
    /// The spool for slow bodies.
    spool: Option<Spool>,
    /// The time and the outcome of the last probe of store and catalog.
    probed: Mutex<Option<(Instant, bool)>>,
    /// The rate limits.
    limiter: rate::Limiter,
    /// The prefix of the request ids made by this process.
    request_prefix: u64,
    request_count: AtomicU64,
}

impl Edge {
    /// Returns an edge whose request ids start with `request_prefix`.
    #[must_use]
    pub(crate) fn new(tokens: Option<TokenBook>, request_prefix: u64, rates: Rates) -> Self {
        Self {
            tokens,
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
            uploads: Budget::new(limits::UPLOAD_UNITS, limits::UPLOAD_WAIT_MAX),
            questions: Budget::new(limits::QUESTION_UNITS, limits::QUESTION_WAIT_MAX),
            answers: Budget::new(limits::ANSWER_UNITS, Duration::ZERO),
            spool: None,
            probed: Mutex::new(None),
            limiter: rate::Limiter::new(rates),
            request_prefix,
            request_count: AtomicU64::new(0),
        }
    }
}

impl Edge {
    /// Returns the edge with a folder for slow bodies.
    #[must_use]
    pub(crate) fn with_spool(self, folder: &Path) -> Self {
        Self { spool: Some(Spool::new(folder)), ..self }
    }
}

/// Registers every route of the registry.
pub(crate) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.configure(limits::extractors)
        .configure(meta::routes)
        .configure(applications::routes)
        .configure(releases::routes)
        .configure(channels::routes)
        .configure(pins::routes)
        .configure(hosts::routes)
        .configure(retention::routes)
        .configure(leases::routes)
        .configure(chunks::routes)
        .configure(indexes::routes)
        .configure(descriptors::routes)
        .configure(packs::routes)
        .configure(diff::routes)
        .configure(audit::routes)
        .configure(webhooks::routes)
        .configure(quotas::routes)
        .configure(collect::routes)
        .configure(fsck::routes)
        .configure(backup::routes)
        .default_service(web::to(meta::no_such_route));
}
