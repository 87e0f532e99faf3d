//! `/v1/applications`

use actix_web::web;
use seawall_api::names::ApplicationName;
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{Registry, model};
use crate::http::extract::page_len;
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications").get(Access::Reader, list),
        at("/v1/applications/{application}").get(Access::Reader, read),
    ]
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next` of the previous page.
    after: Option<ApplicationName>,
    /// The maximum number of applications, 1 to 1000. The default is 1000.
    limit: Option<u32>,
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
pub(crate) async fn list(
    registry: web::Data<Registry>,
    actor: Actor,
    page: web::Query<Page>,
) -> Result<web::Json<v1::ApplicationPage>, ApiError> {
    let limit = page_len(page.limit)?;
    let after = page.into_inner().after;
    let page = registry.releases.applications(after, limit, |name| actor.covers(name)).await?;
    let applications = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::ApplicationPage { applications, next: page.next }))
}

/// Returns an application.
#[utoipa::path(get, path = "/v1/applications/{application}", tag = "applications",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The application", body = v1::Application)))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    name: web::Path<ApplicationName>,
) -> Result<web::Json<v1::Application>, ApiError> {
    Ok(web::Json(body_of(registry.names.application(&name).await?)))
}
