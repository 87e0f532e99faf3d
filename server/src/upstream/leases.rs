//! Leases: the upstream's, or while that cannot be reached the edge's own.
//!
//! A pull holds what it reads by a lease. Without its upstream an edge serves what it keeps, which
//! no collection of the upstream touches: its own lease promises nothing, and costs the pull no
//! time.

use actix_web::{HttpRequest, HttpResponse, web};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use seawall_api::problem::Code;
use seawall_api::v1::{Lease, LeasePurpose, OpenLease};

use super::Upstream;
use super::remote::{self, path_of, token_of};
use crate::http::{Access, ApiError, Resource, at};

/// The beginning of the id of a lease that the edge granted.
const OWN: &str = "edge-";
/// The duration of a lease that the edge granted, in seconds.
const OWN_TTL_SECS: u64 = 3600;

pub(super) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/leases").post(Access::Reader, open),
        at("/v1/leases/{lease}").put(Access::Reader, renew).delete(Access::Reader, end),
    ]
}

async fn open(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let token = token_of(&request);
    upstream.admit(token.as_ref()).await?;
    let body = remote::gather(payload).await?;
    let mut headers = remote::bearer(token.as_ref());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let order: Result<OpenLease, _> = serde_json::from_slice(&body);
    let call = (Method::POST, path_of(&request));
    match upstream.remote.whole(call, headers, Some(body)).await {
        Err(error)
            if error.problem().code == Code::Unavailable
                && order.is_ok_and(|order| order.purpose == LeasePurpose::Pull) =>
        {
            let random = upstream.host.random().map(hex::encode).unwrap_or_default();
            let lease = Lease { id: format!("{OWN}{random}"), ttl_secs: OWN_TTL_SECS };
            Ok(HttpResponse::Created().json(lease))
        }
        answer => answer?.into_response(),
    }
}

async fn renew(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
    lease: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    match lease.starts_with(OWN) {
        true => {
            Ok(HttpResponse::Ok().json(Lease { id: lease.into_inner(), ttl_secs: OWN_TTL_SECS }))
        }
        false => remote::forward(upstream, request, payload).await,
    }
}

async fn end(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
    lease: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    match lease.starts_with(OWN) {
        true => Ok(HttpResponse::NoContent().finish()),
        false => remote::forward(upstream, request, payload).await,
    }
}
