//! Fetches chunks from local seeds or from the registry's packs.
//!
//! Pull and patch differ in the chunks they want and in the use they make of them. Fetching is the
//! same for both. Groups of wanted chunks flow through bounded stages of a
//! [`Reader`](seawall_store::read::Reader):
//!
//! ```text
//! groups → plan (one question a group) → read (several connections) ┐
//!        └ seeds ───────────────────────────────────────────────────┴→ work → deliver
//! ```
//!
//! # Invariants
//!
//! 1. A chunk reaches [`Deliver`] only after its bytes were hashed and match its digest, from any
//!    source.
//! 2. Memory is bounded by the constants below, regardless of the size of a disk.
//! 3. A seed with other bytes than expected is not an error. Its chunks are returned as missed and
//!    fetched from the registry.

mod error;
mod seeds;
mod source;
mod stats;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use seawall_api::index::ChunkRef;
use seawall_store::read::{Freshness, Proven, Prover, Reader, Request, Wanted};
use tokio::sync::mpsc;

pub use error::FetchError;
pub use source::Packs;
pub use stats::FetchStats;

use crate::error::ErrorKind;
use crate::host::HostError;
use crate::progress::Progress;
use crate::resolve::Resolved;
pub(crate) use seeds::Seeds;
use work::Work;

/// The number of groups located ahead of the one being fetched.
const GROUPS_AHEAD: usize = 2;

/// A place on a disk where a chunk is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The position of the disk among the flow's disks.
    pub disk: usize,
    /// The offset on the disk in bytes.
    pub offset: u64,
}

/// A chunk and every place where it is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The chunk.
    pub chunk: ChunkRef,
    /// The places, at least one for [`Fetch::run`].
    pub places: Vec<Place>,
}

impl Wanted for Want {
    fn chunk(&self) -> ChunkRef {
        self.chunk
    }
}

/// A place among the local seeds that may hold a chunk. Only the flow can interpret the place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeedPlace {
    /// The position of the seed among the flow's seeds.
    pub seed: usize,
    /// The offset in the seed in bytes.
    pub offset: u64,
}

/// Wanted chunks that are located with one request.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// Chunks that a seed may hold.
    pub seeded: Vec<(Want, SeedPlace)>,
    /// Chunks to fetch from the registry.
    pub wanted: Vec<Want>,
}

/// The source of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A local seed.
    Seed(SeedPlace),
    /// The registry, which sent this frame.
    Pack(Proven<'a>),
}

/// A receiver of chunks. Called from several threads concurrently.
pub trait Deliver: Send + Sync {
    /// Takes a chunk whose bytes match its digest.
    ///
    /// # Errors
    /// Fails if the chunk cannot be stored. The whole fetch stops.
    fn deliver(&self, want: &Want, plain: &[u8], origin: Origin<'_>) -> Result<(), HostError>;

    /// Fills `plain` with the bytes at a place among the seeds. Returns false if they cannot be
    /// read.
    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool;
}

/// A fetch's reader and progress sink.
#[derive(Clone)]
pub struct Fetch {
    pub(crate) reader: Arc<Reader>,
    pub(crate) progress: Arc<dyn Progress>,
}

impl Fetch {
    /// Returns a fetch from the registry of a resolved release, by `threads` threads that decode
    /// and hash. Progress is reported in plain bytes.
    #[must_use]
    pub fn of(resolved: &Resolved, progress: Arc<dyn Progress>, threads: usize) -> Self {
        let source = Packs::of(resolved);
        Self { reader: Arc::new(Reader::new(Arc::new(source), threads)), progress }
    }

