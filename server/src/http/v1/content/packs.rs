//! `/v1/packs/{pack}`

use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, LOCATION};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use seawall_api::digest::PackDigest;
use seawall_api::problem::Code;

use crate::app::{AppError, PackObject, Registry};
use crate::http::extract::{Ranged, Selected, UnderLease, Upload};
use crate::http::frame::body::{AnswerMemory, Share};
use crate::http::frame::{Access, Edge, Resource, at, limits};
use crate::http::v1::answers::{IMMUTABLE, OCTETS, status_of};
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/packs/{pack}")
            .get(Access::Reader, read)
            .head(Access::Reader, read)
            .put(Access::Publisher, upload),
    ]
}

/// Stores a pack after decoding and re-hashing each of its frames.
#[utoipa::path(put, path = "/v1/packs/{pack}", tag = "packs",
    params(("pack" = PackDigest, Path, description = "The pack's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
                 description = "The bytes (docs/FORMAT.md, section 5)"),
    responses((status = 201, description = "Stored; the chunks can be used"),
              (status = 200, description = "Already present")))]
pub(crate) async fn upload(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
    upload: Upload<PackDigest>,
) -> Result<HttpResponse, ApiError> {
    let kept = registry.content.upload_pack(upload.lease, upload.target, upload.bytes).await?;
    edge.metrics.pack_kept(kept.chunk_count);
    Ok(status_of(kept.put))
}

/// Returns the bytes of a pack, or one range of them.
#[utoipa::path(get, path = "/v1/packs/{pack}", tag = "packs",
    params(("pack" = PackDigest, Path, description = "The pack's digest"),
           ("Range" = Option<String>, Header, description = "One range, such as `bytes=0-4095`"),
           ("If-Range" = Option<String>, Header,
            description = "The entity tag the range applies to"),
           ("Cache-Control" = Option<String>, Header,
            description = "`no-cache` reads past the registry's cache, after wrong bytes")),
    responses((status = 200, description = "The bytes of the pack", body = Vec<u8>,
               content_type = "application/octet-stream"),
              (status = 206, description = "The requested range", body = Vec<u8>,
               content_type = "application/octet-stream"),
              (status = 304, description = openapi::NOT_MODIFIED),
              (status = 307, description = "The address of the requested range in the bucket")))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    pack: web::Path<PackDigest>,
    ranged: Ranged,
    memory: AnswerMemory,
) -> Result<HttpResponse, ApiError> {
    if ranged.is_past_caches {
        registry.content.forget_cached(*pack);
    }
    let pack = registry.content.pack(*pack).await?;
    let etag = format!("\"{}\"", pack.digest());
    let mut response = HttpResponse::Ok();
    response
        .content_type(OCTETS)
        .insert_header((ETAG, etag.as_str()))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, IMMUTABLE));
    if ranged.known.has(&etag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let bytes = match ranged.select(pack.len(), &etag) {
        Selected::Whole => 0..pack.len(),
        Selected::Part(part) => {
            if !ranged.is_head
                && let Some(address) = pack.link().await?
            {
                return Ok(HttpResponse::TemporaryRedirect()
                    .insert_header((LOCATION, address))
                    // The address is valid for a while only, and is for this client.
                    .insert_header((CACHE_CONTROL, "no-store"))
                    .finish());
            }
            let text = format!("bytes {}-{}/{}", part.start, part.end - 1, pack.len());
            response.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, text));
            part
        }
        Selected::Outside => {
            let detail = format!("pack {} has {} bytes", pack.digest(), pack.len());
            return Err(ApiError::new(Code::RangeNotSatisfiable, detail)
                .with_header(CONTENT_RANGE, format!("bytes */{}", pack.len())));
        }
    };
    let len = bytes.end - bytes.start;
    if ranged.is_head {
        let nothing = stream::empty::<Result<Bytes, AppError>>();
        return Ok(response.no_chunking(len).body(SizedStream::new(len, nothing)));
    }
    let mut pieces = Box::pin(pieces(pack, bytes, memory));
    // A store that fails here is told to the client; later, the answer can only be cut.
    let first = pieces.next().await.transpose()?;
    let pieces = stream::iter(first.map(Ok)).chain(pieces);
    Ok(response.no_chunking(len).body(SizedStream::new(len, pieces)))
}

/// Streams the bytes of `range` in pieces.
///
/// While one piece is sent, the next two are read: each client, however slow, takes the memory of
/// three pieces. The pieces are short if memory is.
fn pieces(
    pack: PackObject,
    range: Range<u64>,
    memory: AnswerMemory,
) -> impl Stream<Item = Result<Bytes, AppError>> {
    let (digest, piece_len) = (pack.digest(), pack.piece_len());
    let planned = stream::unfold(range.start, move |start| {
        let next = (start < range.end).then(|| {
            let share = memory.try_share(usize::try_from(piece_len).unwrap_or(usize::MAX));
            let part = if share.is_some() { 1 } else { limits::SHORT_PIECE_PART };
            let end = range.end.min(start + piece_len / part);
            ((start..end, share), end)
        });
        std::future::ready(next)
    });
    let read = planned.map(move |(part, share)| {
        let pack = pack.clone();
        let read = async move { pack.read(part).await };
        // A separate task, which reads while the previous piece is written to the socket.
        async move {
            let read = match tokio::spawn(read).await {
                Ok(bytes) => bytes.inspect_err(|error| {
                    tracing::error!(%error, pack = %digest, "the transfer of a pack was aborted");
                }),
                Err(error) => {
                    Err(AppError::Internal { action: "read a pack", source: error.into() })
                }
            };
            read.map(|bytes| (bytes, share))
        }
    });
    // A piece stays in memory until the next one is requested.
    read.buffered(2).scan(None, |held: &mut Option<Share>, piece| {
        let piece = piece.map(|(bytes, share)| {
            *held = share;
            bytes
        });
        std::future::ready(Some(piece))
    })
}
