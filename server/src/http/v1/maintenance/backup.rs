//! `/v1/backup`

use actix_web::body::SizedStream;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use crate::app::maintenance::backup::CatalogCopy;
use crate::app::{AppError, Registry};
use crate::http::frame::{Access, Resource, at, limits};
use crate::http::v1::answers::OCTETS;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![at("/v1/backup").post(Access::Operator, backup)]
}

/// Returns a verified copy of the catalog at one point in time.
///
/// The registry keeps serving meanwhile.
#[utoipa::path(post, path = "/v1/backup", tag = "fsck", operation_id = "back_up",
    responses((status = 200, description = "The catalog as an SQLite file", body = Vec<u8>,
               content_type = "application/octet-stream")))]
pub(crate) async fn backup(
    registry: web::Data<Registry>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    // As for all bodies: another site's page cannot make a browser send these types without a
    // preflight.
    if !["application/json", OCTETS].contains(&request.content_type()) {
        let types = format!("application/json nor {OCTETS}");
        return Err(ApiError::invalid(format!("the content type is neither {types}")));
    }
    let copy = registry.backups.back_up().await?;
    let len = copy.len();
    let mut response = HttpResponse::Ok();
    response.content_type(OCTETS).insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.no_chunking(len).body(SizedStream::new(len, pieces(copy))))
}

fn pieces(copy: CatalogCopy) -> impl Stream<Item = Result<Bytes, AppError>> {
    let count = copy.len().div_ceil(limits::PIECE_LEN);
    stream::iter(0..count).then(move |piece| {
        let copy = copy.clone();
        async move {
            let start = piece * limits::PIECE_LEN;
            copy.read(start..copy.len().min(start + limits::PIECE_LEN)).await
        }
    })
}
