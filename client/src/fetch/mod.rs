//! Fetches chunks from local seeds or from the registry's packs.
//!
//! Pull, patch and verify differ in the chunks they want and in the use they make of them. Fetching
//! is the same for all. Groups of wanted chunks flow through three bounded stages:
//!
//! ```text
//! groups → locate (one question a group) → ranges → fetch (several connections) ┐
//!        └ seeds ───────────────────────────────────────────────────────────────┴→ workers
//! ```
//!
//! # Invariants
//!
//! 1. A chunk reaches [`Deliver`] only after its bytes were hashed and match its digest, from any
//!    source.
//! 2. Memory is bounded by the constants below, regardless of the size of a disk.
//! 3. A seed with other bytes than expected is not an error. Its chunks are returned as missed and
//!    fetched from the registry.

mod ranges;
mod seeds;
mod stats;
mod worker;

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use seawall_api::index::ChunkRef;
use seawall_store::codec::{CodecError, Encoding};
use tokio::sync::mpsc;

pub use stats::FetchStats;

use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::progress::Progress;
use crate::registry::{Registry, RegistryError};
use crate::resolve::Resolved;
pub(crate) use ranges::{Request, coalesce};
pub(crate) use seeds::Seeds;
use worker::Work;

/// The number of concurrent requests. One connection of an object store gives about 90 MB/s.
const CONNECTIONS: usize = 6;
/// The maximum number of answers waiting for a worker.
const ANSWERS_MAX: usize = 2;
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

/// A frame as stored in a pack.
#[derive(Clone, Copy, Debug)]
pub struct StoredFrame<'a> {
    /// The encoding of the chunk.
    pub encoding: Encoding,
    /// The encoded bytes.
    pub bytes: &'a [u8],
}

/// The source of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A local seed.
    Seed(SeedPlace),
    /// The registry, which sent this frame.
    Pack(StoredFrame<'a>),
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

/// An error of a fetch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A chunk could not be stored locally.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The registry's bytes for a chunk cannot be decoded.
    #[error("pack {pack} holds damaged bytes for chunk {}", chunk.digest)]
    Codec {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack with the damaged frame.
        pack: seawall_api::digest::PackDigest,
        /// The cause.
        source: CodecError,
    },
    /// The registry's bytes for a chunk do not match its digest.
    #[error("pack {pack} holds other bytes for chunk {}: they hash to {actual}", chunk.digest)]
    Digest {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack with the wrong bytes.
        pack: seawall_api::digest::PackDigest,
        /// The digest of the received bytes.
        actual: seawall_api::digest::ChunkDigest,
    },
    /// The registry and the index disagree about the length of a chunk.
    #[error("the registry gives chunk {} a length of {actual} bytes", chunk.digest)]
    Length {
        /// The chunk.
        chunk: ChunkRef,
        /// The length in bytes given by the registry.
        actual: u32,
    },
    /// A worker thread panicked, or an internal invariant was broken.
    #[error("the transfer stopped for a reason it cannot name; this is a defect of seawall")]
    Defect,
}

impl Failure for FetchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Codec { .. } | Self::Digest { .. } | Self::Length { .. } => ErrorKind::Damaged,
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
            Self::Codec { .. } | Self::Digest { .. } | Self::Length { .. } => Some(
                "the registry's store is damaged: run `seawall verify` on the release, then \
                 restore the pack or pull from another registry"
                    .to_owned(),
            ),
            Self::Defect => None,
        }
    }
}

/// A fetch's registry, progress sink and number of threads.
#[derive(Clone)]
pub struct Fetch {
    registry: Arc<dyn Registry>,
    progress: Arc<dyn Progress>,
    threads: usize,
}

impl Fetch {
    /// Returns a fetch from the registry of a resolved release, by `threads` threads that decode
    /// and hash. Progress is reported in plain bytes.
    #[must_use]
    pub fn of(resolved: &Resolved, progress: Arc<dyn Progress>, threads: usize) -> Self {
        Self { registry: Arc::clone(resolved.registry()), progress, threads }
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
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let workers = worker::spawn(self, receiver, &deliver);
        let works = groups
            .map_ok(|group| self.locate(group))
            .try_buffered(GROUPS_AHEAD)
            .map_ok(|(seeds, requests)| {
                let requests = requests.into_iter().map(Ok::<_, FetchError>);
                stream::iter(seeds.map(Ask::Seeds).map(Ok))
                    .chain(stream::iter(requests).map_ok(Ask::Range))
            })
            .try_flatten()
            .map_ok(|ask| self.answer(ask))
            .try_buffer_unordered(CONNECTIONS);
        let mut works = std::pin::pin!(works);
        let mut failure = None;
        while let Some(work) = works.next().await {
            let sent = match work {
                Ok(work) => sender.send(work).await.is_ok(),
                Err(error) => {
                    failure = Some(error);
                    false
                }
            };
            // Workers close the channel when one of them fails. The worker's error is the one to
            // report.
            if !sent {
                break;
            }
        }
        drop(sender);
        let outcome = worker::join(workers).await;
        match failure {
            Some(error) => Err(error),
            None => outcome,
        }
    }

    /// Locates a group's chunks with one request, and coalesces them into requests for ranges.
    async fn locate(&self, group: Group) -> Result<(Option<Seeded>, Vec<Request>), FetchError> {
        let Group { seeded, wanted } = group;
        let digests: Vec<_> = wanted.iter().map(|want| want.chunk.digest).collect();
        let located = if digests.is_empty() {
            crate::registry::Located::default()
        } else {
            self.registry.locate_chunks(&digests).await?
        };
        let requests = ranges::coalesce(wanted, &located)?;
        Ok(((!seeded.is_empty()).then_some(seeded), requests))
    }

    async fn answer(&self, ask: Ask) -> Result<Work, FetchError> {
        match ask {
            Ask::Seeds(seeds) => Ok(Work::Seeds(seeds)),
            Ask::Range(request) => {
                let bytes: Bytes =
                    self.registry.pack_range(request.pack, request.range.clone()).await?;
                Ok(Work::Frames(request, bytes))
            }
        }
    }

    /// Returns the amount that a fetch of these chunks would read from packs, without fetching.
    ///
    /// # Errors
    /// Fails if the registry fails, or lacks one of the chunks.
    pub async fn measure(&self, wants: Vec<Want>) -> Result<FetchStats, FetchError> {
        let (_, requests) = self.locate(Group { seeded: Vec::new(), wanted: wants }).await?;
        Ok(FetchStats::planned(&requests))
    }
}

type Seeded = Vec<(Want, SeedPlace)>;

enum Ask {
    Seeds(Seeded),
    Range(Request),
}
