//! `/v1/applications/{application}/quota`

use actix_web::{HttpRequest, web};
use seawall_api::names::ApplicationName;
use seawall_api::v1;

use super::auth::Actor;
use super::body::json;
use super::openapi;
use super::problem::ApiError;
use crate::app::Registry;
use crate::app::model::{Quota, QuotaState};

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/applications/{application}/quota")
            .route(web::get().to(read))
            .route(web::put().to(set)),
    );
}

fn body_of(application: ApplicationName, state: QuotaState) -> v1::Quota {
    v1::Quota {
        application,
        data_bytes_max: state.quota.data_bytes_max,
        data_bytes: state.usage.data_bytes,
        release_count_max: state.quota.release_count_max,
        release_count: state.usage.release_count,
    }
}

/// Returns the quota and the usage of an application.
///
/// The application need not exist yet.
#[utoipa::path(get, path = "/v1/applications/{application}/quota", tag = "applications",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The quota and its usage", body = v1::Quota)))]
pub(super) async fn read(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::Quota>, ApiError> {
    let state = registry.quota(&application).await?;
    Ok(web::Json(body_of(application.into_inner(), state)))
}

/// Sets the quota of an application.
///
/// A lower quota does not affect existing releases.
#[utoipa::path(put, path = "/v1/applications/{application}/quota", tag = "applications",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    request_body = v1::SetQuota,
    responses((status = 200, description = "The quota and its usage", body = v1::Quota)))]
pub(super) async fn set(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
    actor: Actor,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<web::Json<v1::Quota>, ApiError> {
    let body: v1::SetQuota = json(&request, payload).await?;
    let quota =
        Quota { data_bytes_max: body.data_bytes_max, release_count_max: body.release_count_max };
    let state = registry.set_quota(&application, quota, actor.0).await?;
    Ok(web::Json(body_of(application.into_inner(), state)))
}
