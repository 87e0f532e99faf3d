//! `/v1/audit`

use actix_web::web;
use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::audit::webhooks::body_of;
use crate::app::model::AuditQuery;
use crate::http::extract::page_len;
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![at("/v1/audit").get(Access::Reader, list)]
}

/// The entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only entries about this application.
    application: Option<ApplicationName>,
    /// Only entries with this action.
    action: Option<Action>,
    /// Only entries by the token of this name.
    actor: Option<String>,
    /// Only entries at or after this time, in seconds since 1970-01-01 UTC.
    since: Option<u64>,
    /// The `next` of the previous page.
    after: Option<u64>,
    /// The maximum number of entries, 1 to 1000. The default is 1000.
    limit: Option<u32>,
}

/// Lists the entries of the audit log, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Wanted),
    responses((status = 200, description = "A page of the audit log", body = v1::AuditPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    actor: Actor,
    wanted: web::Query<Wanted>,
) -> Result<web::Json<v1::AuditPage>, ApiError> {
    let wanted = wanted.into_inner();
    actor.check(wanted.application.as_ref())?;
    let query = AuditQuery {
        limit: page_len(wanted.limit)?,
        application: wanted.application,
        action: wanted.action,
        actor: wanted.actor,
        since_secs: wanted.since.map(|secs| secs.min(SINCE_MAX)),
        after: wanted.after.map(|sequence| sequence.min(SINCE_MAX)),
    };
    let page = registry.audit.entries(query).await?;
    let entries = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::AuditPage { entries, next: page.next }))
}

/// The latest time and the highest sequence number that the catalog can hold.
const SINCE_MAX: u64 = i64::MAX as u64;
