//! Brings chunks to where they are wanted: from local seeds, else from the registry's packs.
//!
//! Pull, patch and verify differ in what they want and what they do with a chunk; how it comes
//! is the same. Groups of wants flow through three bounded stages:
//!
//! ```text
//! groups → locate (one question a group) → ranges → fetch (several connections) ┐
//!        └ seeds ───────────────────────────────────────────────────────────────┴→ workers
//! ```
//!
//! # Invariants
//!
//! 1. Nothing is delivered that was not hashed: a chunk reaches [`Deliver`] only when its bytes
//!    match its name, wherever they came from.
//! 2. Memory is bounded by the constants below, whatever the size of a disk.
//! 3. A seed that does not hold what it should is no failure: its chunks are given back as missed
//!    and fetched.

mod ranges;
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
pub(crate) use ranges::{Request, coalesce};
use worker::Work;

/// Requests under way at the same time. One connection of an object store gives about 90 MB/s.
const CONNECTIONS: usize = 6;
/// Answers that wait for a worker.
const ANSWERS_MAX: usize = 2;
/// Groups that are located ahead of the one being fetched.
const GROUPS_AHEAD: usize = 2;

/// Where a chunk is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which of the flow's disks.
    pub disk: usize,
    /// Where on it, in bytes.
    pub offset: u64,
}

/// A chunk and every place it is wanted at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The chunk.
    pub chunk: ChunkRef,
    /// At least one place.
    pub places: Vec<Place>,
}

/// A place among the local seeds that may hold a chunk; the flow knows what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeedPlace {
    /// Which of the flow's seeds.
    pub seed: usize,
    /// Where in it, in bytes.
    pub offset: u64,
}

/// Wants that are located with one question.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// What a seed may hold.
    pub seeded: Vec<(Want, SeedPlace)>,
    /// What has to come from the registry.
    pub wanted: Vec<Want>,
}

/// A frame as it lies in a pack.
#[derive(Clone, Copy, Debug)]
pub struct StoredFrame<'a> {
    /// How it holds its chunk.
    pub encoding: Encoding,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Where a chunk came from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A local seed.
    Seed(SeedPlace),
    /// The registry, as this frame.
    Pack(StoredFrame<'a>),
}

/// Takes chunks. Called from several threads at once.
pub trait Deliver: Send + Sync {
    /// Takes a chunk that matches its name.
    ///
    /// # Errors
    /// When it cannot be kept; the whole fetch stops.
    fn deliver(&self, want: &Want, plain: &[u8], origin: Origin<'_>) -> Result<(), HostError>;

    /// Fills `plain` with what lies at a place among the seeds; `false` where it cannot be read.
    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool;
}

/// Why chunks could not be brought.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A chunk cannot be kept.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What the registry holds for a chunk cannot be decoded.
    #[error("pack {pack} holds damaged bytes for chunk {}", chunk.digest)]
    Codec {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack it was read from.
        pack: seawall_api::digest::PackDigest,
        /// Why.
        source: CodecError,
    },
    /// What the registry holds for a chunk is something else.
    #[error("pack {pack} holds other bytes for chunk {}: they hash to {actual}", chunk.digest)]
    Digest {
        /// The chunk.
        chunk: ChunkRef,
        /// The pack it was read from.
        pack: seawall_api::digest::PackDigest,
        /// What its bytes hash to.
        actual: seawall_api::digest::ChunkDigest,
    },
    /// The registry describes a chunk otherwise than the index does.
    #[error("the registry gives chunk {} a length of {actual} bytes", chunk.digest)]
    Length {
        /// The chunk.
        chunk: ChunkRef,
        /// The length it gives.
        actual: u32,
    },
    /// A worker thread ended without a word.
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

/// What a fetch works with.
#[derive(Clone)]
pub struct Fetch {
    /// Where chunks come from.
    pub registry: Arc<dyn Registry>,
    /// Hears how far it is, in plain bytes.
    pub progress: Arc<dyn Progress>,
    /// How many threads decode and hash.
    pub threads: usize,
}

impl Fetch {
    /// Delivers every chunk of `groups`, but those whose seed did not hold them: these are
    /// returned, to be wanted again without a seed.
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
            // Workers stop listening when one of them fails; theirs is the error to report.
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

    /// One question: where a group's chunks lie.
    async fn locate(&self, group: Group) -> Result<(Option<Seeds>, Vec<Request>), FetchError> {
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

    /// Where chunks lie and how much of the packs has to be read for them; fetches nothing.
    ///
    /// # Errors
    /// When the registry fails, or lacks one of them.
    pub async fn measure(&self, wants: Vec<Want>) -> Result<FetchStats, FetchError> {
        let (_, requests) = self.locate(Group { seeded: Vec::new(), wanted: wants }).await?;
        Ok(FetchStats::planned(&requests))
    }
}

type Seeds = Vec<(Want, SeedPlace)>;

enum Ask {
    Seeds(Seeds),
    Range(Request),
}
