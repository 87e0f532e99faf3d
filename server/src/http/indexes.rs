//! `/v1/leaves/{leaf}` and `/v1/indexes/{index}`

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use seawall_api::digest::{IndexDigest, LeafDigest};

use super::body::receive_for_store;
use super::leases::UnderLease;
use super::problem::ApiError;
use super::{limits, openapi, range};
use crate::app::model::Put;
use crate::app::{AppError, Registry};

pub(super) const OCTETS: &str = "application/octet-stream";

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/leaves/{leaf}")
            .route(web::get().to(read_leaf))
            .route(web::head().to(read_leaf))
            .route(web::put().to(put_leaf)),
    )
    .service(
        web::resource("/v1/indexes/{index}")
            .route(web::get().to(read_index))
            .route(web::head().to(find_index))
            .route(web::put().to(put_index)),
    );
}

/// Returns 201 for a new object, 200 for one already present.
pub(super) fn status_of(put: Put) -> HttpResponse {
    HttpResponse::build(match put {
        Put::Created => StatusCode::CREATED,
        Put::AlreadyPresent => StatusCode::OK,
    })
    .finish()
}

pub(super) fn immutable(
    request: &HttpRequest,
    digest: impl std::fmt::Display,
    bytes: Bytes,
) -> HttpResponse {
    let etag = format!("\"{digest}\"");
    let is_known = range::matches_any(request.headers().get_all(IF_NONE_MATCH), &etag);
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag)).insert_header((CACHE_CONTROL, range::IMMUTABLE));
    if is_known {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(OCTETS).body(bytes)
}

/// Returns the bytes of a leaf.
#[utoipa::path(get, path = "/v1/leaves/{leaf}", tag = "indexes",
    params(("leaf" = LeafDigest, Path, description = "The leaf's digest"),
           ("If-None-Match" = Option<String>, Header, description = openapi::KNOWN_TAGS)),
    responses((status = 200, description = "The bytes (docs/FORMAT.md, section 4)",
               body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 304, description = openapi::NOT_MODIFIED)))]
pub(super) async fn read_leaf(
    registry: web::Data<Registry>,
    leaf: web::Path<LeafDigest>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&request, *leaf, registry.leaf_bytes(*leaf).await?))
}

/// Stores a leaf whose chunks are all present.
#[utoipa::path(put, path = "/v1/leaves/{leaf}", tag = "indexes",
    params(("leaf" = LeafDigest, Path, description = "The leaf's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(super) async fn put_leaf(
    registry: web::Data<Registry>,
    leaf: web::Path<LeafDigest>,
    lease: web::Query<UnderLease>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let lease = lease.id()?;
    let (_room, body) =
        receive_for_store(&request, payload, limits::LEAF_BODY_LEN_MAX, &registry).await?;
    Ok(status_of(registry.put_leaf(lease, *leaf, body).await?))
}

/// Returns the bytes of an index's list.
#[utoipa::path(get, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = IndexDigest, Path, description = "The index's digest"),
           ("If-None-Match" = Option<String>, Header, description = openapi::KNOWN_TAGS)),
    responses((status = 200, description = "The bytes (docs/FORMAT.md, section 4)",
               body = Vec<u8>, content_type = "application/octet-stream"),
              (status = 304, description = openapi::NOT_MODIFIED)))]
pub(super) async fn read_index(
    registry: web::Data<Registry>,
    index: web::Path<IndexDigest>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&request, *index, registry.index_bytes(*index).await?))
}

/// Checks if a disk can be pulled by its index.
///
/// The index and every object needed for a pull must be present.
#[utoipa::path(head, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = IndexDigest, Path, description = "The index's digest")),
    responses((status = 200, description = "The disk can be pulled"),
              (status = 404, description = "The index is unknown, or an object it needs \
                                            is missing; push the disk again")))]
pub(super) async fn find_index(
    registry: web::Data<Registry>,
    index: web::Path<IndexDigest>,
) -> Result<HttpResponse, ApiError> {
    if registry.is_whole(*index).await? {
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
pub(super) async fn put_index(
    registry: web::Data<Registry>,
    index: web::Path<IndexDigest>,
    lease: web::Query<UnderLease>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let lease = lease.id()?;
    let (_room, body) =
        receive_for_store(&request, payload, limits::INDEX_BODY_LEN_MAX, &registry).await?;
    Ok(status_of(registry.put_index(lease, *index, body).await?))
}
