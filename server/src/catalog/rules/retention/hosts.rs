//! Hosts and the releases they run.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, HostName};

use crate::catalog::model::retention::{
    HOST_FORGOTTEN_SECS, HOSTS_MAX, HOSTS_PER_TOKEN_MAX, HostPart, HostReport, HostRow, HostRows,
    INSTANCES_MAX, Reported,
};
use crate::catalog::rules::releases::list;
use crate::catalog::tx::{Row, Tx, TxResult, args};

/// Expands to a query for [`read_host`].
macro_rules! select_host {
    ($rest:literal) => {
        concat!(
            "SELECT h.host, h.application, h.instance, r.digest, r.version,
                 r.published_at_secs, h.channel, p.version,
                 c.sequence - (SELECT MAX(m.sequence) FROM channel_moves m
                               WHERE m.application = h.application AND m.channel = h.channel
                                   AND m.release_id = h.release_id),
                 h.disks, h.since_secs, h.renewed_at_secs, h.deadline_secs
             FROM hosts h
             JOIN releases r ON r.id = h.release_id
             LEFT JOIN channels c ON c.application = h.application AND c.name = h.channel
             LEFT JOIN releases p ON p.id = c.release_id ",
            $rest
        )
    };
}

fn read_host(row: Row<'_>) -> TxResult<HostRow> {
    Ok(HostRow {
        host: row.name(0)?,
        application: row.name(1)?,
        instance: row.text(2)?.to_owned(),
        release: ReleaseDigest::from_bytes(row.id(3)?),
        version: row.name(4)?,
        published_at_secs: row.count(5)?,
        channel: row.name_or_none(6)?,
        channel_version: row.name_or_none(7)?,
        moves_behind: row.count_or_none(8)?,
        disks: row.count(9)?,
        since_secs: row.count(10)?,
        renewed_at_secs: row.count(11)?,
        deadline_secs: row.count(12)?,
    })
}

/// Records the release a host runs. Before adding an instance, deletes hosts silent for
/// [`HOST_FORGOTTEN_SECS`].
pub(in crate::catalog) fn report(tx: &mut dyn Tx, report: &HostReport) -> TxResult<Reported> {
    let Some(id) = list::id_of(tx, &report.application, report.release)? else {
        return Ok(Reported::NoSuchRelease);
    };
    if !report.speaks_for_all && is_of_another(tx, report)? {
        return Ok(Reported::OfAnother);
    }
    let HostReport { host, application, instance, channel, disks, .. } = report;
    let sql = "SELECT 1 FROM hosts WHERE host = $1 AND application = $2 AND instance = $3";
    if !tx.exists(sql, args![host, application, instance])?
        && let Some(refusal) = limit_reached(tx, report)?
    {
        return Ok(refusal);
    }
    let HostReport { now_secs, deadline_secs, reported_by, speaks_for_all, .. } = report;
    let sql = "INSERT INTO hosts (host, application, instance, release_id, channel, disks,
                   since_secs, renewed_at_secs, deadline_secs, reported_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
               ON CONFLICT (host, application, instance) DO UPDATE SET
                   since_secs = CASE WHEN hosts.release_id = excluded.release_id
                                     THEN hosts.since_secs ELSE excluded.since_secs END,
                   release_id = excluded.release_id, channel = excluded.channel,
                   disks = excluded.disks, renewed_at_secs = excluded.renewed_at_secs,
                   deadline_secs = excluded.deadline_secs,
                   reported_by = CASE WHEN $10 = 1 AND hosts.reported_by <> ''
                                      THEN hosts.reported_by ELSE excluded.reported_by END";
    tx.run(
        sql,
        args![
            host,
            application,
            instance,
            id,
            channel,
            disks,
            now_secs,
            deadline_secs,
            reported_by,
            speaks_for_all
        ],
    )?;
    let sql = select_host!("WHERE h.host = $1 AND h.application = $2 AND h.instance = $3");
    let row = tx.get(sql, args![host, application, instance], read_host)?;
    Ok(Reported::Done(Box::new(row)))
}

/// Returns the refusal of another instance, if a limit is reached.
fn limit_reached(tx: &mut dyn Tx, report: &HostReport) -> TxResult<Option<Reported>> {
    let silent = report.now_secs.saturating_sub(HOST_FORGOTTEN_SECS);
    tx.run("DELETE FROM hosts WHERE deadline_secs < $1", args![silent])?;
    let sql = "SELECT COUNT(*) FROM hosts WHERE host = $1 AND application = $2";
    let keys = args![report.host, report.application];
    if tx.get(sql, keys, |row| row.count::<u32>(0))? >= INSTANCES_MAX {
        return Ok(Some(Reported::TooManyInstances));
    }
    if tx.get("SELECT COUNT(*) FROM hosts", &[], |row| row.count::<u32>(0))? >= HOSTS_MAX {
        return Ok(Some(Reported::TooManyHosts));
    }
    let sql = "SELECT COUNT(*) FROM hosts WHERE reported_by = $1";
    let own: u32 = tx.get(sql, args![report.reported_by], |row| row.count(0))?;
    let is_too_many = own >= HOSTS_PER_TOKEN_MAX && !report.reported_by.is_empty();
    Ok(is_too_many.then_some(Reported::TooManyOfToken))
}

/// Returns whether another token reports this application on this host. Reports of other
/// applications do not count, because a token may be limited to some. Reports past their deadline
/// do not count, because a replaced token is not heard of again.
fn is_of_another(tx: &mut dyn Tx, report: &HostReport) -> TxResult<bool> {
    let sql = "SELECT 1 FROM hosts WHERE host = $1 AND application = $2 AND reported_by <> $3
                   AND reported_by <> '' AND deadline_secs > $4";
    let HostReport { host, application, reported_by, now_secs, .. } = report;
    tx.exists(sql, args![host, application, reported_by, now_secs])
}

/// Lists at most `limit` hosts by name, beginning after `after`; only hosts and instances of
/// `application` if given.
pub(in crate::catalog) fn list(
    tx: &mut dyn Tx,
    application: Option<&ApplicationName>,
    after: Option<&HostName>,
    limit: u32,
) -> TxResult<HostRows> {
    // No name is empty. The empty text sorts before all hosts, and stands for all applications.
    let application = application.map_or("", ApplicationName::as_str);
    let after = after.map_or("", HostName::as_str);
    let sql = "SELECT DISTINCT host FROM hosts
               WHERE host > $1 AND ($2 = '' OR application = $2) ORDER BY host LIMIT $3";
    let mut names: Vec<HostName> =
        tx.list(sql, args![after, application, limit.saturating_add(1)], |row| row.name(0))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > limit;
    names.truncate(limit);
    let Some(last) = names.pop() else { return Ok(HostRows { rows: vec![], next: None }) };
    let sql = select_host!(
        "WHERE h.host > $1 AND ($2 = '' OR h.application = $2) AND h.host <= $3
         ORDER BY h.host, h.application, h.instance"
    );
    let rows = tx.list(sql, args![after, application, last], read_host)?;
    Ok(HostRows { rows, next: more.then_some(last) })
}

/// Deletes instances of a host. Returns the number deleted.
pub(in crate::catalog) fn forget(
    tx: &mut dyn Tx,
    host: &HostName,
    part: &HostPart,
) -> TxResult<u64> {
    let application = part.application.as_ref().map_or("", ApplicationName::as_str);
    let instance = part.instance.as_deref().unwrap_or_default();
    let sql = "DELETE FROM hosts WHERE host = $1 AND ($2 = '' OR application = $2)
                   AND ($3 = '' OR instance = $3)";
    tx.run(sql, args![host, application, instance])
}
