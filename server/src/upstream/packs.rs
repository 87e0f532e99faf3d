//! Ranges of packs: from the cache or the upstream, each frame proven before it is served.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG};
use actix_web::{HttpRequest, HttpResponse, web};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderValue;
use seawall_api::digest::PackDigest;
use seawall_api::index::ChunkRef;
use seawall_api::problem::Code;
use seawall_store::error::StoreError;
use seawall_store::pack::{Footer, HEADER, HEADER_LEN, TRAILER_LEN};
use seawall_store::port::{ObjectName, OpenObject};
use seawall_store::read::{Freshness, Prover};

use super::Upstream;
use super::answers::Key;
use super::remote::{self, Whole, token_of, unexpected};
use crate::http::{Access, ApiError, IMMUTABLE, OCTETS, Ranged, Resource, Selected, at};

/// The length of the first read of a pack, from its end: most footers fit.
const TAIL_LEN: u64 = 64 << 10;
/// The number of packs whose footers stay in memory.
const PACKS_MAX: usize = 1024;
/// The number of ranges that are read and proven at once. Each takes at most the memory of a pack.
const RANGES_MAX: usize = 16;

pub(super) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/packs/{pack}")
            .get(Access::Reader, read)
            .head(Access::Reader, read)
            .put(Access::Reader, remote::forward),
    ]
}

/// The packs whose footers are known, and the limit on ranges in memory.
pub(super) struct Packs {
    known: Mutex<HashMap<PackDigest, Arc<Pack>>>,
    ranges: tokio::sync::Semaphore,
}

impl Default for Packs {
    fn default() -> Self {
        Self { known: Mutex::default(), ranges: tokio::sync::Semaphore::new(RANGES_MAX) }
    }
}

/// A pack whose footer matches its name.
struct Pack {
    digest: PackDigest,
    footer: Footer,
    /// The bytes after the frames: the footer and the trailer.
    tail: Bytes,
    len: u64,
    /// For each frame, whether its bytes in the cache were proven by this process.
    proven: Mutex<Vec<bool>>,
}

/// Returns the bytes of a pack, or one range of them.
async fn read(
    upstream: web::Data<Upstream>,
    pack: web::Path<PackDigest>,
    request: HttpRequest,
    ranged: Ranged,
) -> Result<HttpResponse, ApiError> {
    let token = token_of(&request);
    upstream.admit(token.as_ref()).await?;
    let pack = upstream.pack(*pack, token.as_ref()).await?;
    let etag = format!("\"{}\"", pack.digest);
    let mut response = HttpResponse::Ok();
    response
        .content_type(OCTETS)
        .insert_header((ETAG, etag.as_str()))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, IMMUTABLE));
    if ranged.known.has(&etag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let range = match ranged.select(pack.len, &etag) {
        Selected::Whole => 0..pack.len,
        Selected::Part(part) => {
            let text = format!("bytes {}-{}/{}", part.start, part.end - 1, pack.len);
            response.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, text));
            part
        }
        Selected::Outside => {
            let detail = format!("pack {} has {} bytes", pack.digest, pack.len);
            return Err(ApiError::new(Code::RangeNotSatisfiable, detail)
                .with_header(CONTENT_RANGE, format!("bytes */{}", pack.len)));
        }
    };
    if ranged.is_head {
        let len = range.end - range.start;
        let nothing = futures::stream::empty::<Result<Bytes, std::io::Error>>();
        return Ok(response.no_chunking(len).body(actix_web::body::SizedStream::new(len, nothing)));
    }
    let _turn = upstream.packs.ranges.acquire().await;
    let freshness = if ranged.is_past_caches { Freshness::AtRest } else { Freshness::Any };
    Ok(response.body(upstream.range(&pack, range, (token, freshness)).await?))
}

