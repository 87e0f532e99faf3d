//! Extractors: the typed arguments of handlers. Their errors are problem documents.

use actix_web::error::{PathError, QueryPayloadError};
use actix_web::{HttpRequest, web};

use super::voice::ApiError;

mod body;
mod condition;
mod page;
mod path;
mod range;
mod upload;

pub(crate) use body::Body;
pub(crate) use condition::{Known, Precondition};
pub(crate) use page::page_len;
pub(crate) use path::{ChannelPath, PinPath, ReleasePath, lease_id};
pub(crate) use range::{Ranged, Selected};
pub(crate) use upload::{UnderLease, Upload};

/// Makes the framework's extractors answer with problem documents. By default, actix answers 404
/// to a malformed path segment, and plain text to other errors.
pub(crate) fn configure(cfg: &mut web::ServiceConfig) {
    let path = |error: PathError, _: &HttpRequest| {
        ApiError::invalid(format!("the path is malformed: {error}")).into()
    };
    let query = |error: QueryPayloadError, _: &HttpRequest| {
        ApiError::invalid(format!("the query is malformed: {error}")).into()
    };
    cfg.app_data(web::PathConfig::default().error_handler(path))
        .app_data(web::QueryConfig::default().error_handler(query));
}
