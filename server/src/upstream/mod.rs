//! The edge: a registry at a site, without content of its own, before a registry far away.
//!
//! An edge passes every request on to its upstream, except those that a pull repeats on each host
//! of the site:
//!
//! | request | answered |
//! |---|---|
//! | a range of a pack | from the cache, else from the upstream, each frame proven (`packs.rs`) |
//! | a leaf, index, descriptor | the same, proven by its digest (`objects.rs`) |
//! | a read of names, places of chunks | with the upstream's last answer while that is fresh; with a stale one while the upstream cannot be reached (`names.rs`) |
//! | a lease for a pull | by the upstream; by the edge itself while that cannot be reached (`leases.rs`) |
//!
//! # Invariants
//!
//! 1. No byte of a chunk leaves before its frame was decoded and hashed by this process. No object
//!    that is named by its digest leaves unproven.
//! 2. The edge decides nothing about access: it serves what it keeps only to a token that the
//!    upstream accepted a moment ago, or within the last day while the upstream is out of reach.
//! 3. An answer about names is kept for the token that asked, and says when it is stale
//!    (`Age`, and `Cache-Status` of RFC 9211).
//! 4. However many hosts ask for one range at once, the upstream is asked once.
//! 5. Nothing relies on what is kept: any file may be deleted at any time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use seawall_store::error::StoreError;
use seawall_store::layer::{CacheAt, ReadCache};
use tokio::sync::Semaphore;
use url::Url;

use crate::host::Host;

mod answers;
mod leases;
mod meta;
mod names;
mod objects;
mod packs;
mod remote;

use answers::Answers;
use names::Flights;
use packs::Packs;
pub use remote::InvalidUpstream;
use remote::Remote;

/// The part of the cache that answers about names and places may take: one in this many.
const ANSWERS_SHARE: u64 = 16;
/// The time for which a token that the upstream accepted is accepted without asking.
const TRUST_TIME: Duration = Duration::from_secs(60);
/// The time for which it is accepted while the upstream cannot be reached.
const TRUST_TIME_ALONE: Duration = Duration::from_secs(24 * 3600);

/// The number of questions with a body that are answered at once, each with at most 37 MiB.
const QUESTIONS_MAX: usize = 4;

/// The upstream of an edge, and what is kept of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamAt {
    /// The address of the upstream.
    pub url: String,
    /// The maximum size of everything that is kept, in bytes.
    pub space_max: u64,
    /// The time for which an answer about names counts as fresh.
    pub fresh_time: Duration,
}

/// The state of an edge, shared by all workers.
pub(crate) struct Upstream {
    remote: Remote,
    answers: Answers,
    flights: Flights,
    cache: Arc<ReadCache>,
    packs: Packs,
    /// The turns of questions, whose bodies and answers are held in memory.
    questions: Semaphore,
    fresh_time: Duration,
    host: Arc<dyn Host>,
}

/// A reason for which no edge can be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The address is none of a registry.
    #[error(transparent)]
    Address(#[from] InvalidUpstream),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] StoreError),
}

impl Upstream {
    /// Opens an edge whose cache lies in the folder `dir`.
    pub(crate) fn open(
        dir: &Path,
        at: &UpstreamAt,
        host: Arc<dyn Host>,
    ) -> Result<Self, OpenError> {
        let remote = Remote::new(&at.url)?;
        let for_answers = at.space_max / ANSWERS_SHARE;
        let answers = Answers::open(dir.join("answers"), for_answers)
            .map_err(|source| StoreError::io("use", dir, source))?;
        let space_max = at.space_max - for_answers;
        let cache = ReadCache::open(CacheAt { dir: dir.join("cache"), space_max })?;
        let (flights, packs) = <_>::default();
        let questions = Semaphore::new(QUESTIONS_MAX);
        Ok(Self {
            remote,
            answers,
            flights,
            cache,
            packs,
            questions,
            fresh_time: at.fresh_time,
            host,
        })
    }

    /// Returns the address of the upstream.
    pub(crate) fn url(&self) -> &Url {
        self.remote.base()
    }
}

/// Registers every route of an edge.
pub(crate) fn routes(cfg: &mut web::ServiceConfig) {
    crate::http::configure(cfg);
    let resources = [meta::resources(), packs::resources(), objects::resources()];
    let more = [leases::resources(), names::resources()];
    for resource in resources.into_iter().chain(more).flatten() {
        resource.register(cfg);
    }
    cfg.default_service(crate::http::unmatched(remote::forward));
}
