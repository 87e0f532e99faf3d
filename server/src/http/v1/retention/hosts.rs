//! `/v1/hosts`

use actix_web::{HttpResponse, web};
use seawall_api::names::{ApplicationName, HostName};
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::model::HostPart;
use crate::app::retention::hosts::{HostRuns, HostSeen};
use crate::http::extract::{Body, page_len};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

/// Readers report what they run. Only a publisher removes reports, as these may be another's holds.
pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/hosts").get(Access::Reader, list),
        at("/v1/hosts/{host}").put(Access::Reader, report).delete(Access::Publisher, forget),
    ]
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only hosts that run this application.
    application: Option<ApplicationName>,
    /// The `next` of the previous page.
    after: Option<HostName>,
    /// The maximum number of hosts, 1 to 1000. An answer may hold fewer.
    limit: Option<u32>,
}

/// The part of a host's report to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Only the releases of this application.
    application: Option<ApplicationName>,
    /// Only this instance.
    instance: Option<String>,
}

fn body_of(HostSeen { row, is_expired }: HostSeen) -> v1::HostRun {
    v1::HostRun {
        host: row.host,
        application: row.application,
        instance: row.instance,
        release: row.release,
        version: row.version,
        published_at_secs: row.published_at_secs,
        channel: row.channel,
        channel_version: row.channel_version,
        moves_behind: row.moves_behind,
        disks: row.disks,
        since_secs: row.since_secs,
        renewed_at_secs: row.renewed_at_secs,
        deadline_secs: row.deadline_secs,
        is_expired,
    }
}

/// Lists the hosts and the releases they run, ordered by host.
#[utoipa::path(get, path = "/v1/hosts", operation_id = "list_hosts", tag = "hosts", params(Page),
    responses((status = 200, description = "A page of hosts", body = v1::HostPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    actor: Actor,
    page: web::Query<Page>,
) -> Result<web::Json<v1::HostPage>, ApiError> {
    let Page { application, after, limit } = page.into_inner();
    actor.check(application.as_ref())?;
    let page = registry.retention.hosts(application, after, page_len(limit)?).await?;
    let hosts = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::HostPage { hosts, next: page.next }))
}

/// Records the release that a host runs.
///
/// The release cannot be deleted until the report expires. Readers may send reports as well.
#[utoipa::path(put, path = "/v1/hosts/{host}", operation_id = "report_host", tag = "hosts",
    params(("host" = HostName, Path, description = "The host's name")),
    request_body = v1::RenewHost,
    responses((status = 200, description = "The report was recorded", body = v1::HostRun)))]
pub(crate) async fn report(
    registry: web::Data<Registry>,
    host: web::Path<HostName>,
    actor: Actor,
    Body(body): Body<v1::RenewHost>,
) -> Result<web::Json<v1::HostRun>, ApiError> {
    actor.check(Some(&body.application))?;
    let runs = HostRuns {
        application: body.application,
        instance: body.instance,
        release: body.release,
        channel: body.channel,
        disks: body.disks,
        ttl_secs: body.ttl_secs,
        speaks_for_all: actor.publishes().is_ok(),
        reported_by: actor.name,
    };
    Ok(web::Json(body_of(registry.retention.report_host(host.into_inner(), runs).await?)))
}

/// Removes a host's reports.
///
/// The host no longer holds its releases.
#[utoipa::path(delete, path = "/v1/hosts/{host}", operation_id = "forget_host", tag = "hosts",
    params(("host" = HostName, Path, description = "The host's name"), Part),
    responses((status = 204, description = "The reports were removed")))]
pub(crate) async fn forget(
    registry: web::Data<Registry>,
    host: web::Path<HostName>,
    actor: Actor,
    part: web::Query<Part>,
) -> Result<HttpResponse, ApiError> {
    let Part { application, instance } = part.into_inner();
    actor.check(application.as_ref())?;
    registry.retention.forget_host(&host, HostPart { application, instance }).await?;
    Ok(HttpResponse::NoContent().finish())
}
