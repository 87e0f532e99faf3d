//! The edge: HTTP to use cases and back, a file per resource.
//!
//! Not a place for decisions: a handler parses, calls one use case and picks a status.
//!
//! # Invariants
//!
//! 1. Every error answer is a problem document with the request's id (`edge`).
//! 2. Every body, header, count and wait has a named limit (`limits`).
//! 3. No answer is held in memory whole, but for documents with limits of their own.

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

/// What the edge itself keeps; one for all workers.
#[derive(Debug)]
pub(crate) struct Edge {
    /// Who may do what; `None` lets everybody do everything.
    pub(crate) tokens: Option<TokenBook>,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Set once the registry is about to stop.
    pub(crate) draining: AtomicBool,
    /// Memory for what is uploaded.
    uploads: Budget,
    /// Memory for bodies in JSON.
    questions: Budget,
    /// Memory for packs on their way out.
    answers: Budget,
    /// Where bodies are kept that come in slowly.
    spool: Option<Spool>,
    /// When store and catalog were probed last, and whether they could serve.
    probed: Mutex<Option<(Instant, bool)>>,
    /// How many requests are answered.
    limiter: rate::Limiter,
    /// Begins the ids this process gives to requests.
    request_prefix: u64,
    request_count: AtomicU64,
}

impl Edge {
    /// An edge whose request ids begin with `request_prefix`.
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
    /// The same with a folder in which bodies are kept that come in slowly.
    #[must_use]
    pub(crate) fn with_spool(self, folder: &Path) -> Self {
        Self { spool: Some(Spool::new(folder)), ..self }
    }
}

/// Every route of the registry.
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
