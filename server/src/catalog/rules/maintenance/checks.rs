//! Findings of checks, saved with the progress of the job.

use super::jobs;
use crate::catalog::model::check::{Class, Finding, Findings};
use crate::catalog::model::jobs::{Job, RunnerState};
use crate::catalog::tx::{Batch, Bind, Tx, TxError, TxResult, args};

/// Saves the progress of a check, its findings since the last save, and a heartbeat. Saves nothing
/// unless the runner is to go on. The findings of earlier checks end: they have been reported.
pub(in crate::catalog) fn save(
    tx: &mut dyn Tx,
    job: &Job,
    found: &[Finding],
    now_secs: u64,
) -> TxResult<RunnerState> {
    let state = jobs::save(tx, job, now_secs)?;
    if state != RunnerState::Going {
        return Ok(state);
    }
    let run = job.id.run;
    tx.run("DELETE FROM findings WHERE run < $1", args![run])?;
    let sql = "INSERT INTO findings (run, object, kind, what, class) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (run, object) DO UPDATE SET what = excluded.what, class = excluded.class
               WHERE excluded.class < findings.class";
    let rows = found.iter().map(|finding| {
        let Finding { kind, object, what, class } = finding;
        [run.bind(), object.bind(), kind.bind(), what.bind(), class_number(*class).bind()]
    });
    tx.run_each(sql, &Batch::new(rows))?;
    Ok(state)
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
