//! `/v1/jobs`

use actix_web::{HttpResponse, web};
use seawall_api::v1::{self, PAGE_COUNT_MAX};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::jobs::{JobState, JobStatus};
use crate::http::frame::{Access, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/jobs").get(Access::Auditor, list),
        at("/v1/jobs/{kind}").delete(Access::Operator, stop),
    ]
}

pub(super) fn state_of(state: JobState) -> v1::JobState {
    match state {
        JobState::Running => v1::JobState::Running,
        JobState::Interrupted => v1::JobState::Interrupted,
        JobState::Stopped => v1::JobState::Stopped,
        JobState::Failed => v1::JobState::Failed,
        JobState::Complete => v1::JobState::Complete,
    }
}

fn body_of(status: JobStatus) -> v1::Job {
    let JobStatus { job, state, progress, last_complete_at_secs } = status;
    v1::Job {
        kind: job.id.kind.name().to_owned(),
        subject: job.subject,
        state: state_of(state),
        started_at_secs: job.started_at_secs,
        seen_at_secs: job.end.is_none().then_some(job.beat_at_secs),
        ended_at_secs: job.end.as_ref().map(|end| end.at_secs),
        objects: progress.objects,
        bytes: progress.bytes,
        total_bytes: progress.total_bytes,
        failure: job.end.and_then(|end| end.failure),
        last_complete_at_secs,
    }
}

/// Lists the newest job of each kind and subject.
///
/// The answer is the same from every process that serves the registry.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    responses((status = 200, description = "The jobs, by kind and subject", body = v1::Jobs)))]
pub(crate) async fn list(registry: web::Data<Registry>) -> Result<web::Json<v1::Jobs>, ApiError> {
    let jobs = registry.jobs.list(PAGE_COUNT_MAX).await?.into_iter().map(body_of).collect();
    Ok(web::Json(v1::Jobs { jobs }))
}

/// The subject of the job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Subject {
    /// The application of a job of the kind `retention`.
    #[serde(default)]
    subject: String,
}

/// Stops the running job of a kind at its next step.
///
/// Without a running job, nothing happens. Deliveries cannot be stopped: they end with their
/// webhook.
#[utoipa::path(delete, path = "/v1/jobs/{kind}", tag = "jobs", operation_id = "stop_job",
    params(("kind" = String, Path, description = "The kind of the job"), Subject),
    responses((status = 204, description = "The job is stopping")))]
pub(crate) async fn stop(
    registry: web::Data<Registry>,
    kind: web::Path<String>,
    query: web::Query<Subject>,
) -> Result<HttpResponse, ApiError> {
    registry.jobs.stop(&kind, &query.subject).await?;
    Ok(HttpResponse::NoContent().finish())
}
