//! Forms of answers that several resources share.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG};
use bytes::Bytes;

use crate::app::model::Put;
use crate::http::extract::Known;

/// The media type of objects.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// The caching of objects named by digest, which never change. Private, because a shared cache
/// knows no tokens and must not serve the object to others.
pub(crate) const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// The caching of names that may change their meaning. A cached copy is revalidated before use.
pub(super) const CHECKED: &str = "private, no-cache";

/// Returns 201 for a new object, 200 for one already present.
pub(super) fn status_of(put: Put) -> HttpResponse {
    HttpResponse::build(match put {
        Put::Created => StatusCode::CREATED,
        Put::AlreadyPresent => StatusCode::OK,
    })
    .finish()
}

/// Returns the bytes of an object, or 304 if the client has them.
pub(crate) fn immutable(
    known: &Known,
    digest: impl std::fmt::Display,
    bytes: Bytes,
) -> HttpResponse {
    let etag = format!("\"{digest}\"");
    let is_known = known.has(&etag);
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag)).insert_header((CACHE_CONTROL, IMMUTABLE));
    if is_known {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(OCTETS).body(bytes)
}
