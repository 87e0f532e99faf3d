//! `/v1/webhooks`

use actix_web::{HttpResponse, web};
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::audit::webhooks::{NewWebhook, body_of, message_id};
use crate::app::model::{DeliveryRow, DeliveryState, WebhookId, WebhookStatus};
use crate::http::extract::{Body, page_len};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

/// All operations require an operator's token, because a URL may contain a secret.
pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/webhooks").get(Access::Operator, list).post(Access::Operator, add),
        at("/v1/webhooks/{webhook}").delete(Access::Operator, remove),
        at("/v1/webhooks/{webhook}/deliveries").get(Access::Operator, deliveries),
    ]
}

fn webhook_of(status: WebhookStatus) -> v1::Webhook {
    let webhook = status.webhook;
    v1::Webhook {
        id: webhook.id.to_string(),
        url: webhook.url,
        events: webhook.events,
        application: webhook.application,
        created_at_secs: webhook.created_at_secs,
        created_by: webhook.created_by,
        pending_count: status.pending_count,
        pending_since_secs: status.pending_since_secs,
        lost_count: status.lost_count,
    }
}

fn delivery_of(row: DeliveryRow) -> v1::WebhookDelivery {
    let is_pending = row.state == DeliveryState::Pending;
    v1::WebhookDelivery {
        id: row.id,
        message: message_id(&row.logged),
        state: row.state.as_str().to_owned(),
        attempt_count: row.attempt_count,
        next_at_secs: is_pending.then_some(row.next_at_secs),
        outcome: row.outcome,
        entry: body_of(row.logged),
    }
}

fn webhook_id(text: &str) -> Result<WebhookId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the webhook: {error}")))
}

/// Lists the webhooks, oldest first, with their delivery status.
///
/// Requires a publisher's token, because a URL may contain a secret.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks",
    responses((status = 200, description = "The webhooks", body = v1::WebhookPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
) -> Result<web::Json<v1::WebhookPage>, ApiError> {
    let webhooks = registry.audit.webhooks().await?.into_iter().map(webhook_of).collect();
    Ok(web::Json(v1::WebhookPage { webhooks }))
}

/// Adds a webhook, to which events are delivered from now on.
///
/// Messages follow Standard Webhooks 1.0.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = v1::NewWebhook,
    responses((status = 201, description = "The webhook", body = v1::Webhook)))]
pub(crate) async fn add(
    registry: web::Data<Registry>,
    actor: Actor,
    Body(body): Body<v1::NewWebhook>,
) -> Result<HttpResponse, ApiError> {
    let new = NewWebhook {
        url: body.url,
        events: body.events,
        application: body.application,
        secret: body.secret,
        token: actor.name,
    };
    Ok(HttpResponse::Created().json(webhook_of(registry.audit.add_webhook(new).await?)))
}

/// Removes a webhook and its pending messages.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = String, Path, description = "The webhook's id")),
    responses((status = 204, description = "The webhook was removed")))]
pub(crate) async fn remove(
    registry: web::Data<Registry>,
    webhook: web::Path<String>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    registry.audit.remove_webhook(webhook_id(&webhook)?, actor.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next` of the previous page.
    after: Option<u64>,
    /// The maximum number of deliveries, 1 to 1000. The default is 1000.
    limit: Option<u32>,
}

/// Lists the deliveries of a webhook, newest first.
///
/// Includes all pending messages and the last 1000 completed ones.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries", tag = "webhooks",
    params(("webhook" = String, Path, description = "The webhook's id"), Page),
    responses((status = 200, description = "A page of deliveries", body = v1::DeliveryPage)))]
pub(crate) async fn deliveries(
    registry: web::Data<Registry>,
    webhook: web::Path<String>,
    page: web::Query<Page>,
) -> Result<web::Json<v1::DeliveryPage>, ApiError> {
    let limit = page_len(page.limit)?;
    let after = page.after.map(|id| id.min(i64::MAX as u64));
    let page = registry.audit.deliveries(webhook_id(&webhook)?, after, limit).await?;
    let deliveries = page.items.into_iter().map(delivery_of).collect();
    Ok(web::Json(v1::DeliveryPage { deliveries, next: page.next }))
}
