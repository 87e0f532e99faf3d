//! `/v1/applications/{application}/releases/{selector}/pins` and `…/holders`

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use seawall_api::v1;

use crate::app::Registry;
use crate::app::model::{Holder, Pin};
use crate::app::retention::pins::NewPin;
use crate::http::extract::{Body, PinPath, ReleasePath};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications/{application}/releases/{selector}/holders")
            .get(Access::Reader, holders),
        at("/v1/applications/{application}/releases/{selector}/pins").get(Access::Reader, list),
        at("/v1/applications/{application}/releases/{selector}/pins/{pin}")
            .put(Access::Publisher, pin)
            .delete(Access::Publisher, unpin),
    ]
}

fn body_of(pin: Pin) -> v1::Pin {
    v1::Pin {
        name: pin.name,
        reason: pin.reason,
        pinned_at_secs: pin.pinned_at_secs,
        pinned_by: pin.pinned_by,
    }
}

fn holder_of(holder: Holder) -> v1::Holder {
    match holder {
        Holder::Channel(channel) => v1::Holder::Channel { channel },
        Holder::History { channel, moves_ago } => v1::Holder::History { channel, moves_ago },
        Holder::Pin { name, reason } => v1::Holder::Pin { pin: name, reason },
        Holder::Host { host, renewed_at_secs } => v1::Holder::Host { host, renewed_at_secs },
    }
}

/// Lists the holders of a release: everything that prevents its deletion.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}/holders",
    operation_id = "list_holders", tag = "releases",
    params(ReleasePath),
    responses((status = 200, description = "The holders of the release", body = v1::Holders)))]
pub(crate) async fn holders(
    registry: web::Data<Registry>,
    path: web::Path<ReleasePath>,
) -> Result<web::Json<v1::Holders>, ApiError> {
    let (release, holders) =
        registry.releases.holders(&path.application, &path.selector()?).await?;
    let holders = holders.into_iter().map(holder_of).collect();
    Ok(web::Json(v1::Holders { version: release.version, digest: release.digest, holders }))
}

/// Lists the pins of a release, ordered by name.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}/pins",
    operation_id = "list_pins", tag = "releases",
    params(ReleasePath),
    responses((status = 200, description = "The pins", body = v1::PinPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    path: web::Path<ReleasePath>,
) -> Result<web::Json<v1::PinPage>, ApiError> {
    let pins = registry.retention.pins(&path.application, &path.selector()?).await?;
    Ok(web::Json(v1::PinPage { pins: pins.into_iter().map(body_of).collect() }))
}

/// Pins a release.
///
/// The release cannot be deleted until the pin is removed. An existing pin of the same name is
/// replaced.
#[utoipa::path(put, path = "/v1/applications/{application}/releases/{selector}/pins/{pin}",
    operation_id = "put_pin", tag = "releases",
    params(PinPath),
    request_body = v1::SetPin,
    responses((status = 200, description = "The pin of this name was replaced", body = v1::Pin),
              (status = 201, description = "The pin was added", body = v1::Pin)))]
pub(crate) async fn pin(
    registry: web::Data<Registry>,
    path: web::Path<PinPath>,
    actor: Actor,
    Body(body): Body<v1::SetPin>,
) -> Result<HttpResponse, ApiError> {
    let selector = path.selector()?;
    let PinPath { application, pin, .. } = path.into_inner();
    let new = NewPin { name: pin, reason: body.reason, token: actor.name };
    let (pin, is_new) = registry.retention.pin(&application, &selector, new).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(body_of(pin)))
}

/// Removes a pin.
#[utoipa::path(delete, path = "/v1/applications/{application}/releases/{selector}/pins/{pin}",
    operation_id = "delete_pin", tag = "releases",
    params(PinPath),
    responses((status = 204, description = "The pin was removed")))]
pub(crate) async fn unpin(
    registry: web::Data<Registry>,
    path: web::Path<PinPath>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    registry
        .retention
        .unpin(&path.application, &path.selector()?, (&path.pin, &actor.name))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
