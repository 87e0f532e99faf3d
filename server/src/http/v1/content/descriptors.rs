//! `/v1/descriptors/{descriptor}`

use actix_web::{HttpResponse, web};
use seawall_api::digest::DescriptorDigest;

use crate::app::Registry;
use crate::http::extract::{Known, UnderLease, Upload};
use crate::http::frame::{Access, Resource, at};
use crate::http::v1::answers::{immutable, status_of};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/descriptors/{descriptor}")
            .get(Access::Reader, read)
            .head(Access::Reader, read)
            .put(Access::Publisher, put),
    ]
}

/// Returns the bytes of an original descriptor, such as an OVF document.
#[utoipa::path(get, path = "/v1/descriptors/{descriptor}", tag = "descriptors",
    operation_id = "read_descriptor",
    params(("descriptor" = DescriptorDigest, Path, description = "The descriptor's digest")),
    responses((status = 200, description = "The bytes as uploaded",
               body = Vec<u8>, content_type = "application/octet-stream")))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    descriptor: web::Path<DescriptorDigest>,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    Ok(immutable(&known, *descriptor, registry.content.descriptor_bytes(*descriptor).await?))
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
pub(crate) async fn put(
    registry: web::Data<Registry>,
    upload: Upload<DescriptorDigest>,
) -> Result<HttpResponse, ApiError> {
    Ok(status_of(registry.content.put_descriptor(upload.lease, upload.target, upload.bytes).await?))
}
