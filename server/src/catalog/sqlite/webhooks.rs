//! Webhooks and their outbox.
//!
//! A delivery refers to its entry in the audit log, which never changes. Every attempt builds the
//! message from the entry again.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::audit::{Action, EVENTS};
use seawall_api::names::ApplicationName;

use super::connection::SqlResult;
use super::{audit, row};
use crate::catalog::watch::{
    Delivery, DeliveryRow, DeliveryState, Logged, Settlement, Webhook, WebhookAdded, WebhookSecret,
    WebhookStatus,
};
use crate::catalog::{Entry, WebhookId};

/// The maximum number of webhooks of a registry. Each may take a connection of its own.
const WEBHOOKS_MAX: u32 = 32;
/// The maximum number of pending messages of one webhook. Further messages count as lost.
const QUEUE_LEN_MAX: u32 = 10_000;
/// The number of settled deliveries kept per webhook.
const SETTLED_COUNT_MAX: u32 = 1000;
/// The maximum number of settled deliveries pruned at once. A surplus left by an older program
/// takes several steps.
const PRUNED_COUNT_MAX: u32 = 64;
/// Separates the events of a webhook in their column.
const SEPARATOR: &str = ",";
/// The maximum length of a stored outcome, in bytes.
const OUTCOME_LEN_MAX: usize = 500;

const WEBHOOK: &str = "SELECT w.id, w.url, w.secret, w.events, w.application, w.created_at_secs,
        w.created_by FROM webhooks w";

fn read_webhook(found: &Row<'_>) -> SqlResult<Webhook> {
    let events: String = found.get(3)?;
    let application: Option<String> = found.get(4)?;
    Ok(Webhook {
        id: WebhookId::from_bytes(found.get(0)?),
        url: found.get(1)?,
        secret: WebhookSecret::new(found.get(2)?),
        events: events
            .split(SEPARATOR)
            .map(|event| row::parse(event, 3))
            .collect::<Result<_, _>>()?,
        application: application.map(|name| row::parse(&name, 4)).transpose()?,
        created_at_secs: row::quantity(found, 5)?,
        created_by: found.get(6)?,
    })
}

fn all(tx: &Transaction<'_>) -> SqlResult<Vec<Webhook>> {
    let sql = format!("{WEBHOOK} ORDER BY w.created_at_secs, w.id");
    tx.prepare_cached(&sql)?.query_map([], read_webhook)?.collect()
}

fn one(tx: &Transaction<'_>, id: WebhookId) -> SqlResult<Option<Webhook>> {
    let sql = format!("{WEBHOOK} WHERE w.id = $1");
    tx.prepare_cached(&sql)?.query_row([id.as_bytes()], read_webhook).optional()
}

/// Adds an entry to the outbox of every webhook that wants it.
pub(super) fn enqueue(tx: &Transaction<'_>, logged: &Logged) -> SqlResult<()> {
    if !EVENTS.contains(&logged.entry.action) {
        return Ok(());
    }
    for webhook in all(tx)?.iter().filter(|webhook| webhook.wants(logged)) {
        if pending(tx, webhook.id)?.0 >= u64::from(QUEUE_LEN_MAX) {
            lose(tx, webhook.id)?;
            continue;
        }
        tx.prepare_cached(
            "INSERT INTO deliveries (webhook_id, sequence, state, created_at_secs, attempt_count,
                                     next_at_secs, settled_at_secs, outcome)
             VALUES ($1, $2, $3, $4, 0, $4, 0, '')",
        )?
        .execute(params![
            webhook.id.as_bytes(),
            row::integer(logged.sequence)?,
            DeliveryState::Pending.as_str(),
            row::integer(logged.entry.at_secs)?
        ])?;
    }
    Ok(())
}

/// Returns the number of pending messages of a webhook, and the creation time of the oldest.
fn pending(tx: &Transaction<'_>, id: WebhookId) -> SqlResult<(u64, Option<u64>)> {
    let sql = "SELECT COUNT(*), MIN(created_at_secs) FROM deliveries
               WHERE webhook_id = $1 AND state = $2";
    tx.prepare_cached(sql)?.query_row(
        params![id.as_bytes(), DeliveryState::Pending.as_str()],
        |found| {
            let count = row::quantity(found, 0)?;
            let since: Option<i64> = found.get(1)?;
            Ok((count, since.map(|_| row::quantity(found, 1)).transpose()?))
        },
    )
}

fn lose(tx: &Transaction<'_>, id: WebhookId) -> SqlResult<()> {
    let sql = "UPDATE webhooks SET dropped_count = dropped_count + 1 WHERE id = $1";
    tx.prepare_cached(sql)?.execute([id.as_bytes()])?;
    Ok(())
}

