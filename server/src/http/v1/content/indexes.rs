//! `/v1/leaves/{leaf}` and `/v1/indexes/{index}`

use actix_web::http::header::ETAG;
use actix_web::{HttpResponse, web};
use seawall_api::digest::{IndexDigest, LeafDigest};

use crate::app::{AppError, Registry};
use crate::http::extract::{Known, UnderLease, Upload};
use crate::http::frame::{Access, Resource, at};
use crate::http::v1::answers::{OCTETS, immutable, status_of};
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/leaves/{leaf}")
            .get(Access::Reader, read_leaf)
            .head(Access::Reader, read_leaf)
            .put(Access::Publisher, put_leaf),
        at("/v1/indexes/{index}")
            .get(Access::Reader, read_index)
            .head(Access::Reader, find_index)
            .put(Access::Publisher, put_index),
    ]
}

/// Returns the bytes of a leaf.
#[utoipa::path(get, path = "/v1/leaves/{leaf}", tag = "indexes",
    params(("leaf" = LeafDigest, Path, description = "The leaf's digest"),
           ("If-None-Match" = Option<String>, Header, description = openapi::KNOWN_TAGS)),
    responses((status = 200, description = "The bytes (docs/FORMAT.md, section 4)",
               body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 304, description = openapi::NOT_MODIFIED)))]
pub(crate) async fn read_leaf(
    registry: web::Data<Registry>,
    leaf: web::Path<LeafDigest>,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&known, *leaf, registry.content.leaf_bytes(*leaf).await?))
}

/// Stores a leaf whose chunks are all present.
#[utoipa::path(put, path = "/v1/leaves/{leaf}", tag = "indexes",
    params(("leaf" = LeafDigest, Path, description = "The leaf's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(crate) async fn put_leaf(
    registry: web::Data<Registry>,
    upload: Upload<LeafDigest>,
) -> Result<HttpResponse, ApiError> {
    Ok(status_of(registry.content.put_leaf(upload.lease, upload.target, upload.bytes).await?))
}

/// Returns the bytes of an index's list.
#[utoipa::path(get, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = IndexDigest, Path, description = "The index's digest"),
           ("If-None-Match" = Option<String>, Header, description = openapi::KNOWN_TAGS)),
    responses((status = 200, description = "The bytes (docs/FORMAT.md, section 4)",
               body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 304, description = openapi::NOT_MODIFIED)))]
pub(crate) async fn read_index(
    registry: web::Data<Registry>,
    index: web::Path<IndexDigest>,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&known, *index, registry.content.index_bytes(*index).await?))
}

/// Checks if a disk can be pulled by its index.
///
/// The index and every object needed for a pull must be present.
#[utoipa::path(head, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = IndexDigest, Path, description = "The index's digest")),
    responses((status = 200, description = "The disk can be pulled"),
              (status = 404, description = "The index is unknown, or an object it needs \
                                            is missing; push the disk again")))]
pub(crate) async fn find_index(
    registry: web::Data<Registry>,
    index: web::Path<IndexDigest>,
) -> Result<HttpResponse, ApiError> {
    if registry.content.is_whole(*index).await? {
        let etag = (ETAG, format!("\"{index}\""));
        return Ok(HttpResponse::Ok().content_type(OCTETS).insert_header(etag).finish());
    }
    Err(AppError::NotFound { object: format!("all of index {index}") }.into())
}

/// Stores an index whose leaves are all present.
#[utoipa::path(put, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = IndexDigest, Path, description = "The index's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(crate) async fn put_index(
    registry: web::Data<Registry>,
    upload: Upload<IndexDigest>,
) -> Result<HttpResponse, ApiError> {
    Ok(status_of(registry.content.put_index(upload.lease, upload.target, upload.bytes).await?))
}
