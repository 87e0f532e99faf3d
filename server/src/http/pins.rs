//! `/v1/applications/{application}/releases/{selector}/pins` and `…/holders`

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::names::{ApplicationName, PinName};
use seawall_api::reference::Selector;
use seawall_api::v1;

use super::auth::Actor;
use super::body::json;
use super::openapi;
use super::problem::ApiError;
use crate::app::Registry;
use crate::app::model::{Holder, Pin};
use crate::app::pins::NewPin;

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/applications/{application}/releases/{selector}/holders")
            .route(web::get().to(holders)),
    )
    .service(
        web::resource("/v1/applications/{application}/releases/{selector}/pins")
            .route(web::get().to(list)),
    )
    .service(
        web::resource("/v1/applications/{application}/releases/{selector}/pins/{pin}")
            .route(web::put().to(pin))
            .route(web::delete().to(unpin)),
    );
}

fn selector_of(text: &str) -> Result<Selector, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the selector: {error}")))
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
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = String, Path, description = openapi::SELECTOR)),
    responses((status = 200, description = "The holders of the release", body = v1::Holders)))]
pub(super) async fn holders(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, String)>,
) -> Result<web::Json<v1::Holders>, ApiError> {
    let (application, selector) = path.into_inner();
    let (release, holders) = registry.holders(&application, &selector_of(&selector)?).await?;
    let holders = holders.into_iter().map(holder_of).collect();
    Ok(web::Json(v1::Holders { version: release.version, digest: release.digest, holders }))
}

/// Lists the pins of a release, ordered by name.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}/pins",
    operation_id = "list_pins", tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = String, Path, description = openapi::SELECTOR)),
    responses((status = 200, description = "The pins", body = v1::PinPage)))]
pub(super) async fn list(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, String)>,
) -> Result<web::Json<v1::PinPage>, ApiError> {
    let (application, selector) = path.into_inner();
    let pins = registry.pins(&application, &selector_of(&selector)?).await?;
    Ok(web::Json(v1::PinPage { pins: pins.into_iter().map(body_of).collect() }))
}

/// Pins a release.
///
/// The release cannot be deleted until the pin is removed. An existing pin of the same name is
/// replaced.
#[utoipa::path(put, path = "/v1/applications/{application}/releases/{selector}/pins/{pin}",
    operation_id = "put_pin", tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = String, Path, description = openapi::SELECTOR),
           ("pin" = PinName, Path, description = "The pin's name")),
    request_body = v1::SetPin,
    responses((status = 200, description = "The pin of this name was replaced", body = v1::Pin),
              (status = 201, description = "The pin was added", body = v1::Pin)))]
pub(super) async fn pin(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, String, PinName)>,
    actor: Actor,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let (application, selector, name) = path.into_inner();
    let body: v1::SetPin = json(&request, payload).await?;
    let new = NewPin { name, reason: body.reason, token: actor.0 };
    let (pin, is_new) = registry.pin(&application, &selector_of(&selector)?, new).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(body_of(pin)))
}

/// Removes a pin.
#[utoipa::path(delete, path = "/v1/applications/{application}/releases/{selector}/pins/{pin}",
    operation_id = "delete_pin", tag = "releases",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = String, Path, description = openapi::SELECTOR),
           ("pin" = PinName, Path, description = "The pin's name")),
    responses((status = 204, description = "The pin was removed")))]
pub(super) async fn unpin(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, String, PinName)>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    let (application, selector, name) = path.into_inner();
    registry.unpin(&application, &selector_of(&selector)?, (&name, &actor.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
