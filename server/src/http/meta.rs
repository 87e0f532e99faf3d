//! Metadata of the registry: version, health, metrics, and the API's description.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
};
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::index::FORMAT_EPOCH;
use seawall_api::problem::Code;
use seawall_api::v1::{Health, ServerVersion};
use tokio::time::timeout;

use super::fixed::{Fixed, Shelf};
use super::problem::ApiError;
use super::{Edge, limits, openapi};
use crate::app::Registry;

/// The media type of the metrics (OpenMetrics 1.0).
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content security policy of the API's page, which may load its own files only.
const PAGE_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/").route(web::get().to(root)))
        .service(web::resource("/v1/version").route(web::get().to(version)))
        .service(web::resource("/healthz").route(web::get().to(healthz)))
        .service(web::resource("/readyz").route(web::get().to(readyz)))
        .service(web::resource("/metrics").route(web::get().to(metrics)))
        .service(web::resource("/v1/openapi.json").route(web::get().to(document)))
        .service(web::resource("/docs").route(web::get().to(to_page)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(page)));
}

/// Identifies the server, and links to the API's description.
async fn root(request: HttpRequest) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return HttpResponse::Ok().content_type("text/html; charset=utf-8").body(ROOT_PAGE);
    }
    HttpResponse::Ok().json(serde_json::json!({
        "name": "seawall",
        "documentation": "/docs/",
        "openapi": "/v1/openapi.json",
    }))
}

/// The page shown to browsers at `/`.
const ROOT_PAGE: &str = "<!doctype html><html lang=\"en\"><title>Seawall registry</title>\
    <h1>Seawall registry</h1><p>A registry of virtual machine images. To list its contents, run \
    <code>seawall --registry ADDRESS list</code>.</p>\
    <p><a href=\"/docs/\">API reference</a> (<a href=\"/v1/openapi.json\">OpenAPI document</a>)\
    </p></html>\n";

/// Returns the name and the version of the server.
#[utoipa::path(get, path = "/v1/version", tag = "meta",
    responses((status = 200, description = "The name and version of the server",
               body = ServerVersion)))]
pub(super) async fn version() -> web::Json<ServerVersion> {
    web::Json(ServerVersion {
        name: "seawall".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epochs: vec![FORMAT_EPOCH],
    })
}

/// Answers as long as the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "meta", security(()),
    responses((status = 200, description = "The process is alive", body = Health)))]
pub(super) async fn healthz() -> web::Json<Health> {
    web::Json(Health { status: "ok".to_owned() })
}

/// Answers as long as the registry can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "meta", security(()),
    responses((status = 200,
               description = "The registry is ready: store and catalog can be read and \
               written, and no shutdown is in progress", body = Health)))]
pub(super) async fn readyz(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
) -> Result<web::Json<Health>, ApiError> {
    if edge.draining.load(Ordering::Relaxed) {
        return Err(ApiError::new(Code::Unavailable, "the registry is shutting down"));
    }
    if is_ready(&registry, &edge).await {
        return Ok(web::Json(Health { status: "ok".to_owned() }));
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
pub(super) async fn metrics(
    (registry, edge): (web::Data<Registry>, web::Data<Edge>),
) -> Result<HttpResponse, ApiError> {
    // The counters of the process are reported even if the catalog does not answer.
    match timeout(limits::PROBE_TIME_MAX, registry.fsck_tally()).await {
        Ok(Ok(tally)) => edge.metrics.checked(&tally),
        Ok(Err(error)) => tracing::warn!(%error, "the metrics of checks are stale"),
        Err(_) => tracing::warn!("the metrics of checks are stale: the catalog does not respond"),
    }
    if let Some(room) = registry.room() {
        edge.metrics.watched.room(room);
    }
    // If the catalog fails, its gauges keep their last values.
    match registry.webhooks().await {
        Ok(webhooks) => edge.metrics.watched.webhooks(&webhooks),
        Err(error) => tracing::warn!(%error, "the metrics of webhooks are stale"),
    }
    let text = edge
        .metrics
        .encode()
        .map_err(|_| ApiError::new(Code::Internal, "cannot encode the metrics"))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, OPENMETRICS)).body(text))
}

/// Returns the OpenAPI document of the API.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "meta", security(()),
    responses((status = 200, description = "This document", content_type = "application/json",
               body = serde_json::Value)))]
pub(super) async fn document() -> HttpResponse {
    static DOCUMENT: LazyLock<Fixed> =
        LazyLock::new(|| openapi::openapi_json().into_bytes().into());
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT.clone())
}

async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// Serves the API's browsable page, whose files are part of the program.
async fn page(file: web::Path<String>) -> Result<HttpResponse, ApiError> {
    static FILES: Shelf<(String, Fixed)> = Shelf::new();
    let find = || {
        let config = Arc::new(utoipa_swagger_ui::Config::from("/v1/openapi.json"));
        let found = utoipa_swagger_ui::serve(&file, config)?;
        Ok(found.map(|found| (found.content_type, titled(found.bytes.into_owned()).into())))
    };
    match FILES.get(&file, find) {
        Ok(Some((content_type, body))) => Ok(HttpResponse::Ok()
            .content_type(content_type)
            .insert_header((CACHE_CONTROL, "max-age=3600"))
            .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .body(body)),
        Ok(None) => Err(ApiError::new(Code::NotFound, "the page of the API has no such file")),
        Err(error) => {
            let error: Box<dyn std::error::Error> = error;
            tracing::error!(%error, "cannot build the page of the API");
            Err(ApiError::new(Code::Internal, "cannot build the page"))
        }
    }
}

/// Replaces the viewer's title in a file of the page with the registry's.
fn titled(bytes: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains(VIEWER_TITLE) && text.len() < PAGE_LEN_MAX => {
            text.replace(VIEWER_TITLE, "<title>Seawall API</title>").into_bytes()
        }
        _ => bytes,
    }
}

const VIEWER_TITLE: &str = "<title>Swagger UI</title>";
/// The maximum length of a file to retitle, in bytes. Scripts are longer.
const PAGE_LEN_MAX: usize = 64 << 10;

/// Answers requests that no route matches.
pub(super) async fn no_such_route(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path: String = request.path().chars().take(200).flat_map(char::escape_default).collect();
    let remedy = "see GET /v1/openapi.json; encode a `/` in a name as %2F".to_owned();
    Err(ApiError::new(Code::NotFound, format!("the API has no path {path}")).with_remedy(remedy))
}
