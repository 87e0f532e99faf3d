//! Webhooks and their outbox.
//!
//! A delivery refers to its entry in the audit log, which never changes. Every attempt builds the
//! message from the entry again.

use seawall_api::audit::{Action, EVENTS};

use crate::catalog::WebhookId;
use crate::catalog::model::audit::{
    Delivery, DeliveryRow, DeliveryState, Entry, Logged, Settlement, Webhook, WebhookAdded,
    WebhookSecret, WebhookStatus,
};
use crate::catalog::model::jobs::{Job, JobKind};
use crate::catalog::rules::audit::{self, read_entry, select_entry};
use crate::catalog::rules::maintenance::jobs;
use crate::catalog::tx::{Row, Tx, TxError, TxResult, args};

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

/// Expands to a query for [`read_webhook`].
macro_rules! select_webhook {
    ($rest:literal) => {
        concat!(
            "SELECT w.id, w.url, w.secret, w.events, w.application, w.created_at_secs,
                 w.created_by FROM webhooks w ",
            $rest
        )
    };
}

fn read_webhook(row: Row<'_>) -> TxResult<Webhook> {
    let events = row.text(3)?.split(SEPARATOR).map(str::parse).collect::<Result<_, _>>();
    Ok(Webhook {
        id: WebhookId::from_bytes(row.id(0)?),
        url: row.text(1)?.to_owned(),
        secret: WebhookSecret::new(row.bytes(2)?.to_vec()),
        events: events.map_err(TxError::damaged)?,
        application: row.name_or_none(4)?,
        created_at_secs: row.count(5)?,
        created_by: row.text(6)?.to_owned(),
    })
}

fn all(tx: &mut dyn Tx) -> TxResult<Vec<Webhook>> {
    tx.list(select_webhook!("ORDER BY w.created_at_secs, w.id"), &[], read_webhook)
}

fn one(tx: &mut dyn Tx, id: WebhookId) -> TxResult<Option<Webhook>> {
    tx.find(select_webhook!("WHERE w.id = $1"), args![id], read_webhook)
}

/// Adds an entry to the outbox of every webhook that wants it.
pub(super) fn enqueue(tx: &mut dyn Tx, logged: &Logged) -> TxResult<()> {
    if !EVENTS.contains(&logged.entry.action) {
        return Ok(());
    }
    for webhook in all(tx)?.iter().filter(|webhook| webhook.wants(logged)) {
        if pending(tx, webhook.id)?.0 >= u64::from(QUEUE_LEN_MAX) {
            count_lost(tx, webhook.id)?;
            continue;
        }
        let sql = "INSERT INTO deliveries (webhook_id, sequence, state, created_at_secs,
                       attempt_count, next_at_secs, settled_at_secs, outcome)
                   VALUES ($1, $2, $3, $4, 0, $4, 0, '')";
        let at_secs = logged.entry.at_secs;
        tx.run(sql, args![webhook.id, logged.sequence, DeliveryState::Pending, at_secs])?;
    }
    Ok(())
}

/// Returns the number of pending messages of a webhook, and the creation time of the oldest.
fn pending(tx: &mut dyn Tx, id: WebhookId) -> TxResult<(u64, Option<u64>)> {
    let sql = "SELECT COUNT(*), MIN(created_at_secs) FROM deliveries
               WHERE webhook_id = $1 AND state = $2";
    tx.get(sql, args![id, DeliveryState::Pending], |row| Ok((row.count(0)?, row.count_or_none(1)?)))
}

fn count_lost(tx: &mut dyn Tx, id: WebhookId) -> TxResult<()> {
    let sql = "UPDATE webhooks SET dropped_count = dropped_count + 1 WHERE id = $1";
    tx.run(sql, args![id])?;
    Ok(())
}

/// Adds a webhook, up to a maximum number.
pub(in crate::catalog) fn add(tx: &mut dyn Tx, webhook: &Webhook) -> TxResult<WebhookAdded> {
    let count: u32 = tx.get("SELECT COUNT(*) FROM webhooks", &[], |row| row.count(0))?;
    if count >= WEBHOOKS_MAX {
        return Ok(WebhookAdded::TooMany(WEBHOOKS_MAX));
    }
    let events: Vec<_> = webhook.events.iter().map(|event| event.as_str()).collect();
    let events = events.join(SEPARATOR);
    let sql = "INSERT INTO webhooks (id, url, secret, events, application, created_at_secs,
                                     created_by, dropped_count)
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0)";
    let Webhook { id, url, secret, application, created_at_secs, created_by, .. } = webhook;
    let secret = secret.expose();
    tx.run(sql, args![id, url, secret, events, application, created_at_secs, created_by])?;
    let entry = changed(webhook, &webhook.created_by, webhook.created_at_secs);
    audit::append(tx, &entry.with("change", "added").with("events", events))?;
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

/// Removes a webhook with its deliveries and their jobs. Returns false if there is none.
pub(in crate::catalog) fn remove(
    tx: &mut dyn Tx,
    id: WebhookId,
    actor: &str,
    now_secs: u64,
) -> TxResult<bool> {
    let Some(webhook) = one(tx, id)? else { return Ok(false) };
    tx.run("DELETE FROM deliveries WHERE webhook_id = $1", args![id])?;
    tx.run("DELETE FROM webhooks WHERE id = $1", args![id])?;
    jobs::forget(tx, &JobKind::Deliver.of(id.to_string()))?;
    audit::append(tx, &changed(&webhook, actor, now_secs).with("change", "removed"))?;
    Ok(true)
}

