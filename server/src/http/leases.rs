//! `/v1/leases`

use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Actor;
use super::body::json;
use super::problem::ApiError;
use crate::app::Registry;
use crate::app::model::{LeaseId, Purpose};

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/v1/leases").route(web::post().to(open))).service(
        web::resource("/v1/leases/{lease}")
            .route(web::put().to(renew))
            .route(web::delete().to(end)),
    );
}

/// The lease of a request.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UnderLease {
    /// The lease's id.
    lease: String,
}

impl UnderLease {
    pub(super) fn id(&self) -> Result<LeaseId, ApiError> {
        lease_id(&self.lease)
    }
}

pub(super) fn lease_id(text: &str) -> Result<LeaseId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the lease: {error}")))
}

/// Opens a lease for a push or a pull.
///
/// The objects of the push or pull are not collected until the lease ends. Readers may open leases
/// to pull.
#[utoipa::path(post, path = "/v1/leases", tag = "leases", request_body = v1::OpenLease,
    responses((status = 201, description = "The lease", body = v1::Lease)))]
pub(super) async fn open(
    registry: web::Data<Registry>,
    actor: Actor,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let body: v1::OpenLease = json(&request, payload).await?;
    let purpose = match body.purpose {
        v1::LeasePurpose::Push => Purpose::Push,
        v1::LeasePurpose::Pull => Purpose::Pull,
    };
    if purpose == Purpose::Push {
        actor.publishes()?;
        registry.admit_push(&body.application, body.version).await?;
    }
    let lease = registry.open_lease_as(body.application, purpose, actor.0).await?;
    let body = v1::Lease { id: lease.to_string(), ttl_secs: registry.lease_ttl_secs() };
    Ok(HttpResponse::Created().json(body))
}

/// Renews a lease for its full time.
///
/// Every request under the lease renews it as well.
#[utoipa::path(put, path = "/v1/leases/{lease}", tag = "leases",
    params(("lease" = String, Path, description = "The lease's id")),
    responses((status = 200, description = "The lease", body = v1::Lease)))]
pub(super) async fn renew(
    registry: web::Data<Registry>,
    lease: web::Path<String>,
) -> Result<web::Json<v1::Lease>, ApiError> {
    registry.renew_lease(lease_id(&lease)?).await?;
    Ok(web::Json(v1::Lease { id: lease.into_inner(), ttl_secs: registry.lease_ttl_secs() }))
}

/// Ends a lease.
///
/// Ending a lease twice is harmless.
#[utoipa::path(delete, path = "/v1/leases/{lease}", tag = "leases",
    params(("lease" = String, Path, description = "The lease's id")),
    responses((status = 204, description = "The lease has ended")))]
pub(super) async fn end(
    registry: web::Data<Registry>,
    lease: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    registry.end_lease(lease_id(&lease)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
