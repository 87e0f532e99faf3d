//! `/v1/applications/{application}/policy` and `…/retention`

use actix_web::web;
use seawall_api::names::ApplicationName;
use seawall_api::v1;

use crate::app::Registry;
use crate::app::model::InventoryRelease;
use crate::app::retention::policies::{Policy, SetPolicy, Verdict};
use crate::http::extract::{Body, ChannelPath};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::v1::openapi;
use crate::http::v1::releases::published::deleted_body;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications/{application}/policy")
            .get(Access::Reader, policies)
            .put(Access::Publisher, set_policy),
        at("/v1/applications/{application}/channels/{channel}/policy")
            .put(Access::Publisher, set_channel_policy),
        at("/v1/applications/{application}/retention")
            .get(Access::Reader, plan)
            .post(Access::Publisher, apply),
    ]
}

fn policy_of(body: &v1::RetentionPolicy) -> Policy {
    Policy {
        keep_last: body.keep_last,
        keep_last_prereleases: body.keep_last_prereleases,
        keep_younger_secs: body.keep_younger_secs,
        keep_superseded_secs: body.keep_superseded_secs,
        keep_expired_hosts_secs: body.keep_expired_hosts_secs,
    }
}

fn body_of(set: SetPolicy) -> v1::Policy {
    let policy = v1::RetentionPolicy {
        keep_last: set.policy.keep_last,
        keep_last_prereleases: set.policy.keep_last_prereleases,
        keep_younger_secs: set.policy.keep_younger_secs,
        keep_superseded_secs: set.policy.keep_superseded_secs,
        keep_expired_hosts_secs: set.policy.keep_expired_hosts_secs,
    };
    v1::Policy { channel: set.channel, policy, set_at_secs: set.set_at_secs, set_by: set.set_by }
}

fn verdict_of(verdict: Verdict) -> v1::Verdict {
    v1::Verdict {
        version: verdict.release.version,
        digest: verdict.release.digest,
        fate: if verdict.goes { v1::Fate::Goes } else { v1::Fate::Stays },
        reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
    }
}

fn kept_of((release, why): (InventoryRelease, String)) -> v1::KeptRelease {
    v1::KeptRelease { version: release.version, digest: release.digest, why }
}

/// Lists the retention policies of an application and its channels.
#[utoipa::path(get, path = "/v1/applications/{application}/policy", operation_id = "list_policies",
    tag = "retention",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The policies", body = v1::Policies)))]
pub(crate) async fn policies(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::Policies>, ApiError> {
    let policies = registry.retention.policies(&application).await?;
    Ok(web::Json(v1::Policies { policies: policies.into_iter().map(body_of).collect() }))
}

/// Sets the retention policy of an application.
///
/// An empty policy removes the one in force. No release is deleted until the plan is applied.
#[utoipa::path(put, path = "/v1/applications/{application}/policy", tag = "retention",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    request_body = v1::RetentionPolicy,
    responses((status = 200, description = "The policy as set", body = v1::Policy)))]
pub(crate) async fn set_policy(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
    actor: Actor,
    Body(policy): Body<v1::RetentionPolicy>,
) -> Result<web::Json<v1::Policy>, ApiError> {
    let policy = policy_of(&policy);
    Ok(web::Json(body_of(
        registry.retention.set_policy(&application, None, policy, actor.name).await?,
    )))
}

/// Sets the retention policy for the releases that a channel has pointed to.
///
/// An empty policy removes the one in force.
#[utoipa::path(put, path = "/v1/applications/{application}/channels/{channel}/policy",
    tag = "retention",
    params(ChannelPath),
    request_body = v1::RetentionPolicy,
    responses((status = 200, description = "The policy as set", body = v1::Policy)))]
pub(crate) async fn set_channel_policy(
    registry: web::Data<Registry>,
    path: web::Path<ChannelPath>,
    actor: Actor,
    Body(policy): Body<v1::RetentionPolicy>,
) -> Result<web::Json<v1::Policy>, ApiError> {
    let ChannelPath { application, channel } = path.into_inner();
    let policy = policy_of(&policy);
    let set =
        registry.retention.set_policy(&application, Some(channel), policy, actor.name).await?;
    Ok(web::Json(body_of(set)))
}

/// Returns the effect of the policies on the releases now, with reasons.
///
/// Nothing is changed.
#[utoipa::path(get, path = "/v1/applications/{application}/retention",
    operation_id = "plan_retention", tag = "retention",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The plan", body = v1::RetentionPlan)))]
pub(crate) async fn plan(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::RetentionPlan>, ApiError> {
    let plan = registry.retention.plan(&application).await?;
    Ok(web::Json(v1::RetentionPlan {
        application: application.into_inner(),
        freed_bytes: Some(plan.freed_bytes),
        verdicts: plan.verdicts.into_iter().map(verdict_of).collect(),
    }))
}

/// Deletes the releases that the policies mark for deletion now.
///
/// If the request lists releases, only these are deleted. A collection starts afterwards, as with
/// `POST /v1/collection`. `GET /v1/collection` returns its progress. The deletion is a job of the
/// kind `retention`, which continues without the client.
#[utoipa::path(post, path = "/v1/applications/{application}/retention",
    operation_id = "apply_retention", tag = "retention",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    request_body = v1::ApplyRetention,
    responses((status = 200, description = "The deleted and the kept releases",
               body = v1::RetentionOutcome)))]
pub(crate) async fn apply(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
    actor: Actor,
    Body(body): Body<v1::ApplyRetention>,
) -> Result<web::Json<v1::RetentionOutcome>, ApiError> {
    let only = body.releases.map(|releases| releases.into_iter().collect());
    let outcome = registry.retention.apply(&application, only, &actor.name).await?;
    Ok(web::Json(v1::RetentionOutcome {
        deleted: outcome.deleted.into_iter().map(deleted_body).collect(),
        kept: outcome.kept.into_iter().map(kept_of).collect(),
        planned_bytes: outcome.planned_bytes,
        error: outcome.failure.map(|error| ApiError::from(error).problem().clone()),
    }))
}
