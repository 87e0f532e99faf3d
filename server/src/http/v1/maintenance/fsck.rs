//! `/v1/fsck`

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use seawall_api::v1;

use crate::app::Registry;
use crate::app::jobs::JobState;
use crate::app::maintenance::fsck::{FsckOrder, FsckStatus, RATE_DEFAULT};
use crate::app::model::{Class, Finding};
use crate::http::extract::Body;
use crate::http::frame::{Access, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/fsck")
            .get(Access::Auditor, read)
            .post(Access::Operator, begin)
            .delete(Access::Operator, stop),
    ]
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
    let FsckStatus { state, run, started_at_secs, completed_at_secs, failure, .. } = status;
    let FsckStatus { progress, phase, found, last_complete_at_secs, .. } = status;
    let findings: Vec<_> = found.list.into_iter().map(finding_of).collect();
    let damage_count: u64 = found.damage.iter().map(|(_, count)| count).sum();
    let is_damage = |f: &&v1::Finding| f.class != v1::FindingClass::Reclaimable;
    let told = findings.iter().filter(is_damage).count() as u64;
    v1::Fsck {
        state: match state {
            None => v1::FsckState::Never,
            Some(JobState::Running) => v1::FsckState::Running,
            Some(JobState::Interrupted) => v1::FsckState::Interrupted,
            Some(JobState::Stopped) => v1::FsckState::Stopped,
            Some(JobState::Failed) => v1::FsckState::Failed,
            Some(JobState::Complete) => v1::FsckState::Complete,
        },
        run,
        phase: phase.to_owned(),
        started_at_secs,
        completed_at_secs,
        objects: progress.objects,
        bytes: progress.bytes,
        total_bytes: progress.total_bytes,
        damage_count,
        reclaimable_count: progress.reclaimable_count,
        reclaimable_bytes: progress.reclaimable_bytes,
        findings,
        findings_left_out: damage_count.saturating_sub(told),
        failure,
        last_complete_at_secs,
    }
}

/// Returns the progress and the findings of the newest check.
#[utoipa::path(get, path = "/v1/fsck", tag = "fsck", operation_id = "read_fsck",
    responses((status = 200, description = "The progress and findings of the check",
               body = v1::Fsck)))]
pub(crate) async fn read(registry: web::Data<Registry>) -> Result<web::Json<v1::Fsck>, ApiError> {
    Ok(web::Json(body_of(registry.checker.fsck_status(v1::FINDINGS_MAX).await?)))
}

/// Starts a check of every object, reference and row.
///
/// If the last check did not complete, the check resumes.
#[utoipa::path(post, path = "/v1/fsck", tag = "fsck", operation_id = "start_fsck",
    request_body = v1::StartFsck,
    responses((status = 202, description = "The check is running", body = v1::Fsck)))]
pub(crate) async fn begin(
    registry: web::Data<Registry>,
    Body(body): Body<v1::StartFsck>,
) -> Result<HttpResponse, ApiError> {
    let rate = body.rate_bytes_per_sec.unwrap_or(RATE_DEFAULT);
    let registry = registry.into_inner();
    registry.checker.start_fsck(FsckOrder { rate, restart: body.restart }).await?;
    let status = registry.checker.fsck_status(v1::FINDINGS_MAX).await?;
    Ok(HttpResponse::build(StatusCode::ACCEPTED).json(body_of(status)))
}

/// Stops the running check.
///
/// The next check resumes from there.
#[utoipa::path(delete, path = "/v1/fsck", tag = "fsck", operation_id = "stop_fsck",
    responses((status = 204, description = "The check is stopping")))]
pub(crate) async fn stop(registry: web::Data<Registry>) -> Result<HttpResponse, ApiError> {
    registry.checker.stop_fsck().await?;
    Ok(HttpResponse::NoContent().finish())
}
