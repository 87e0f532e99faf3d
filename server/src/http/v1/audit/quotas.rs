//! `/v1/applications/{application}/quota`

use actix_web::web;
use seawall_api::names::ApplicationName;
use seawall_api::v1;

use crate::app::Registry;
use crate::app::model::{Quota, QuotaState};
use crate::http::extract::Body;
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications/{application}/quota")
            .get(Access::Reader, read)
            .put(Access::Operator, set),
    ]
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
pub(crate) async fn read(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::Quota>, ApiError> {
    let state = registry.audit.quota(&application).await?;
    Ok(web::Json(body_of(application.into_inner(), state)))
}

/// Sets the quota of an application.
///
/// A lower quota does not affect existing releases.
#[utoipa::path(put, path = "/v1/applications/{application}/quota", tag = "applications",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    request_body = v1::SetQuota,
    responses((status = 200, description = "The quota and its usage", body = v1::Quota)))]
pub(crate) async fn set(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
    actor: Actor,
    Body(body): Body<v1::SetQuota>,
) -> Result<web::Json<v1::Quota>, ApiError> {
    let quota =
        Quota { data_bytes_max: body.data_bytes_max, release_count_max: body.release_count_max };
    let state = registry.audit.set_quota(&application, quota, actor.name).await?;
    Ok(web::Json(body_of(application.into_inner(), state)))
}