impl Upstream {
    /// Returns a pack with its footer, which is asked for once.
    async fn pack(
        self: &Arc<Self>,
        digest: PackDigest,
        token: Option<&HeaderValue>,
    ) -> Result<Arc<Pack>, ApiError> {
        let known = || self.packs.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pack) = known().get(&digest) {
            return Ok(Arc::clone(pack));
        }
        let key = Key::of([&b"the tail of a pack"[..], digest.as_bytes()]);
        let turn = self.flights.turn(key);
        let _turn = turn.lock().await;
        if let Some(pack) = known().get(&digest) {
            return Ok(Arc::clone(pack));
        }
        let kept = self.kept(key).await.map(|kept| kept.answer.body);
        let kept = kept.and_then(|tail| Pack::of_tail(digest, tail).ok());
        let pack = match kept {
            Some(pack) => pack,
            None => self.ask_tail(digest, key, token).await?,
        };
        let pack = Arc::new(pack);
        let mut known = known();
        if known.len() >= PACKS_MAX {
            known.clear();
        }
        known.insert(digest, Arc::clone(&pack));
        Ok(pack)
    }

    async fn ask_tail(
        self: &Arc<Self>,
        digest: PackDigest,
        key: Key,
        token: Option<&HeaderValue>,
    ) -> Result<Pack, ApiError> {
        let suffix = |len: u64| {
            HeaderValue::from_str(&format!("bytes=-{len}"))
                .map_err(|_| unexpected("a footer of impossible length"))
        };
        let ask =
            async |len: u64| self.remote.pack(digest, suffix(len)?, token, Freshness::AtRest).await;
        let (total, mut tail) = ask(TAIL_LEN).await?;
        let needed = tail_len(&tail, total).ok_or_else(|| not_a_pack(digest))?;
        if needed > tail.len() as u64 {
            tail = ask(needed).await?.1;
        }
        let from = tail.len() as u64 - needed.min(tail.len() as u64);
        let tail = tail.slice(usize::try_from(from).unwrap_or(usize::MAX)..);
        let pack = Pack::of_tail(digest, tail.clone()).map_err(|()| not_a_pack(digest))?;
        if pack.len != total {
            return Err(not_a_pack(digest));
        }
        self.keep(key, &Whole { status: 200, headers: Vec::new(), body: tail }).await;
        Ok(pack)
    }

    /// Returns proven bytes of a pack.
    async fn range(
        self: &Arc<Self>,
        pack: &Arc<Pack>,
        range: Range<u64>,
        asker: (Option<HeaderValue>, Freshness),
    ) -> Result<Bytes, ApiError> {
        let mut bytes = BytesMut::new();
        let header = range.start.min(HEADER_LEN as u64)..range.end.min(HEADER_LEN as u64);
        bytes.extend_from_slice(&HEADER[index(&header)]);
        let wanted = pack.frames_in(&range);
        if !wanted.is_empty() {
            let span = pack.span(&wanted);
            let part = range.start.max(span.start)..range.end.min(span.end);
            let frames = self.frames(pack, wanted, span.clone(), asker).await?;
            bytes.extend_from_slice(
                &frames[index(&(part.start - span.start..part.end - span.start))],
            );
        }
        let start = pack.tail_start();
        let tail = range.start.max(start)..range.end.max(start);
        bytes.extend_from_slice(&pack.tail[index(&(tail.start - start..tail.end - start))]);
        Ok(bytes.freeze())
    }

    /// Returns the bytes of frames that lie side by side. If one is wrong, what is kept of the pack
    /// is forgotten and the upstream is asked once more, past its own caches.
    async fn frames(
        self: &Arc<Self>,
        pack: &Arc<Pack>,
        wanted: Range<usize>,
        span: Range<u64>,
        (token, freshness): (Option<HeaderValue>, Freshness),
    ) -> Result<Bytes, ApiError> {
        let attempts = match freshness {
            Freshness::Any => &[Freshness::Any, Freshness::AtRest][..],
            Freshness::AtRest => &[Freshness::AtRest],
        };
        for freshness in attempts {
            let failure = Arc::default();
            let (upstream, token) = (Arc::clone(self), token.clone());
            let object = Arc::new(Distant {
                upstream,
                pack: Arc::clone(pack),
                token,
                freshness: *freshness,
                failure: Arc::clone(&failure),
            });
            if *freshness == Freshness::AtRest {
                self.cache.forget(pack.digest);
                pack.forget();
            }
            let read = self.cache.over(pack.digest, object).read(span.clone()).await;
            let bytes = read.map_err(|error| {
                let told = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                told.unwrap_or_else(|| {
                    tracing::warn!(%error, "cannot read a pack");
                    ApiError::new(Code::Unavailable, "the edge cannot read a pack")
                })
            })?;
            let (proven, at_hand) = (Arc::clone(pack), bytes.clone());
            let (frames, start) = (wanted.clone(), span.start);
            let prove = move || proven.prove(frames, &at_hand, start);
            if tokio::task::spawn_blocking(prove).await.unwrap_or(false) {
                return Ok(bytes);
            }
            tracing::warn!(pack = %pack.digest, "wrong bytes of a pack");
        }
        let detail = format!("pack {} is damaged at the upstream of this edge", pack.digest);
        let remedy = "run `seawall fsck` at the upstream, then `seawall repair`".to_owned();
        Err(ApiError::new(Code::Damaged, detail).with_remedy(remedy))
    }
}