    /// Delivers every chunk of `groups`. Chunks whose seed did not hold them are returned instead,
    /// to be wanted again without a seed.
    ///
    /// # Errors
    /// The first failure of the registry, a worker or `deliver`.
    pub async fn run(
        &self,
        groups: impl Stream<Item = Result<Group, FetchError>> + Send,
        deliver: Arc<dyn Deliver>,
    ) -> Result<(FetchStats, Vec<Want>), FetchError> {
        let (running, mut ended) = mpsc::channel::<()>(1);
        let work = Work { deliver, progress: Arc::clone(&self.progress), _running: running };
        let outcomes = groups
            .map_ok(|group| self.plan(group))
            .try_buffered(GROUPS_AHEAD)
            .map_ok(|(seeds, requests)| {
                let requests = requests.into_iter().map(Ask::Range).map(Ok::<_, FetchError>);
                stream::iter(seeds.map(Ask::Seeds).map(Ok)).chain(stream::iter(requests))
            })
            .try_flatten()
            .map_ok(|ask| self.answer(ask, work.clone()))
            .try_buffer_unordered(self.reader.requests_max());
        let sum = |(mut stats, mut missed): (FetchStats, Vec<Want>), (more, more_missed)| {
            stats += more;
            missed.extend(more_missed);
            std::future::ready(Ok((stats, missed)))
        };
        let outcome = outcomes.try_fold((FetchStats::default(), Vec::new()), sum).await;
        drop(work);
        // After a failure, until no worker delivers any more.
        ended.recv().await;
        outcome
    }

    /// Locates a group's chunks with one question.
    async fn plan(&self, group: Group) -> Result<(Option<Seeded>, Vec<Request<Want>>), FetchError> {
        let Group { seeded, wanted } = group;
        let requests = self.reader.plan(wanted).await?;
        Ok(((!seeded.is_empty()).then_some(seeded), requests))
    }

    async fn answer(&self, ask: Ask, work: Work) -> Result<(FetchStats, Vec<Want>), FetchError> {
        match ask {
            Ask::Seeds(seeds) => self.reader.work(move |prover| work.seeds(seeds, prover)).await?,
            Ask::Range(request) => Ok((self.request(request, work).await?, Vec::new())),
        }
    }

    /// Delivers the chunks of a request. If their pack is gone, they are located once more: without
    /// a lease, a collection may move them and remove the pack. A lease ends while this host, or
    /// the registry that it asks, stands still.
    async fn request(&self, request: Request<Want>, work: Work) -> Result<FetchStats, FetchError> {
        let bytes = match self.reader.read(&request, Freshness::Any).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::info!(%error, "locating chunks once more");
                return self.moved(request, work).await;
            }
            read => read?,
        };
        self.frames(request, bytes, work).await
    }

    /// Delivers the chunks of a request from where they are now.
    async fn moved(&self, request: Request<Want>, work: Work) -> Result<FetchStats, FetchError> {
        let wants = request.frames.into_iter().map(|frame| frame.want).collect();
        let mut stats = FetchStats::default();
        for request in self.reader.plan(wants).await? {
            let bytes = self.reader.read(&request, Freshness::Any).await?;
            stats += self.frames(request, bytes, work.clone()).await?;
        }
        Ok(stats)
    }

    /// Delivers the chunks of a request that was answered. If one is wrong, the request is made
    /// once more.
    async fn frames(
        &self,
        request: Request<Want>,
        mut bytes: Bytes,
        work: Work,
    ) -> Result<FetchStats, FetchError> {
        let request = Arc::new(request);
        let mut delivered = 0;
        let mut freshness = Freshness::Any;
        loop {
            let (asked, work) = (Arc::clone(&request), work.clone());
            let frames = move |prover: &mut Prover| work.frames(&asked, &bytes, delivered, prover);
            match self.reader.work(frames).await? {
                (count, Err(FetchError::Read(error)))
                    if error.kind() == ErrorKind::Damaged && freshness == Freshness::Any =>
                {
                    tracing::info!(%error, "reading wrong bytes once more, past caches");
                    (delivered, freshness) = (count, Freshness::AtRest);
                    bytes = self.reader.read(&request, freshness).await?;
                }
                (_, outcome) => return outcome,
            }
        }
    }

    /// Returns the amount that a fetch of these chunks would read from packs, without fetching.
    ///
    /// # Errors
    /// Fails if the registry fails, or lacks one of the chunks.
    pub async fn measure(&self, wants: Vec<Want>) -> Result<FetchStats, FetchError> {
        Ok(FetchStats::planned(&self.reader.plan(wants).await?))
    }
}

type Seeded = Vec<(Want, SeedPlace)>;

#[cfg(test)]
mod tests;

enum Ask {
    Seeds(Seeded),
    Range(Request<Want>),
}
