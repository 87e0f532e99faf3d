//! `/v1/applications`

use actix_web::web;
use seawall_api::names::ApplicationName;
use seawall_api::v1::{self, PAGE_COUNT_MAX};
use serde::Deserialize;
use utoipa::IntoParams;

use super::openapi;
use super::problem::ApiError;
use crate::app::Registry;
use crate::app::model;

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/v1/applications").route(web::get().to(list)))
        .service(web::resource("/v1/applications/{application}").route(web::get().to(read)));
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The `next` of the previous page.
    after: Option<ApplicationName>,
    /// The maximum number of applications, 1 to 1000. The default is 1000.
    limit: Option<u32>,
}

/// Checks the length of a page.
pub(super) fn page_len(limit: Option<u32>) -> Result<u32, ApiError> {
    match limit.unwrap_or(PAGE_COUNT_MAX) {
        limit @ 1..=PAGE_COUNT_MAX => Ok(limit),
        other => {
            Err(ApiError::invalid(format!("limit must be 1 to {PAGE_COUNT_MAX}, not {other}")))
        }
    }
}

fn body_of(application: model::Application) -> v1::Application {
    v1::Application {
        name: application.name,
        created_at_secs: application.created_at_secs,
        release_count: application.release_count,
        newest: application.newest,
    }
}

/// Lists the applications, ordered by name.
#[utoipa::path(get, path = "/v1/applications", tag = "applications", params(Page),
    responses((status = 200, description = "A page of applications", body = v1::ApplicationPage)))]
pub(super) async fn list(
    registry: web::Data<Registry>,
    page: web::Query<Page>,
) -> Result<web::Json<v1::ApplicationPage>, ApiError> {
    let limit = page_len(page.limit)?;
    let page = registry.applications(page.into_inner().after, limit).await?;
    let applications = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::ApplicationPage { applications, next: page.next }))
}

/// Returns an application.
#[utoipa::path(get, path = "/v1/applications/{application}", tag = "applications",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The application", body = v1::Application)))]
pub(super) async fn read(
    registry: web::Data<Registry>,
    name: web::Path<ApplicationName>,
) -> Result<web::Json<v1::Application>, ApiError> {
    Ok(web::Json(body_of(registry.application(&name).await?)))
}
