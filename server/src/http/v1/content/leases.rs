//! `/v1/leases`

use actix_web::{HttpResponse, web};
use seawall_api::v1;

use crate::app::Registry;
use crate::app::model::Purpose;
use crate::http::extract::{Body, lease_id};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/leases").post(Access::Reader, open),
        at("/v1/leases/{lease}").put(Access::Reader, renew).delete(Access::Reader, end),
    ]
}

/// Opens a lease for a push or a pull.
///
/// The objects of the push or pull are not collected until the lease ends. Readers may open leases
/// to pull.
#[utoipa::path(post, path = "/v1/leases", tag = "leases", request_body = v1::OpenLease,
    responses((status = 201, description = "The lease", body = v1::Lease)))]
pub(crate) async fn open(
    registry: web::Data<Registry>,
    actor: Actor,
    Body(body): Body<v1::OpenLease>,
) -> Result<HttpResponse, ApiError> {
    actor.check(Some(&body.application))?;
    let purpose = match body.purpose {
        v1::LeasePurpose::Push => Purpose::Push,
        v1::LeasePurpose::Pull => Purpose::Pull,
    };
    if purpose == Purpose::Push {
        actor.publishes()?;
        registry.reserve(0)?;
        registry.audit.admit_push(&body.application, body.version).await?;
    }
    let lease = registry.content.open_lease_as(body.application, purpose, actor.name).await?;
    let body = v1::Lease { id: lease.to_string(), ttl_secs: registry.content.lease_ttl_secs() };
    Ok(HttpResponse::Created().json(body))
}

/// Renews a lease for its full time.
///
/// Every request under the lease renews it as well.
#[utoipa::path(put, path = "/v1/leases/{lease}", tag = "leases",
    params(("lease" = String, Path, description = "The lease's id")),
    responses((status = 200, description = "The lease", body = v1::Lease)))]
pub(crate) async fn renew(
    registry: web::Data<Registry>,
    lease: web::Path<String>,
) -> Result<web::Json<v1::Lease>, ApiError> {
    registry.content.renew_lease(lease_id(&lease)?).await?;
    Ok(web::Json(v1::Lease { id: lease.into_inner(), ttl_secs: registry.content.lease_ttl_secs() }))
}

/// Ends a lease.
///
/// Ending a lease twice is harmless.
#[utoipa::path(delete, path = "/v1/leases/{lease}", tag = "leases",
    params(("lease" = String, Path, description = "The lease's id")),
    responses((status = 204, description = "The lease has ended")))]
pub(crate) async fn end(
    registry: web::Data<Registry>,
    lease: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    registry.content.end_lease(lease_id(&lease)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
