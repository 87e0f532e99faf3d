//! `/v1/collection` and `/v1/usage`

use actix_web::{HttpResponse, web};
use seawall_api::problem::Problem;
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::maintenance::collect::{
    CollectFailure, CollectOptions, CollectStatus, CollectTotals, Phase,
};
use crate::http::extract::Body;
use crate::http::frame::{Access, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/collection")
            .get(Access::Auditor, status)
            .post(Access::Operator, start)
            .delete(Access::Operator, stop),
        at("/v1/collection/plan").get(Access::Auditor, plan),
        at("/v1/usage").get(Access::Auditor, usage),
    ]
}

fn percent(percent: Option<u8>) -> Result<u8, ApiError> {
    match percent {
        None => Ok(CollectOptions::default().live_percent_min),
        Some(percent) if percent <= 100 => Ok(percent),
        Some(percent) => Err(ApiError::invalid(format!("{percent} is not a percentage"))),
    }
}

/// Returns the progress of the running collection and the outcome of the last one.
#[utoipa::path(get, path = "/v1/collection", tag = "collection",
    responses((status = 200, description = "The progress of the collection",
               body = v1::Collection)))]
pub(crate) async fn status(
    registry: web::Data<Registry>,
) -> Result<web::Json<v1::Collection>, ApiError> {
    Ok(web::Json(body_of(registry.collector.collect_status().await?)))
}

/// Starts a collection, which continues without the client.
///
/// If a collection is already running, another one follows.
#[utoipa::path(post, path = "/v1/collection", tag = "collection",
    request_body = v1::StartCollection,
    responses((status = 202, description = "The collection is running", body = v1::Collection)))]
pub(crate) async fn start(
    registry: web::Data<Registry>,
    Body(body): Body<v1::StartCollection>,
) -> Result<HttpResponse, ApiError> {
    let options = CollectOptions {
        live_percent_min: percent(body.live_percent_min)?,
        rate_max: body.rate_max,
        is_forced: body.force,
    };
    registry.collector.start_collecting(options).await?;
    Ok(HttpResponse::Accepted().json(body_of(registry.collector.collect_status().await?)))
}

/// Stops the running collection at its next step.
///
/// The next collection resumes from there.
#[utoipa::path(delete, path = "/v1/collection", tag = "collection",
    responses((status = 202, description = "The collection is stopping", body = v1::Collection)))]
pub(crate) async fn stop(registry: web::Data<Registry>) -> Result<HttpResponse, ApiError> {
    registry.collector.stop_collecting().await?;
    Ok(HttpResponse::Accepted().json(body_of(registry.collector.collect_status().await?)))
}

/// The options of a plan.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanQuery {
    /// The rewrite threshold of a collection, in percent.
    live_percent_min: Option<u8>,
}

/// Returns what a collection would remove now.
///
/// Nothing is changed.
#[utoipa::path(get, path = "/v1/collection/plan", tag = "collection", params(PlanQuery),
    responses((status = 200, description = "The objects that a collection would remove",
               body = v1::CollectionPlan)))]
pub(crate) async fn plan(
    registry: web::Data<Registry>,
    query: web::Query<PlanQuery>,
) -> Result<web::Json<v1::CollectionPlan>, ApiError> {
    let live_percent_min = percent(query.live_percent_min)?;
    let options = CollectOptions { live_percent_min, ..CollectOptions::default() };
    let plan = registry.collector.plan_collection(&<_>::default(), options).await?;
    let reachable_chunks = plan.reachable_chunk_count();
    Ok(web::Json(v1::CollectionPlan { reachable_chunks, totals: totals_of(plan.totals()) }))
}

/// Returns the storage used by each release alone.
///
/// This is the amount that deleting the release would free.
#[utoipa::path(get, path = "/v1/usage", tag = "collection",
    responses((status = 200, description = "The storage used by each release", body = v1::Usage)))]
pub(crate) async fn usage(registry: web::Data<Registry>) -> Result<web::Json<v1::Usage>, ApiError> {
    let usage = registry.collector.usage().await?;
    let own = usage.own_bytes.into_iter();
    let mut releases: Vec<_> =
        own.map(|(digest, own_bytes)| v1::ReleaseUsage { digest, own_bytes }).collect();
    releases.sort_unstable_by_key(|release| release.digest);
    let (shared_bytes, unreachable_bytes) = (usage.shared_bytes, usage.unreachable_bytes);
    Ok(web::Json(v1::Usage { releases, shared_bytes, unreachable_bytes }))
}

fn totals_of(totals: CollectTotals) -> v1::CollectionTotals {
    v1::CollectionTotals {
        packs: totals.pack_count,
        pack_bytes: totals.pack_bytes,
        repacked: totals.repacked_count,
        repacked_bytes: totals.repacked_bytes,
        objects: totals.object_count,
        object_bytes: totals.object_bytes,
        freed_bytes: totals.freed_bytes(),
    }
}

fn body_of(status: CollectStatus) -> v1::Collection {
    let last = status.last.map(|(at_secs, outcome)| {
        let error = outcome.as_ref().err().map(|failure| {
            let CollectFailure { code, detail, remedy } = failure.clone();
            Problem::new(code, detail).with_remedy(remedy)
        });
        let done = outcome.unwrap_or_default();
        v1::CollectionOutcome {
            at_secs,
            has_looked: done.has_looked,
            totals: totals_of(done.swept),
            waits_for_leases: done.waits_for.map_or(0, |older| older.count),
            waits_until_secs: done.waits_for.map(|older| older.deadline_secs),
            error,
        }
    });
    v1::Collection { phase: phase_of(status.phase), planned: totals_of(status.planned), last }
}

fn phase_of(phase: Phase) -> v1::CollectionPhase {
    match phase {
        Phase::Idle => v1::CollectionPhase::Idle,
        Phase::Marking => v1::CollectionPhase::Marking,
        Phase::Repacking => v1::CollectionPhase::Repacking,
        Phase::Condemning => v1::CollectionPhase::Condemning,
        Phase::Waiting => v1::CollectionPhase::Waiting,
        Phase::Sweeping => v1::CollectionPhase::Sweeping,
    }
}
