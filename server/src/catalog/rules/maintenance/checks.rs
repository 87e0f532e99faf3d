//! Progress and findings of checks.

use crate::catalog::model::check::{
    CheckRun, ClaimCheck, ClaimedCheck, Class, Finding, Findings, Runner,
};
use crate::catalog::tx::{Batch, Bind, Row, Tx, TxError, TxResult, args};

fn read_run(row: Row<'_>) -> TxResult<CheckRun> {
    Ok(CheckRun {
        run: row.count(0)?,
        runner: row.id(1)?,
        beat_at_secs: row.count(2)?,
        is_stopped: row.flag(3)?,
        started_at_secs: row.count(4)?,
        completed_at_secs: row.count_or_none(5)?,
        rate: row.count(6)?,
        phase: row.count(7)?,
        cursor: row.text(8)?.to_owned(),
        objects: row.count(9)?,
        bytes: row.count(10)?,
        total_bytes: row.count(11)?,
        reclaimable_count: row.count(12)?,
        reclaimable_bytes: row.count(13)?,
        failure: row.text_or_none(14)?.map(str::to_owned),
    })
}

/// Returns the newest check.
pub(in crate::catalog) fn newest(tx: &mut dyn Tx) -> TxResult<Option<CheckRun>> {
    let sql = "SELECT run, runner, beat_at_secs, is_stopped, started_at_secs, completed_at_secs,
                   rate, phase, cursor, objects, bytes, total_bytes, reclaimable_count,
                   reclaimable_bytes, failure
               FROM checks ORDER BY run DESC LIMIT 1";
    tx.find(sql, &[], read_run)
}

/// Returns the time of the last completed check, in seconds since 1970-01-01 UTC.
pub(in crate::catalog) fn last_complete(tx: &mut dyn Tx) -> TxResult<Option<u64>> {
    let sql = "SELECT MAX(completed_at_secs) FROM checks WHERE completed_at_secs IS NOT NULL";
    tx.get(sql, &[], |row| row.count_or_none(0))
}

/// Starts a check or resumes an unfinished one.
pub(in crate::catalog) fn claim(tx: &mut dyn Tx, claim: &ClaimCheck) -> TxResult<ClaimedCheck> {
    let unfinished = newest(tx)?.filter(|run| run.completed_at_secs.is_none());
    if let Some(run) = &unfinished {
        let is_alive = !run.is_stopped
            && run.failure.is_none()
            && run.beat_at_secs.saturating_add(claim.patience_secs) > claim.now_secs;
        if is_alive && run.runner != claim.runner {
            return Ok(ClaimedCheck::Held);
        }
    }
    let ClaimCheck { runner, now_secs, rate, .. } = claim;
    match unfinished {
        Some(run) if !claim.restart => {
            let sql = "UPDATE checks SET runner = $1, beat_at_secs = $2, rate = $3, is_stopped = 0,
                       failure = NULL WHERE run = $4";
            tx.run(sql, args![runner, now_secs, rate, run.run])?;
        }
        _ => {
            // The findings of earlier checks have been reported. The times of completed checks are
            // kept.
            tx.run("DELETE FROM findings", &[])?;
            tx.run("DELETE FROM checks WHERE completed_at_secs IS NULL", &[])?;
            let sql = "INSERT INTO checks (runner, beat_at_secs, started_at_secs, rate)
                       VALUES ($1, $2, $2, $3)";
            tx.run(sql, args![runner, now_secs, rate])?;
        }
    }
    let run = newest(tx)?.ok_or_else(|| TxError::damaged("a check that began has no row"))?;
    Ok(ClaimedCheck::Yours(run))
}

/// Records a heartbeat of a check. Returns false if the check belongs to another runner, was told
/// to stop, or has ended.
pub(in crate::catalog) fn beat(
    tx: &mut dyn Tx,
    run: u64,
    runner: Runner,
    now_secs: u64,
) -> TxResult<bool> {
    let sql = "UPDATE checks SET beat_at_secs =
                   CASE WHEN beat_at_secs < $1 THEN $1 ELSE beat_at_secs END
               WHERE run = $2 AND runner = $3 AND is_stopped = 0
               AND completed_at_secs IS NULL AND failure IS NULL";
    Ok(tx.run(sql, args![now_secs, run, runner])? > 0)
}

/// Tells the running check to stop.
pub(in crate::catalog) fn stop(tx: &mut dyn Tx) -> TxResult<()> {
    tx.run("UPDATE checks SET is_stopped = 1 WHERE completed_at_secs IS NULL", &[])?;
    Ok(())
}

/// Saves the progress of a check and its findings since the last save. Returns false, and saves
/// nothing, if the check belongs to another runner or was told to stop.
pub(in crate::catalog) fn save(
    tx: &mut dyn Tx,
    check: &CheckRun,
    found: &[Finding],
) -> TxResult<bool> {
    let CheckRun { run, runner, beat_at_secs, completed_at_secs, phase, cursor, .. } = check;
    let CheckRun { objects, bytes, total_bytes, failure, .. } = check;
    let CheckRun { reclaimable_count, reclaimable_bytes, .. } = check;
    let sql = "UPDATE checks SET beat_at_secs = $1, completed_at_secs = $2, phase = $3,
               cursor = $4, objects = $5, bytes = $6, total_bytes = $7, reclaimable_count = $8,
               reclaimable_bytes = $9, failure = $10
               WHERE run = $11 AND runner = $12 AND is_stopped = 0";
    let count = tx.run(
        sql,
        args![
            beat_at_secs,
            completed_at_secs,
            phase,
            cursor,
            objects,
            bytes,
            total_bytes,
            reclaimable_count,
            reclaimable_bytes,
            failure,
            run,
            runner
        ],
    )?;
    if count == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO findings (run, object, kind, what, class) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (run, object) DO UPDATE SET what = excluded.what, class = excluded.class
               WHERE excluded.class < findings.class";
    let rows = found.iter().map(|finding| {
        let Finding { kind, object, what, class } = finding;
        [run.bind(), object.bind(), kind.bind(), what.bind(), class_number(*class).bind()]
    });
    tx.run_each(sql, &Batch::new(rows))?;
    Ok(true)
}

const fn class_number(class: Class) -> &'static i64 {
    match class {
        Class::Damage => &0,
        Class::Mended => &1,
        Class::Reclaimable => &2,
    }
}

/// Returns the findings of a check, at most `limit` in the list.
pub(in crate::catalog) fn findings(tx: &mut dyn Tx, run: u64, limit: u32) -> TxResult<Findings> {
    let sql = "SELECT kind, object, what, class FROM findings WHERE run = $1
               ORDER BY class, object LIMIT $2";
    let list = tx.list(sql, args![run, limit], |row| {
        let class = match row.int(3)? {
            0 => Class::Damage,
            1 => Class::Mended,
            2 => Class::Reclaimable,
            other => return Err(TxError::damaged(format!("a finding has the class {other}"))),
        };
        let text = |at| row.text(at).map(str::to_owned);
        Ok(Finding { kind: text(0)?, object: text(1)?, what: text(2)?, class })
    })?;
    let sql = "SELECT kind, COUNT(*) FROM findings WHERE run = $1 AND class < 2 GROUP BY kind";
    let damage = tx.list(sql, args![run], |row| Ok((row.text(0)?.to_owned(), row.count(1)?)))?;
    Ok(Findings { list, damage })
}
