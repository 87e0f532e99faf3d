//! `/v1/descriptors/{descriptor}`

use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::digest::DescriptorDigest;

use super::body::receive_for_store;
use super::indexes::{immutable, status_of};
use super::leases::UnderLease;
use super::limits;
use super::problem::ApiError;
use crate::app::Registry;

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/descriptors/{descriptor}")
            .route(web::get().to(read))
            .route(web::head().to(read))
            .route(web::put().to(put)),
    );
}

/// Returns the bytes of an original descriptor, such as an OVF document.
#[utoipa::path(get, path = "/v1/descriptors/{descriptor}", tag = "descriptors",
    operation_id = "read_descriptor",
    params(("descriptor" = DescriptorDigest, Path, description = "The descriptor's digest")),
    responses((status = 200, description = "The bytes as uploaded",
               body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn read(
    registry: web::Data<Registry>,
    request: HttpRequest,
    descriptor: web::Path<DescriptorDigest>,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&request, *descriptor, registry.descriptor_bytes(*descriptor).await?))
}

/// Stores an original descriptor byte for byte.
///
/// A release that refers to the descriptor can then be published.
#[utoipa::path(put, path = "/v1/descriptors/{descriptor}", tag = "descriptors",
    operation_id = "put_descriptor",
    params(("descriptor" = DescriptorDigest, Path, description = "The descriptor's digest"),
           UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(super) async fn put(
    registry: web::Data<Registry>,
    descriptor: web::Path<DescriptorDigest>,
    lease: web::Query<UnderLease>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let lease = lease.id()?;
    let (_room, body) =
        receive_for_store(&request, payload, limits::DESCRIPTOR_BODY_LEN_MAX, &registry).await?;
    Ok(status_of(registry.put_descriptor(lease, *descriptor, body).await?))
}
