//! `/v1/fsck` and the queries for damage.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::v1;

use super::body::{json, receive};
use super::indexes::status_of;
use super::leases::UnderLease;
use super::problem::ApiError;
use super::{limits, openapi};
use crate::app::Registry;
use crate::app::damage::{DamagedRelease, Lack};
use crate::app::fsck::{FsckOrder, FsckState, FsckStatus, RATE_DEFAULT};
use crate::app::model::{Class, Finding};

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/fsck")
            .route(web::get().to(read))
            .route(web::post().to(begin))
            .route(web::delete().to(stop)),
    )
    .service(web::resource("/v1/damage").route(web::get().to(damage)))
    .service(
        web::resource("/v1/applications/{application}/releases/{selector}/damage")
            .route(web::get().to(damage_of)),
    )
    .service(web::resource("/v1/releases/{release}").route(web::put().to(put_document)));
}

fn finding_of(finding: Finding) -> v1::Finding {
    let Finding { kind, object, what, class } = finding;
    let class = match class {
        Class::Damage => v1::FindingClass::Damage,
        Class::Mended => v1::FindingClass::Mended,
        Class::Reclaimable => v1::FindingClass::Reclaimable,
    };
    v1::Finding { kind, object, what, class }
}

fn body_of(status: FsckStatus) -> v1::Fsck {
    let FsckStatus { state, run, phase, found, last_complete_at_secs } = status;
    let findings: Vec<_> = found.list.into_iter().map(finding_of).collect();
    let damage_count: u64 = found.damage.iter().map(|(_, count)| count).sum();
    let is_damage = |f: &&v1::Finding| f.class != v1::FindingClass::Reclaimable;
    let told = findings.iter().filter(is_damage).count() as u64;
    v1::Fsck {
        state: match state {
            FsckState::Never => v1::FsckState::Never,
            FsckState::Running => v1::FsckState::Running,
            FsckState::Interrupted => v1::FsckState::Interrupted,
            FsckState::Stopped => v1::FsckState::Stopped,
            FsckState::Failed => v1::FsckState::Failed,
            FsckState::Complete => v1::FsckState::Complete,
        },
        run: run.run,
        phase: phase.to_owned(),
        started_at_secs: run.started_at_secs,
        completed_at_secs: run.completed_at_secs,
        objects: run.objects,
        bytes: run.bytes,
        total_bytes: run.total_bytes,
        damage_count,
        reclaimable_count: run.reclaimable_count,
        reclaimable_bytes: run.reclaimable_bytes,
        findings,
        findings_left_out: damage_count.saturating_sub(told),
        failure: run.failure,
        last_complete_at_secs,
    }
}

/// Returns the progress and the findings of the newest check.
#[utoipa::path(get, path = "/v1/fsck", tag = "fsck", operation_id = "read_fsck",
    responses((status = 200, description = "The progress and findings of the check",
               body = v1::Fsck)))]
pub(super) async fn read(registry: web::Data<Registry>) -> Result<web::Json<v1::Fsck>, ApiError> {
    Ok(web::Json(body_of(registry.fsck_status(v1::FINDINGS_MAX).await?)))
}

/// Starts a check of every object, reference and row.
///
/// If the last check did not complete, the check resumes.
#[utoipa::path(post, path = "/v1/fsck", tag = "fsck", operation_id = "start_fsck",
    request_body = v1::StartFsck,
    responses((status = 202, description = "The check is running", body = v1::Fsck)))]
pub(super) async fn begin(
    registry: web::Data<Registry>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let body: v1::StartFsck = json(&request, payload).await?;
    let rate = body.rate_bytes_per_sec.unwrap_or(RATE_DEFAULT);
    let registry = registry.into_inner();
    registry.start_fsck(FsckOrder { rate, restart: body.restart }).await?;
    let status = registry.fsck_status(v1::FINDINGS_MAX).await?;
    Ok(HttpResponse::build(StatusCode::ACCEPTED).json(body_of(status)))
}

/// Stops the running check.
///
/// The next check resumes from there.
#[utoipa::path(delete, path = "/v1/fsck", tag = "fsck", operation_id = "stop_fsck",
    responses((status = 204, description = "The check is stopping")))]
pub(super) async fn stop(registry: web::Data<Registry>) -> Result<HttpResponse, ApiError> {
    registry.stop_fsck().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn damaged((release, lacks): DamagedRelease) -> v1::DamagedRelease {
    let lost = lacks.into_iter().map(|Lack { lost, disks }| v1::LostObject {
        object: lost.object,
        what: lost.what,
        disks,
    });
    v1::DamagedRelease {
        application: release.application,
        version: release.version,
        digest: release.digest,
        lost: lost.collect(),
    }
}

/// Lists the releases known to be damaged, with the missing or damaged objects.
#[utoipa::path(get, path = "/v1/damage", tag = "fsck", operation_id = "read_damage",
    responses((status = 200, description = "The damaged releases", body = v1::Damage)))]
pub(super) async fn damage(
    registry: web::Data<Registry>,
) -> Result<web::Json<v1::Damage>, ApiError> {
    let (releases, is_cut) = registry.damage(v1::DAMAGED_RELEASES_MAX).await?;
    Ok(web::Json(v1::Damage { releases: releases.into_iter().map(damaged).collect(), is_cut }))
}

/// Lists the missing or damaged objects of a release.
///
/// The list is empty for a sound release.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}/damage",
    tag = "fsck", operation_id = "read_damage_of",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("selector" = String, Path, description = openapi::SELECTOR)),
    responses((status = 200, description = "The missing or damaged objects",
               body = v1::DamagedRelease)))]
pub(super) async fn damage_of(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, String)>,
) -> Result<web::Json<v1::DamagedRelease>, ApiError> {
    let (application, selector) = path.into_inner();
    let selector: Selector =
        selector.parse().map_err(|error| ApiError::invalid(format!("the selector: {error}")))?;
    Ok(web::Json(damaged(registry.damage_of(&application, &selector).await?)))
}

/// Restores the lost document of a published release.
#[utoipa::path(put, path = "/v1/releases/{release}", tag = "fsck", operation_id = "put_document",
    params(("release" = ReleaseDigest, Path, description = "The release's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(super) async fn put_document(
    registry: web::Data<Registry>,
    release: web::Path<ReleaseDigest>,
    lease: web::Query<UnderLease>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let lease = lease.id()?;
    let body = receive(&request, payload, limits::DOCUMENT_LEN_MAX).await?;
    Ok(status_of(registry.put_document(lease, *release, body).await?))
}
