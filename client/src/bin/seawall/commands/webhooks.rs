//! `seawall webhooks add|list|remove|deliveries`.

use seawall_api::audit::Action;
use seawall_api::v1::{NewWebhook, Webhook, WebhookDelivery};
use serde::Serialize;

use super::Surroundings;
use crate::command::watch::AddWebhook;
use crate::output::{answer, moment, table};
use crate::report::Failure;

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

pub(crate) async fn add(around: &Surroundings, new: AddWebhook) -> Result<(), Failure> {
    let AddWebhook { url, events, application, secret } = new;
    let webhook = NewWebhook { url, events, application, secret };
    let webhook = around.registry.add_webhook(&webhook).await?;
    answer(around.style, &webhook, |webhook| {
        format!("webhook {} is told of {}\n", webhook.id, names(&webhook.events))
    })
}

pub(crate) async fn list(around: &Surroundings) -> Result<(), Failure> {
    let webhooks = around.registry.webhooks().await?;
    answer(around.style, &Webhooks { webhooks }, list_text)
}

pub(crate) async fn remove(around: &Surroundings, id: String) -> Result<(), Failure> {
    around.registry.remove_webhook(&id).await?;
    answer(around.style, &Removed { webhook: id }, |removed| {
        format!("webhook {} is told nothing any more\n", removed.webhook)
    })
}

pub(crate) async fn deliveries(around: &Surroundings, id: &str) -> Result<(), Failure> {
    let deliveries = around.registry.deliveries(id).await?.deliveries;
    answer(around.style, &Deliveries { deliveries }, deliveries_text)
}

fn names(events: &[Action]) -> String {
    events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(",")
}

fn list_text(list: &Webhooks) -> String {
    let rows = list.webhooks.iter().map(|webhook| {
        let application = webhook.application.as_ref();
        vec![
            webhook.id.clone(),
            names(&webhook.events),
            application.map_or_else(|| "all".to_owned(), ToString::to_string),
            webhook.pending_count.to_string(),
            webhook.pending_since_secs.map_or_else(|| "-".to_owned(), moment),
            webhook.lost_count.to_string(),
            webhook.url.clone(),
        ]
    });
    table(&["WEBHOOK", "EVENTS", "APPLICATION", "PENDING", "SINCE", "LOST", "URL"], rows)
}

fn deliveries_text(list: &Deliveries) -> String {
    let rows = list.deliveries.iter().map(|delivery| {
        let outcome = &delivery.outcome;
        vec![
            delivery.message.clone(),
            delivery.entry.sequence.to_string(),
            delivery.entry.action.to_string(),
            delivery.state.clone(),
            delivery.attempt_count.to_string(),
            delivery.next_at_secs.map_or_else(|| "-".to_owned(), moment),
            if outcome.is_empty() { "-".to_owned() } else { outcome.clone() },
        ]
    });
    table(&["MESSAGE", "ENTRY", "EVENT", "STATE", "TRIES", "NEXT", "OUTCOME"], rows)
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
            list_text(&Webhooks { webhooks: vec![webhook] }),
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