pub(super) fn add(tx: &Transaction<'_>, webhook: &Webhook) -> SqlResult<WebhookAdded> {
    let count: u32 = tx
        .prepare_cached("SELECT COUNT(*) FROM webhooks")?
        .query_row([], |found| row::quantity(found, 0))?;
    if count >= WEBHOOKS_MAX {
        return Ok(WebhookAdded::TooMany(WEBHOOKS_MAX));
    }
    let events: Vec<_> = webhook.events.iter().map(|event| event.as_str()).collect();
    tx.prepare_cached(
        "INSERT INTO webhooks (id, url, secret, events, application, created_at_secs,
                               created_by, dropped_count)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
    )?
    .execute(params![
        webhook.id.as_bytes(),
        webhook.url,
        webhook.secret.expose(),
        events.join(SEPARATOR),
        webhook.application.as_ref().map(ApplicationName::as_str),
        row::integer(webhook.created_at_secs)?,
        webhook.created_by
    ])?;
    let entry = changed(webhook, &webhook.created_by, webhook.created_at_secs);
    audit::append(tx, &entry.with("change", "added").with("events", events.join(SEPARATOR)))?;
    Ok(WebhookAdded::Done)
}

/// Makes the log entry of a change. A webhook's address may hold a secret, so the entry names only
/// the host.
fn changed(webhook: &Webhook, actor: &str, now_secs: u64) -> Entry {
    let host = webhook.url.split('/').nth(2).unwrap_or_default();
    let entry =
        Entry::new(Action::Webhook, actor, now_secs).with("webhook", webhook.id).with("host", host);
    match &webhook.application {
        Some(application) => entry.to_application(application),
        None => entry,
    }
}

pub(super) fn remove(
    tx: &Transaction<'_>,
    id: WebhookId,
    actor: &str,
    now_secs: u64,
) -> SqlResult<bool> {
    let Some(webhook) = one(tx, id)? else { return Ok(false) };
    tx.prepare_cached("DELETE FROM deliveries WHERE webhook_id = $1")?.execute([id.as_bytes()])?;
    tx.prepare_cached("DELETE FROM webhooks WHERE id = $1")?.execute([id.as_bytes()])?;
    audit::append(tx, &changed(&webhook, actor, now_secs).with("change", "removed"))?;
    Ok(true)
}

pub(super) fn list(tx: &Transaction<'_>) -> SqlResult<Vec<WebhookStatus>> {
    let lost = "SELECT dropped_count FROM webhooks WHERE id = $1";
    let mut status = Vec::new();
    for webhook in all(tx)? {
        let (pending_count, pending_since_secs) = pending(tx, webhook.id)?;
        let id = webhook.id;
        let lost_count =
            tx.prepare_cached(lost)?.query_row([id.as_bytes()], |found| row::quantity(found, 0))?;
        status.push(WebhookStatus { webhook, pending_count, pending_since_secs, lost_count });
    }
    Ok(status)
}

pub(super) fn deliveries(
    tx: &Transaction<'_>,
    id: WebhookId,
    after: Option<u64>,
    limit: u32,
) -> SqlResult<Option<Vec<DeliveryRow>>> {
    if one(tx, id)?.is_none() {
        return Ok(None);
    }
    let before = after.map_or(Ok(i64::MAX), row::integer)?;
    let sql = format!(
        "SELECT {}, d.id, d.state, d.attempt_count, d.next_at_secs, d.outcome
         FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3",
        audit::ENTRY
    );
    let read = |found: &Row<'_>| {
        let text: String = found.get(10)?;
        let state = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
        Ok(DeliveryRow {
            id: row::quantity(found, 9)?,
            logged: audit::read_entry(found)?,
            state: state.ok_or(rusqlite::Error::IntegralValueOutOfRange(10, 0))?,
            attempt_count: row::quantity(found, 11)?,
            next_at_secs: row::quantity(found, 12)?,
            outcome: found.get(13)?,
        })
    };
    let mut list = tx.prepare_cached(&sql)?;
    let rows = list.query_map(params![id.as_bytes(), before, limit], read)?;
    rows.collect::<SqlResult<_>>().map(Some)
}

pub(super) fn due(tx: &Transaction<'_>, now_secs: u64) -> SqlResult<Vec<WebhookId>> {
    let sql = "SELECT w.id FROM webhooks w WHERE EXISTS (
                   SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id AND d.state = $1
                   AND d.next_at_secs <= $2)";
    let values = params![DeliveryState::Pending.as_str(), row::integer(now_secs)?];
    tx.prepare_cached(sql)?
        .query_map(values, |found| Ok(WebhookId::from_bytes(found.get(0)?)))?
        .collect()
}

