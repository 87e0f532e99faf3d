//! `/v1/applications/{application}/releases`

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG};
use actix_web::{HttpResponse, web};
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::Document;
use seawall_api::v1::{self, RELEASE_HEADER};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::model::{Publication, Tombstone};
use crate::app::releases::listings::ListedRelease;
use crate::app::{Publisher, Registry};
use crate::http::extract::{Known, ReleasePath, UnderLease, Upload, page_len};
use crate::http::frame::{Access, Actor, Edge, Resource, at};
use crate::http::v1::answers::{CHECKED, IMMUTABLE};
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications/{application}/releases")
            .get(Access::Reader, list)
            .post(Access::Publisher, publish),
        at("/v1/applications/{application}/releases/{selector}")
            .get(Access::Reader, read)
            .head(Access::Reader, read)
            .delete(Access::Publisher, delete),
    ]
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next` of the previous page.
    after: Option<Version>,
    /// The maximum number of releases, 1 to 1000. The default is 1000.
    limit: Option<u32>,
}

fn body_of(listed: ListedRelease) -> v1::ReleaseSummary {
    let ListedRelease { release, channels, marks, lost } = listed;
    v1::ReleaseSummary {
        version: release.version,
        digest: release.digest,
        published_at_secs: release.published_at_secs,
        published_by: release.published_by,
        machines: release.machines,
        disk_bytes: release.disk_bytes,
        data_bytes: release.data_bytes,
        channels,
        lost: lost.into_iter().map(|lost| lost.object).collect(),
        recent_on: marks.recent_on,
        pins: marks.pins,
        host_count: marks.host_count,
    }
}

/// Lists the releases of an application, newest first.
#[utoipa::path(get, path = "/v1/applications/{application}/releases", tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION), Page),
    responses((status = 200, description = "A page of releases", body = v1::ReleasePage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
    page: web::Query<Page>,
) -> Result<web::Json<v1::ReleasePage>, ApiError> {
    let limit = page_len(page.limit)?;
    let page = registry.releases.list(&application, page.into_inner().after, limit).await?;
    let releases = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::ReleasePage { releases, next: page.next }))
}

/// Publishes a release.
///
/// The whole release becomes visible at once, and the lease ends. Publishing the same release again
/// answers 200.
#[utoipa::path(post, path = "/v1/applications/{application}/releases", tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           UnderLease),
    request_body(content = Document, description = "The document in canonical form (RFC 8785)"),
    responses((status = 201, description = "Published", body = v1::Published),
              (status = 200, description = "Already published", body = v1::Published)))]
pub(crate) async fn publish(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
    upload: Upload<ApplicationName>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    let publisher = Publisher { lease: upload.lease, token: actor.name };
    let (digest, publication) =
        registry.releases.publish(&upload.target, upload.bytes, publisher).await?;
    let (status, already_present) = match publication {
        Publication::AlreadyPresent => (StatusCode::OK, true),
        _ => {
            edge.metrics.published();
            (StatusCode::CREATED, false)
        }
    };
    Ok(HttpResponse::build(status).json(v1::Published { digest, already_present }))
}

/// Returns the document of a release, byte for byte.
///
/// The BLAKE3 digest of the bytes is the release's digest.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}", tag = "releases",
    params(ReleasePath,
           ("If-None-Match" = Option<String>, Header, description = openapi::KNOWN_TAGS)),
    responses((status = 200, description = "The canonical bytes of the document", body = Document,
               headers(("etag" = String, description = "The release's digest, in quotes"),
                       ("seawall-release" = String, description = "The release's digest"))),
              (status = 304, description = openapi::NOT_MODIFIED)))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    path: web::Path<ReleasePath>,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    let selector = path.selector()?;
    let digest = registry.names.resolve(&path.application, &selector).await?;
    let etag = format!("\"{digest}\"");
    let caching = match &selector {
        Selector::Digest(_) => IMMUTABLE,
        Selector::Version(_) | Selector::Channel(_) => CHECKED,
    };
    let is_known = known.has(&etag);
    let mut response =
        HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((ETAG, etag))
        .insert_header((RELEASE_HEADER, digest.to_string()))
        .insert_header((CACHE_CONTROL, caching));
    if is_known {
        return Ok(response.finish());
    }
    let document = registry.releases.bytes(digest).await?;
    Ok(response.content_type("application/json").body(document))
}

/// Deletes a release that has no holders.
///
/// The version is never used again. A later collection removes the data that no other release
/// needs.
#[utoipa::path(delete, path = "/v1/applications/{application}/releases/{selector}",
    tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = Version, Path, description = "The version")),
    responses((status = 200, description = "The release was deleted", body = v1::DeletedRelease)))]
pub(crate) async fn delete(
    registry: web::Data<Registry>,
    path: web::Path<ReleasePath>,
    actor: Actor,
) -> Result<web::Json<v1::DeletedRelease>, ApiError> {
    let version: Version = path.selector.parse().map_err(|error| {
        // By version only: a channel may move between the decision and the request.
        ApiError::invalid(format!("name the release to delete by its version: {error}"))
    })?;
    let tombstone = registry.releases.delete(&path.application, &version, actor.name).await?;
    Ok(web::Json(deleted_body(tombstone)))
}

pub(crate) fn deleted_body(tombstone: Tombstone) -> v1::DeletedRelease {
    v1::DeletedRelease {
        version: tombstone.release.version,
        digest: tombstone.release.digest,
        deleted_at_secs: tombstone.deleted_at_secs,
        deleted_by: tombstone.deleted_by,
    }
}
