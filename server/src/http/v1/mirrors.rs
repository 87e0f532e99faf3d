//! `/v1/mirrors`

use actix_web::{HttpResponse, web};
use seawall_api::names::MirrorName;
use seawall_api::v1;

use crate::app::Registry;
use crate::app::mirrors::{Amount, MirrorStatus, NewMirror};
use crate::http::extract::Body;
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

/// A mirror reads or writes every application that it names, so changes require an operator's
/// token. Reads reveal the addresses of other registries.
pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/mirrors").get(Access::Auditor, list).post(Access::Operator, add),
        at("/v1/mirrors/{mirror}").get(Access::Auditor, read).delete(Access::Operator, remove),
        at("/v1/mirrors/{mirror}/runs").post(Access::Operator, run),
    ]
}

fn totals_of(amount: Amount) -> v1::MirrorTotals {
    v1::MirrorTotals { releases: amount.releases, bytes: amount.bytes }
}

fn body_of(status: MirrorStatus) -> v1::Mirror {
    let mirror = status.mirror;
    v1::Mirror {
        name: mirror.name,
        direction: mirror.direction,
        url: mirror.url,
        applications: mirror.applications,
        channels: mirror.channels,
        every_secs: mirror.every_secs,
        bytes_per_sec_max: mirror.bytes_per_sec_max,
        deletes: mirror.deletes,
        overrides_channels: mirror.overrides_channels,
        has_token: mirror.token.is_some(),
        created_at_secs: mirror.created_at_secs,
        created_by: mirror.created_by,
        status: v1::MirrorStatus {
            running: status.is_running,
            last_started_at_secs: status.started_at_secs,
            last_succeeded_at_secs: status.succeeded_at_secs,
            last_error: status.error,
            copied: totals_of(status.copied),
            copied_in_all: totals_of(status.copied_in_all),
            deleted_in_all: status.deleted_in_all,
            behind: v1::MirrorLag {
                releases: status.behind.releases,
                bytes: status.behind.bytes,
                secs: status.behind_secs,
            },
            left_alone: status.left_alone,
            served: status.served,
        },
    }
}

fn mirror_name(text: &str) -> Result<MirrorName, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the mirror: {error}")))
}

/// Lists the mirrors by name, with their status.
#[utoipa::path(get, path = "/v1/mirrors", tag = "mirrors", operation_id = "list_mirrors",
    responses((status = 200, description = "The mirrors", body = v1::MirrorPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
) -> Result<web::Json<v1::MirrorPage>, ApiError> {
    let mirrors = registry.mirrors.list().await?.into_iter().map(body_of).collect();
    Ok(web::Json(v1::MirrorPage { mirrors }))
}

/// Adds a mirror, whose first run begins at once.
///
/// The token for the other registry is kept as it is, and never returned.
#[utoipa::path(post, path = "/v1/mirrors", tag = "mirrors", operation_id = "add_mirror",
    request_body = v1::NewMirror,
    responses((status = 201, description = "The mirror", body = v1::Mirror)))]
pub(crate) async fn add(
    registry: web::Data<Registry>,
    actor: Actor,
    Body(body): Body<v1::NewMirror>,
) -> Result<HttpResponse, ApiError> {
    let new = NewMirror {
        name: body.name,
        direction: body.direction,
        url: body.url,
        token: body.token,
        applications: body.applications,
        channels: body.channels,
        every_secs: body.every_secs,
        bytes_per_sec_max: body.bytes_per_sec_max,
        deletes: body.deletes,
        overrides_channels: body.overrides_channels,
        created_by: actor.name,
    };
    Ok(HttpResponse::Created().json(body_of(registry.mirrors.add(new).await?)))
}

/// Reads a mirror with its status.
#[utoipa::path(get, path = "/v1/mirrors/{mirror}", tag = "mirrors", operation_id = "read_mirror",
    params(("mirror" = String, Path, description = "The mirror's name")),
    responses((status = 200, description = "The mirror", body = v1::Mirror)))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    mirror: web::Path<String>,
) -> Result<web::Json<v1::Mirror>, ApiError> {
    let status = registry.mirrors.find(&mirror_name(&mirror)?).await?;
    Ok(web::Json(body_of(status)))
}

/// Removes a mirror. What it copied stays.
#[utoipa::path(delete, path = "/v1/mirrors/{mirror}", tag = "mirrors",
    operation_id = "remove_mirror",
    params(("mirror" = String, Path, description = "The mirror's name")),
    responses((status = 204, description = "The mirror was removed")))]
pub(crate) async fn remove(
    registry: web::Data<Registry>,
    mirror: web::Path<String>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    registry.mirrors.remove(mirror_name(&mirror)?, actor.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Requests a run of a mirror now.
///
/// A process that serves the registry begins the run within seconds.
#[utoipa::path(post, path = "/v1/mirrors/{mirror}/runs", tag = "mirrors",
    operation_id = "run_mirror",
    params(("mirror" = String, Path, description = "The mirror's name")),
    responses((status = 202, description = "The number of the request",
               body = v1::MirrorRequest)))]
pub(crate) async fn run(
    registry: web::Data<Registry>,
    mirror: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let request = registry.mirrors.request(mirror_name(&mirror)?).await?;
    Ok(HttpResponse::Accepted().json(v1::MirrorRequest { request }))
}
