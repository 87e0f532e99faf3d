//! The audit log, with the webhooks and quotas it reports on.

pub(in crate::catalog) mod quotas;
pub(in crate::catalog) mod webhooks;

use seawall_api::audit::CHAIN_BEGIN;
use seawall_api::digest::{EntryDigest, ReleaseDigest};

use crate::catalog::model::audit::{AuditQuery, Entry, Logged};
use crate::catalog::tx::{Row, Tx, TxError, TxResult, args};
use seawall_store::error::ErrorKind;

/// Appends an entry in the transaction of its action, and enqueues its webhook deliveries.
pub(in crate::catalog) fn append(tx: &mut dyn Tx, entry: &Entry) -> TxResult<Logged> {
    let logged = Logged::after(last(tx)?, entry.clone());
    let facts = serde_json::to_string(&entry.facts)
        .map_err(|error| TxError::new(ErrorKind::Internal, error))?;
    let Entry { at_secs, actor, action, application, version, release, .. } = entry;
    let (sequence, digest) = (logged.sequence, logged.digest);
    let sql = "INSERT INTO audit (sequence, at_secs, actor, action, application, version,
                                  release_digest, facts, digest)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values =
        args![sequence, at_secs, actor, action, application, version, release, facts, digest];
    tx.run(sql, values)?;
    webhooks::enqueue(tx, &logged)?;
    Ok(logged)
}

/// Returns the sequence number and the digest of the newest entry.
fn last(tx: &mut dyn Tx) -> TxResult<(u64, EntryDigest)> {
    let sql = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1";
    let found =
        tx.find(sql, &[], |row| Ok((row.count(0)?, EntryDigest::from_bytes(row.id(1)?))))?;
    Ok(found.unwrap_or((0, CHAIN_BEGIN)))
}

/// Expands to a query for [`read_entry`], with further columns and the rest of the query.
macro_rules! select_entry {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest",
            $columns,
            " ",
            $rest
        )
    };
}
pub(super) use select_entry;

/// Reads a row of [`select_entry`].
fn read_entry(row: Row<'_>) -> TxResult<Logged> {
    let release = match row.0.column(6)? {
        crate::catalog::tx::Value::Null => None,
        _ => Some(ReleaseDigest::from_bytes(row.id(6)?)),
    };
    Ok(Logged {
        sequence: row.count(0)?,
        entry: Entry {
            at_secs: row.count(1)?,
            actor: row.text(2)?.to_owned(),
            action: row.name(3)?,
            application: row.name_or_none(4)?,
            version: row.name_or_none(5)?,
            release,
            facts: serde_json::from_str(row.text(7)?).map_err(TxError::damaged)?,
        },
        digest: EntryDigest::from_bytes(row.id(8)?),
    })
}

/// Returns entries of the audit log, newest first.
pub(in crate::catalog) fn query(tx: &mut dyn Tx, query: &AuditQuery) -> TxResult<Vec<Logged>> {
    // A text for each first condition, so that the index of its column is used.
    const BY_APPLICATION: &str = select_entry!(
        "",
        "FROM audit a WHERE a.application = $1 AND (CAST($2 AS TEXT) IS NULL OR a.action = $2)
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6"
    );
    const BY_ACTION: &str = select_entry!(
        "",
        "FROM audit a WHERE (CAST($1 AS TEXT) IS NULL OR a.application = $1) AND a.action = $2
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6"
    );
    const ALL: &str = select_entry!(
        "",
        "FROM audit a WHERE (CAST($1 AS TEXT) IS NULL OR a.application = $1) AND (CAST($2 AS TEXT) IS NULL OR a.action = $2)
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6"
    );
    let AuditQuery { application, action, actor, since_secs, after, limit } = query;
    let sql = match (application, action) {
        (Some(_), _) => BY_APPLICATION,
        (None, Some(_)) => BY_ACTION,
        (None, None) => ALL,
    };
    let before = after.unwrap_or(i64::MAX as u64);
    let since = since_secs.unwrap_or(0);
    tx.list(sql, args![application, action, actor, before, since, limit], read_entry)
}