/// Lists all webhooks with their status, oldest first.
pub(in crate::catalog) fn list(tx: &mut dyn Tx) -> TxResult<Vec<WebhookStatus>> {
    let mut status = Vec::new();
    for webhook in all(tx)? {
        let (pending_count, pending_since_secs) = pending(tx, webhook.id)?;
        let sql = "SELECT dropped_count FROM webhooks WHERE id = $1";
        let lost_count = tx.get(sql, args![webhook.id], |row| row.count(0))?;
        status.push(WebhookStatus { webhook, pending_count, pending_since_secs, lost_count });
    }
    Ok(status)
}

/// Lists the deliveries of a webhook older than `after`, newest first.
pub(in crate::catalog) fn deliveries(
    tx: &mut dyn Tx,
    id: WebhookId,
    after: Option<u64>,
    limit: u32,
) -> TxResult<Option<Vec<DeliveryRow>>> {
    if one(tx, id)?.is_none() {
        return Ok(None);
    }
    let before = after.unwrap_or(i64::MAX as u64);
    let sql = select_entry!(
        ", d.id, d.state, d.attempt_count, d.next_at_secs, d.outcome",
        "FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3"
    );
    let rows = tx.list(sql, args![id, before, limit], |row| {
        let text = row.text(10)?;
        let state = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
        Ok(DeliveryRow {
            id: row.count(9)?,
            logged: read_entry(row)?,
            state: state.ok_or_else(|| TxError::damaged("a delivery has an unknown state"))?,
            attempt_count: row.count(11)?,
            next_at_secs: row.count(12)?,
            outcome: row.text(13)?.to_owned(),
        })
    })?;
    Ok(Some(rows))
}

/// Returns the webhooks with a delivery due at `now_secs`, each with the newest job of its
/// deliveries.
pub(in crate::catalog) fn due(
    tx: &mut dyn Tx,
    now_secs: u64,
) -> TxResult<Vec<(WebhookId, Option<Job>)>> {
    let sql = "SELECT w.id FROM webhooks w WHERE EXISTS (
                   SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id AND d.state = $1
                   AND d.next_at_secs <= $2)";
    let due = tx.list(sql, args![DeliveryState::Pending, now_secs], |row| {
        Ok(WebhookId::from_bytes(row.id(0)?))
    })?;
    due.into_iter()
        .map(|id| Ok((id, jobs::newest(tx, &JobKind::Deliver.of(id.to_string()))?)))
        .collect()
}

/// Returns the next delivery of a webhook due at `now_secs`.
pub(in crate::catalog) fn next(
    tx: &mut dyn Tx,
    id: WebhookId,
    now_secs: u64,
) -> TxResult<Option<Delivery>> {
    let Some(webhook) = one(tx, id)? else { return Ok(None) };
    let sql = select_entry!(
        ", d.id, d.attempt_count, d.created_at_secs",
        "FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.state = $2 AND d.next_at_secs <= $3
         ORDER BY d.next_at_secs, d.id LIMIT 1"
    );
    tx.find(sql, args![id, DeliveryState::Pending, now_secs], |row| {
        Ok(Delivery {
            id: row.count(9)?,
            webhook: webhook.clone(),
            logged: read_entry(row)?,
            attempt_count: row.count(10)?,
            created_at_secs: row.count(11)?,
        })
    })
}

/// Records the outcome of an attempt to deliver.
pub(in crate::catalog) fn settle(
    tx: &mut dyn Tx,
    webhook: WebhookId,
    id: u64,
    settlement: &Settlement,
) -> TxResult<()> {
    let Settlement { state, at_secs, next_at_secs, outcome } = settlement;
    let outcome = &outcome[..outcome.floor_char_boundary(OUTCOME_LEN_MAX)];
    // A delivery settled by another process meanwhile stays as it is. Its number alone does not
    // identify a delivery: SQLite reuses the number of a removed one.
    let sql = "UPDATE deliveries SET state = $1, attempt_count = attempt_count + 1,
                   next_at_secs = $2, settled_at_secs = $3, outcome = $4
               WHERE id = $5 AND state = $6 AND webhook_id = $7";
    let pending = DeliveryState::Pending;
    if tx.run(sql, args![state, next_at_secs, at_secs, outcome, id, pending, webhook])? == 0 {
        return Ok(());
    }
    match state {
        DeliveryState::Pending => return Ok(()),
        DeliveryState::Delivered => {}
        DeliveryState::GivenUp => count_lost(tx, webhook)?,
    }
    prune(tx, webhook)
}

/// Deletes some of the oldest settled deliveries of a webhook if there are too many.
fn prune(tx: &mut dyn Tx, id: WebhookId) -> TxResult<()> {
    // Counts in the index `deliveries_due`, one state at a time.
    let sql = "SELECT COUNT(*) FROM deliveries WHERE webhook_id = $1 AND state IN ($2, $3)";
    let settled = args![id, DeliveryState::Delivered, DeliveryState::GivenUp];
    let count: u32 = tx.get(sql, settled, |row| row.count(0))?;
    let excess = count.saturating_sub(SETTLED_COUNT_MAX).min(PRUNED_COUNT_MAX);
    if excess == 0 {
        return Ok(());
    }
    let sql = "DELETE FROM deliveries WHERE id IN (
                   SELECT id FROM deliveries WHERE webhook_id = $1 AND state <> $2
                   ORDER BY id LIMIT $3)";
    tx.run(sql, args![id, DeliveryState::Pending, excess])?;
    Ok(())
}
