//! `seawall webhooks add|list|remove|deliveries`.

use seawall_api::audit::Action;
use seawall_api::v1::{NewWebhook, Webhook, WebhookDelivery};
use serde::Serialize;

use crate::command::audit::AddWebhook;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer, answer_list, column};

#[derive(Serialize)]
struct Webhooks {
    webhooks: Vec<Webhook>,
}

#[derive(Serialize)]
struct Removed {
    webhook: String,
}

#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<WebhookDelivery>,
}

pub(crate) async fn add(context: &Context, new: AddWebhook) -> Result<(), Failure> {
    let AddWebhook { url, events, application, secret } = new;
    let webhook = NewWebhook { url, events, application, secret };
    let webhook = context.registry.add_webhook(&webhook).await?;
    answer(context.style, &webhook, |webhook| {
        format!("webhook {} receives {}\n", webhook.id, names(&webhook.events))
    })
}

pub(crate) async fn list(context: &Context) -> Result<(), Failure> {
    let webhooks = context.registry.webhooks().await?;
    answer_list(context.style, &Webhooks { webhooks }, webhooks_list)
}

pub(crate) async fn remove(context: &Context, id: String) -> Result<(), Failure> {
    context.registry.remove_webhook(&id).await?;
    answer(context.style, &Removed { webhook: id }, |removed| {
        format!("webhook {} was removed\n", removed.webhook)
    })
}

pub(crate) async fn deliveries(context: &Context, id: &str) -> Result<(), Failure> {
    let deliveries = context.registry.deliveries(id).await?.deliveries;
    answer_list(context.style, &Deliveries { deliveries }, deliveries_list)
}

fn names(events: &[Action]) -> String {
    events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(",")
}

const WEBHOOKS: &[Column] = &[
    column("webhook", 0),
    column("events", 2),
    column("application", 3),
    column("pending", 1),
    column("since", 5),
    column("lost", 4),
    column("url", 1),
];

const DELIVERIES: &[Column] = &[
    column("message", 3),
    column("entry", 1),
    column("event", 0),
    column("state", 0),
    column("tries", 1),
    column("next", 2),
    column("outcome", 1),
];

fn webhooks_list(list: &Webhooks) -> List<'static> {
    let rows = list.webhooks.iter().map(|webhook| {
        let application = webhook.application.as_ref();
        vec![
            Cell::from(webhook.id.clone()),
            Cell::from(names(&webhook.events)),
            Cell::from(application.map_or_else(|| "all".to_owned(), ToString::to_string)),
            Cell::Number(webhook.pending_count),
            webhook.pending_since_secs.map_or(Cell::Nothing, Cell::Moment),
            Cell::Number(webhook.lost_count),
            Cell::from(webhook.url.clone()),
        ]
    });
    let above = match list.webhooks.is_empty() {
        true => "there are no webhooks; `seawall webhooks add` adds one\n".to_owned(),
        false => String::new(),
    };
    List { columns: WEBHOOKS, rows: rows.collect(), above, below: String::new() }
}

fn deliveries_list(list: &Deliveries) -> List<'static> {
    let rows = list.deliveries.iter().map(|delivery| {
        vec![
            Cell::from(delivery.message.clone()),
            Cell::Number(delivery.entry.sequence),
            Cell::from(&delivery.entry.action),
            Cell::from(delivery.state.clone()),
            Cell::Number(delivery.attempt_count.into()),
            delivery.next_at_secs.map_or(Cell::Nothing, Cell::Moment),
            Cell::from(delivery.outcome.clone()),
        ]
    });
    List { columns: DELIVERIES, rows: rows.collect(), above: String::new(), below: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_listed_a_line_each() {
        let webhook = Webhook {
            id: "00".repeat(16),
            url: "https://hooks.example/a".to_owned(),
            events: vec![Action::Publish, Action::Delete],
            application: None,
            created_at_secs: 0,
            created_by: String::new(),
            pending_count: 2,
            pending_since_secs: Some(0),
            lost_count: 0,
        };
        let id = "0".repeat(32);
        assert_eq!(
            webhooks_list(&Webhooks { webhooks: vec![webhook] }).text(),
            format!(
                "WEBHOOK                           EVENTS          APPLICATION  PENDING  SINCE\
                 {:17}LOST  URL\n\
                 {id}  publish,delete  all          2        1970-01-01 00:00:00Z  0     \
                 https://hooks.example/a\n",
                ""
            )
        );
    }
}
