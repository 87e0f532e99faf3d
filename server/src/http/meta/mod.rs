//! Routes outside the versions of the API: health, metrics, the version of the server, and pages.

use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::index::FORMAT_EPOCH;
use seawall_api::problem::Code;
use seawall_api::v1::{Health, ServerVersion};
use tokio::time::timeout;

use super::frame::{Access, Edge, Resource, at, limits};
use super::voice::ApiError;
use crate::app::Registry;

mod fixed;
pub(super) mod pages;

/// The media type of the metrics (OpenMetrics 1.0).
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn resources() -> Vec<Resource> {
    vec![
        at("/").get(Access::Open, pages::root),
        at("/v1/version").get(Access::Reader, version),
        at("/healthz").get(Access::Open, healthz),
        at("/readyz").get(Access::Open, readyz),
        at("/metrics").get(Access::Auditor, metrics),
        at("/v1/openapi.json").get(Access::Open, pages::document),
        at("/docs").get(Access::Open, pages::to_page),
        at("/docs/{file:.*}").get(Access::Open, pages::page),
    ]
}

/// Returns the name and the version of the server.
#[utoipa::path(get, path = "/v1/version", tag = "meta",
    responses((status = 200, description = "The name and version of the server",
               body = ServerVersion)))]
pub(crate) async fn version(registry: web::Data<Registry>) -> web::Json<ServerVersion> {
    // The version is told even if the catalog does not answer.
    let id = timeout(limits::PROBE_TIME_MAX, registry.id()).await;
    web::Json(ServerVersion {
        registry: id.ok().and_then(|id| id.ok().flatten()),
        name: "seawall".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epochs: vec![FORMAT_EPOCH],
    })
}

/// Answers as long as the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "meta", security(()),
    responses((status = 200, description = "The process is alive", body = Health)))]
pub(crate) async fn healthz() -> web::Json<Health> {
    web::Json(Health { status: "ok".to_owned(), conditional_writes: None })
}

/// Answers as long as the registry can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "meta", security(()),
    responses((status = 200,
               description = "The registry is ready: store and catalog can be read and \
               written, and no shutdown is in progress", body = Health)))]
pub(crate) async fn readyz(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
) -> Result<web::Json<Health>, ApiError> {
    if edge.draining.load(Ordering::Relaxed) {
        return Err(ApiError::new(Code::Unavailable, "the registry is shutting down"));
    }
    if is_ready(&registry, &edge).await {
        let conditions = registry.bucket().and_then(|bucket| bucket.conditions);
        let conditional_writes = conditions.map(|found| found.as_str().to_owned());
        return Ok(web::Json(Health { status: "ok".to_owned(), conditional_writes }));
    }
    // The client has shown no token and must not learn the cause.
    Err(ApiError::new(Code::Unavailable, "the store or the catalog is unavailable"))
}

/// Returns true if a probe succeeds, or did a moment ago.
///
/// A probe writes and syncs, and any client may trigger one. There is therefore one probe at a
/// time, and its outcome is reused.
async fn is_ready(registry: &Registry, edge: &Edge) -> bool {
    let mut last = edge.probed.lock().await;
    if let Some((at, outcome)) = *last
        && at.elapsed() < limits::PROBE_AGE_MAX
    {
        return outcome;
    }
    let outcome = match timeout(limits::PROBE_TIME_MAX, registry.probe()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            false
        }
        Err(_) => {
            tracing::warn!("not ready: the store or the catalog does not respond");
            false
        }
    };
    *last = Some((Instant::now(), outcome));
    outcome
}

/// Returns the counters and gauges of this process.
#[utoipa::path(get, path = "/metrics", tag = "meta",
    responses((status = 200, description = "Counters and gauges as OpenMetrics text",
               body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
) -> Result<HttpResponse, ApiError> {
    // The counters of the process are reported even if the catalog does not answer.
    match timeout(limits::PROBE_TIME_MAX, registry.checker.fsck_tally()).await {
        Ok(Ok(tally)) => edge.metrics.checked(&tally),
        Ok(Err(error)) => tracing::warn!(%error, "the metrics of checks are stale"),
        Err(_) => tracing::warn!("the metrics of checks are stale: the catalog does not respond"),
    }
    if let Some(room) = registry.room() {
        edge.metrics.health.room(room);
    }
    edge.metrics.store.update(registry.bucket(), registry.content.cache_tally());
    // If the catalog fails, its gauges keep their last values.
    match registry.audit.webhooks().await {
        Ok(webhooks) => edge.metrics.health.webhooks(&webhooks),
        Err(error) => tracing::warn!(%error, "the metrics of webhooks are stale"),
    }
    let text = edge
        .metrics
        .encode()
        .map_err(|_| ApiError::new(Code::Internal, "cannot encode the metrics"))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, OPENMETRICS)).body(text))
}

/// Answers requests that no route matches.
pub(crate) async fn no_such_route(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path: String = request.path().chars().take(200).flat_map(char::escape_default).collect();
    let remedy = "see GET /v1/openapi.json; encode a `/` in a name as %2F".to_owned();
    Err(ApiError::new(Code::NotFound, format!("the API has no path {path}")).with_remedy(remedy))
}
