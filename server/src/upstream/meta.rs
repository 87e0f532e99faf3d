//! Health and metrics of an edge.

use std::sync::atomic::Ordering;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use seawall_api::problem::Code;
use seawall_api::v1::Health;

use super::Upstream;
use crate::http::{Access, ApiError, Edge, OPENMETRICS, Resource, at, healthz};

pub(super) fn resources() -> Vec<Resource> {
    vec![
        at("/healthz").get(Access::Open, healthz),
        at("/readyz").get(Access::Open, readyz),
        at("/metrics").get(Access::Open, metrics),
    ]
}

/// Answers as long as the edge can serve requests. An edge whose upstream is gone still can.
async fn readyz(edge: web::Data<Edge>) -> Result<web::Json<Health>, ApiError> {
    if edge.draining.load(Ordering::Relaxed) {
        return Err(ApiError::new(Code::Unavailable, "the edge is shutting down"));
    }
    Ok(web::Json(Health { status: "ok".to_owned(), conditional_writes: None }))
}

/// Returns the counters and gauges of this process.
async fn metrics(
    upstream: web::Data<Upstream>,
    edge: web::Data<Edge>,
) -> Result<HttpResponse, ApiError> {
    edge.metrics.store.update(None, Some(upstream.cache.tally()));
    let text = edge.metrics.encode();
    let text = text.map_err(|_| ApiError::new(Code::Internal, "cannot encode the metrics"))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, OPENMETRICS)).body(text))
}
