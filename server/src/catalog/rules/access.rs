//! Access tokens.

use seawall_api::audit::Action;
use seawall_api::moment::rfc3339;
use seawall_api::names::{ApplicationPattern, TokenName};

use crate::catalog::model::access::{TOKENS_MAX, Token, TokenCreated, TokenRevoked};
use crate::catalog::model::audit::Entry;
use crate::catalog::rules::audit;
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxError, TxResult, args};

/// Separates the patterns of a token in its column. No pattern contains a space.
const SEPARATOR: &str = " ";

/// Creates a token, and logs the creation.
pub(in crate::catalog) fn create(
    tx: &mut dyn Tx,
    token: &Token,
    digest: &[u8; 32],
) -> TxResult<TokenCreated> {
    if tx.exists("SELECT 1 FROM tokens WHERE name = $1", args![token.name])? {
        return Ok(TokenCreated::NameTaken);
    }
    let sql = "SELECT COUNT(*) FROM tokens WHERE revoked_at_secs IS NULL
               AND (expires_at_secs IS NULL OR expires_at_secs > $1)";
    let valid = tx.get(sql, args![token.created_at_secs], |row| row.count::<u32>(0))?;
    if valid >= TOKENS_MAX {
        return Ok(TokenCreated::TooMany);
    }
    let applications = joined(&token.applications);
    let sql = "INSERT INTO tokens (name, digest, role, applications, created_at_secs, created_by,
                                   expires_at_secs)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let Token { name, role, created_at_secs, created_by, expires_at_secs, .. } = token;
    let values = args![
        name,
        *digest,
        *role.name(),
        applications,
        created_at_secs,
        created_by,
        expires_at_secs
    ];
    tx.run(sql, values)?;
    let mut entry = Entry::new(Action::Token, created_by, *created_at_secs)
        .with("created", name)
        .with("role", role.name());
    if !applications.is_empty() {
        entry = entry.with("applications", &applications);
    }
    if let Some(end) = expires_at_secs {
        entry = entry.with("expires", rfc3339(*end));
    }
    audit::append(tx, &entry)?;
    Ok(TokenCreated::Done)
}

/// Revokes a token, and logs the revocation.
pub(in crate::catalog) fn revoke(
    tx: &mut dyn Tx,
    name: &TokenName,
    actor: &str,
    now_secs: u64,
) -> TxResult<TokenRevoked> {
    let sql = "UPDATE tokens SET revoked_at_secs = $1 WHERE name = $2 AND revoked_at_secs IS NULL";
    if tx.run(sql, args![now_secs, name])? == 0 {
        let is_there = tx.exists("SELECT 1 FROM tokens WHERE name = $1", args![name])?;
        return Ok(if is_there { TokenRevoked::Already } else { TokenRevoked::Absent });
    }
    let entry = Entry::new(Action::Token, actor, now_secs).with("revoked", name);
    audit::append(tx, &entry)?;
    Ok(TokenRevoked::Done)
}

/// Returns the token whose secret has this digest, valid or not.
pub(in crate::catalog) fn by_digest(tx: &mut dyn Tx, digest: &[u8; 32]) -> TxResult<Option<Token>> {
    let sql = "SELECT name, role, applications, created_at_secs, created_by, expires_at_secs,
                      revoked_at_secs
               FROM tokens WHERE digest = $1";
    tx.find(sql, args![*digest], |row| {
        let named = |error: TxError| {
            let name = row.text(0).unwrap_or("?");
            TxError::new(error.kind, format!("the row of token `{name}`: {}", error.source))
        };
        read(row).map_err(named)
    })
}

/// Lists tokens by name, beginning after `after`.
pub(in crate::catalog) fn list(
    tx: &mut dyn Tx,
    after: Option<&TokenName>,
    limit: u32,
) -> TxResult<Vec<Token>> {
    let sql = "SELECT name, role, applications, created_at_secs, created_by, expires_at_secs,
                      revoked_at_secs
               FROM tokens WHERE name > $1 ORDER BY name LIMIT $2";
    let after = after.map_or("", TokenName::as_str);
    tx.list(sql, args![*after, limit], read)
}

/// Adds counts of requests, by bucket, and returns the sums.
pub(in crate::catalog) fn add_counts(
    tx: &mut dyn Tx,
    counts: &[(String, u64)],
    now_secs: u64,
) -> TxResult<Vec<u64>> {
    let sql = "INSERT INTO request_counts (bucket, total, added_at_secs) VALUES ($1, $2, $3)
               ON CONFLICT (bucket) DO UPDATE SET total = request_counts.total + excluded.total,
                   added_at_secs = excluded.added_at_secs";
    let rows = counts.iter();
    let rows = rows.map(|(bucket, count)| [bucket.bind(), count.bind(), now_secs.bind()]);
    tx.run_each(sql, &Batch::new(rows))?;
    let sql = "SELECT total FROM request_counts WHERE bucket = $1";
    let buckets = Batch::of(counts.iter().map(|(bucket, _)| bucket));
    let totals = tx.find_each(sql, &buckets, |row| row.count(0))?;
    Ok(totals.into_iter().map(|total| total.unwrap_or(0)).collect())
}

/// Deletes counts to which nothing was added since `before_secs`.
pub(in crate::catalog) fn forget_counts(tx: &mut dyn Tx, before_secs: u64) -> TxResult<()> {
    tx.run("DELETE FROM request_counts WHERE added_at_secs < $1", args![before_secs])?;
    Ok(())
}

fn joined(applications: &[ApplicationPattern]) -> String {
    let names: Vec<_> = applications.iter().map(ApplicationPattern::as_str).collect();
    names.join(SEPARATOR)
}

fn read(row: Row<'_>) -> TxResult<Token> {
    let applications = row.text(2)?.split_terminator(SEPARATOR).map(str::parse);
    Ok(Token {
        name: row.name(0)?,
        role: row.name(1)?,
        applications: applications.collect::<Result<_, _>>().map_err(TxError::damaged)?,
        created_at_secs: row.count(3)?,
        created_by: row.text(4)?.to_owned(),
        expires_at_secs: row.count_or_none(5)?,
        revoked_at_secs: row.count_or_none(6)?,
    })
}
