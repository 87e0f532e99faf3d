//! Pages: the root, the OpenAPI document, and its viewer.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::problem::Code;

use super::fixed::{Fixed, Shelf};
use crate::http::openapi_json;
use crate::http::voice::ApiError;

/// The content security policy of the API's page, which may load its own files only.
const PAGE_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// Identifies the server, and links to the API's description.
pub(super) async fn root(request: HttpRequest) -> HttpResponse {
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

/// Returns the OpenAPI document of the API.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "meta", security(()),
    responses((status = 200, description = "This document", content_type = "application/json",
               body = serde_json::Value)))]
pub(crate) async fn document() -> HttpResponse {
    static DOCUMENT: LazyLock<Fixed> = LazyLock::new(|| openapi_json().into_bytes().into());
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT.clone())
}

pub(super) async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// Serves the API's browsable page, whose files are part of the program.
pub(super) async fn page(file: web::Path<String>) -> Result<HttpResponse, ApiError> {
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