pub(super) fn claim(
    tx: &Transaction<'_>,
    id: WebhookId,
    now_secs: u64,
    until_secs: u64,
) -> SqlResult<Option<Delivery>> {
    let Some(webhook) = one(tx, id)? else { return Ok(None) };
    let sql = format!(
        "SELECT {}, d.id, d.attempt_count, d.created_at_secs
         FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.state = $2 AND d.next_at_secs <= $3
         ORDER BY d.next_at_secs, d.id LIMIT 1",
        audit::ENTRY
    );
    let pending = DeliveryState::Pending.as_str();
    let values = params![id.as_bytes(), pending, row::integer(now_secs)?];
    let found = tx.prepare_cached(&sql)?.query_row(values, |found| {
        Ok(Delivery {
            id: row::quantity(found, 9)?,
            webhook,
            logged: audit::read_entry(found)?,
            attempt_count: row::quantity(found, 10)?,
            created_at_secs: row::quantity(found, 11)?,
        })
    });
    let Some(delivery) = found.optional()? else { return Ok(None) };
    tx.prepare_cached("UPDATE deliveries SET next_at_secs = $1 WHERE id = $2")?
        .execute(params![row::integer(until_secs)?, row::integer(delivery.id)?])?;
    Ok(Some(delivery))
}

pub(super) fn settle(
    tx: &Transaction<'_>,
    webhook: WebhookId,
    id: u64,
    settlement: &Settlement,
) -> SqlResult<()> {
    let outcome = &settlement.outcome;
    let outcome = &outcome[..outcome.floor_char_boundary(OUTCOME_LEN_MAX)];
    // A delivery settled by another process meanwhile stays as it is. Its number alone does not
    // identify a delivery: SQLite reuses the number of a removed one.
    let sql = "UPDATE deliveries SET state = $1, attempt_count = attempt_count + 1,
                   next_at_secs = $2, settled_at_secs = $3, outcome = $4
               WHERE id = $5 AND state = $6 AND webhook_id = $7";
    let values = params![
        settlement.state.as_str(),
        row::integer(settlement.next_at_secs)?,
        row::integer(settlement.at_secs)?,
        outcome,
        row::integer(id)?,
        DeliveryState::Pending.as_str(),
        webhook.as_bytes()
    ];
    if tx.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(());
    }
    match settlement.state {
        DeliveryState::Pending => return Ok(()),
        DeliveryState::Delivered => {}
        DeliveryState::GivenUp => lose(tx, webhook)?,
    }
    prune(tx, webhook)
}

/// Deletes some of the oldest settled deliveries of a webhook if there are too many.
fn prune(tx: &Transaction<'_>, id: WebhookId) -> SqlResult<()> {
    // Counts in the index `deliveries_due`, one state at a time.
    let sql = "SELECT COUNT(*) FROM deliveries WHERE webhook_id = $1 AND state IN ($2, $3)";
    let (delivered, given_up) =
        (DeliveryState::Delivered.as_str(), DeliveryState::GivenUp.as_str());
    let values = params![id.as_bytes(), delivered, given_up];
    let count: u32 = tx.prepare_cached(sql)?.query_row(values, |found| row::quantity(found, 0))?;
    let excess = count.saturating_sub(SETTLED_COUNT_MAX).min(PRUNED_COUNT_MAX);
    if excess == 0 {
        return Ok(());
    }
    let sql = "DELETE FROM deliveries WHERE id IN (
                   SELECT id FROM deliveries WHERE webhook_id = $1 AND state <> $2
                   ORDER BY id LIMIT $3)";
    let pending = DeliveryState::Pending.as_str();
    tx.prepare_cached(sql)?.execute(params![id.as_bytes(), pending, excess])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::catalog::conformance::watch::webhook;
    use crate::catalog::sqlite::schema;

    const NOW: u64 = 1_000_000;

    /// Each webhook keeps its newest thousand, even if other webhooks take numbers in between.
    #[test]
    fn of_webhooks_that_take_turns_each_remembers_as_much_as_it_should() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let both = [1, 2].map(|seed| webhook(seed, &[Action::Damage], None));
        for webhook in &both {
            add(&tx, webhook).unwrap();
        }
        let rounds = u64::from(SETTLED_COUNT_MAX) + 70;
        for round in 0..rounds {
            let entry = Entry::new(Action::Damage, "", NOW).with("object", round);
            audit::append(&tx, &entry).unwrap();
            for webhook in &both {
                let sent = claim(&tx, webhook.id, NOW, NOW).unwrap().unwrap();
                let (state, outcome) = (DeliveryState::Delivered, String::new());
                let settlement = Settlement { state, at_secs: NOW, next_at_secs: 0, outcome };
                settle(&tx, webhook.id, sent.id, &settlement).unwrap();
            }
        }
        for webhook in &both {
            let rows = deliveries(&tx, webhook.id, None, u32::MAX).unwrap().unwrap();
            let newest = &rows[0].logged.entry.facts["object"];
            assert_eq!(rows.len(), SETTLED_COUNT_MAX as usize);
            assert_eq!(*newest, (rounds - 1).to_string());
        }
    }
}