impl Pack {
    /// Reads the bytes after the frames of a pack.
    fn of_tail(digest: PackDigest, tail: Bytes) -> Result<Self, ()> {
        let footer = tail.len().checked_sub(TRAILER_LEN).ok_or(())?;
        let footer = Footer::of_name(digest, &tail[..footer]).map_err(|_| ())?;
        let len = footer.frames_end() + tail.len() as u64;
        let proven = Mutex::new(vec![false; footer.frames().len()]);
        Ok(Self { digest, footer, tail, len, proven })
    }

    fn tail_start(&self) -> u64 {
        self.len - self.tail.len() as u64
    }

    /// Returns the positions of the frames that a range touches.
    fn frames_in(&self, range: &Range<u64>) -> Range<usize> {
        let frames = self.footer.frames();
        let start = frames.partition_point(|frame| frame.range().end <= range.start);
        let end = frames.partition_point(|frame| frame.offset < range.end);
        start..end.max(start)
    }

    fn span(&self, frames: &Range<usize>) -> Range<u64> {
        let frames = &self.footer.frames()[frames.clone()];
        frames.first().map_or(0, |it| it.offset)..frames.last().map_or(0, |it| it.range().end)
    }

    fn forget(&self) {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).fill(false);
    }

    /// Proves frames that were not proven before. `bytes` begin at `start` in the pack.
    fn prove(&self, frames: Range<usize>, bytes: &[u8], start: u64) -> bool {
        let proven = || self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<bool> = proven()[frames.clone()].to_vec();
        let mut prover = Prover::default();
        for (position, _) in frames.clone().zip(known).filter(|(_, known)| !known) {
            let frame = &self.footer.frames()[position];
            let at = frame.range();
            let stored = bytes.get(index(&(at.start - start..at.end - start)));
            let chunk = ChunkRef { digest: frame.digest, len: frame.plain_len };
            let is_sound = stored.is_some_and(|it| prover.prove(chunk, frame.encoding, it).is_ok());
            if !is_sound {
                return false;
            }
        }
        proven()[frames].fill(true);
        true
    }
}

/// A pack at the upstream.
struct Distant {
    upstream: Arc<Upstream>,
    pack: Arc<Pack>,
    token: Option<HeaderValue>,
    freshness: Freshness,
    /// The error of the upstream, for the client.
    failure: Arc<Mutex<Option<ApiError>>>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl OpenObject for Distant {
    fn len(&self) -> u64 {
        self.pack.len
    }

    fn piece_len(&self) -> u64 {
        self.pack.len
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let object = ObjectName::Pack(self.pack.digest).path();
        let outside =
            || StoreError::Range { object: object.clone(), start: range.start, end: range.end };
        if range.is_empty() || range.end > self.pack.len {
            return Err(outside());
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let header = HeaderValue::from_str(&header).map_err(|_| outside())?;
        let remote = &self.upstream.remote;
        let read = remote.pack(self.pack.digest, header, self.token.as_ref(), self.freshness).await;
        match read {
            Ok((_, bytes)) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(_) => Err(outside()),
            Err(error) => {
                let source = std::io::Error::other(error.to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(StoreError::io("read", Path::new(&object), source))
            }
        }
    }
}

/// Returns the length of the footer and the trailer of a pack of `total` bytes, from its last
/// bytes.
fn tail_len(tail: &[u8], total: u64) -> Option<u64> {
    let trailer = tail.last_chunk::<TRAILER_LEN>()?;
    Some(total - Footer::place(total, trailer).ok()?.start)
}

fn not_a_pack(digest: PackDigest) -> ApiError {
    unexpected(&format!("bytes that are not those of pack {digest}"))
}

/// Returns a range of positions in memory. Every range here lies within a pack.
fn index(range: &Range<u64>) -> Range<usize> {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    position(range.start)..position(range.end)
}
