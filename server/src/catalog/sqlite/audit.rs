//! The audit log.

use rusqlite::types::Type;
use rusqlite::{Error, OptionalExtension, Row, Transaction, params};
use seawall_api::audit::CHAIN_BEGIN;
use seawall_api::digest::{EntryDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, Version};

use super::connection::SqlResult;
use super::{row, webhooks};
use crate::catalog::watch::{AuditQuery, Entry, Logged};

/// Appends an entry in the transaction of its action, and enqueues its webhook deliveries.
pub(super) fn append(tx: &Transaction<'_>, entry: &Entry) -> SqlResult<Logged> {
    let logged = Logged::after(last(tx)?, entry.clone());
    let facts = serde_json::to_string(&entry.facts)
        .map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
    tx.prepare_cached(
        "INSERT INTO audit (sequence, at_secs, actor, action, application, version,
                            release_digest, facts, digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )?
    .execute(params![
        row::integer(logged.sequence)?,
        row::integer(entry.at_secs)?,
        entry.actor,
        entry.action.as_str(),
        entry.application.as_ref().map(ApplicationName::as_str),
        entry.version.as_ref().map(Version::as_str),
        entry.release.as_ref().map(ReleaseDigest::as_bytes),
        facts,
        logged.digest.as_bytes()
    ])?;
    webhooks::enqueue(tx, &logged)?;
    Ok(logged)
}

/// Returns the sequence number and the digest of the newest entry.
fn last(tx: &Transaction<'_>) -> SqlResult<(u64, EntryDigest)> {
    let sql = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1";
    let found = tx.prepare_cached(sql)?.query_row([], |found| {
        Ok((row::quantity(found, 0)?, EntryDigest::from_bytes(row::digest(found, 1)?)))
    });
    Ok(found.optional()?.unwrap_or((0, CHAIN_BEGIN)))
}

/// The columns read by [`read_entry`], in order.
pub(super) const ENTRY: &str = "a.sequence, a.at_secs, a.actor, a.action, a.application, a.version, a.release_digest, \
     a.facts, a.digest";

pub(super) fn read_entry(found: &Row<'_>) -> SqlResult<Logged> {
    let facts: String = found.get(7)?;
    let facts = serde_json::from_str(&facts)
        .map_err(|error| Error::FromSqlConversionFailure(7, Type::Text, error.into()))?;
    let text = |at| found.get::<_, Option<String>>(at);
    let release: Option<[u8; 32]> = found.get(6)?;
    Ok(Logged {
        sequence: row::quantity(found, 0)?,
        entry: Entry {
            at_secs: row::quantity(found, 1)?,
            actor: found.get(2)?,
            action: row::name(found, 3)?,
            application: text(4)?.map(|text| row::parse(&text, 4)).transpose()?,
            version: text(5)?.map(|text| row::parse(&text, 5)).transpose()?,
            release: release.map(ReleaseDigest::from_bytes),
            facts,
        },
        digest: EntryDigest::from_bytes(row::digest(found, 8)?),
    })
}

pub(super) fn query(tx: &Transaction<'_>, query: &AuditQuery) -> SqlResult<Vec<Logged>> {
    let before = query.after.map_or(Ok(i64::MAX), row::integer)?;
    let since = query.since_secs.map_or(Ok(0), row::integer)?;
    let mut sql = format!("SELECT {ENTRY} FROM audit a WHERE a.sequence < $1 AND a.at_secs >= $2");
    // One condition for each given column, so that the index of the column is used.
    let columns = [
        ("application", query.application.as_ref().map(ApplicationName::as_str)),
        ("action", query.action.map(|action| action.as_str())),
        ("actor", query.actor.as_deref()),
    ];
    let mut values: Vec<&dyn rusqlite::ToSql> = vec![&before, &since];
    for (column, value) in &columns {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND a.{column} = ${}", values.len()));
        }
    }
    values.push(&query.limit);
    sql.push_str(&format!(" ORDER BY a.sequence DESC LIMIT ${}", values.len()));
    tx.prepare_cached(&sql)?.query_map(&*values, read_entry)?.collect()
}
