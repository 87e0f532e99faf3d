//! Jobs: which runner works on which, and how far it came.

use crate::catalog::model::jobs::{
    ClaimJob, Job, JobEnd, JobEnded, JobId, JobKind, JobName, RunnerState,
};
use crate::catalog::tx::{Row, Tx, TxError, TxResult, args};

/// Expands to a query for [`read`].
macro_rules! select_job {
    ($rest:literal) => {
        concat!(
            "SELECT run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
                 failure, cursor, progress, request, kind, subject FROM jobs ",
            $rest
        )
    };
}

/// Reads a job; `None` if its kind is not known to this version.
fn read(row: Row<'_>) -> TxResult<Option<Job>> {
    let name = row.text(10)?;
    let Some(kind) = JobKind::ALL.into_iter().find(|kind| kind.name() == name) else {
        return Ok(None);
    };
    let text = |at| row.text(at).map(str::to_owned);
    let end = match row.count_or_none(5)? {
        Some(at_secs) => Some(JobEnd { at_secs, failure: row.text_or_none(6)?.map(str::to_owned) }),
        None => None,
    };
    Ok(Some(Job {
        id: JobId { kind, run: row.count(0)?, runner: row.id(1)? },
        subject: text(11)?,
        beat_at_secs: row.count(2)?,
        is_stopped: row.flag(3)?,
        started_at_secs: row.count(4)?,
        end,
        cursor: text(7)?,
        progress: text(8)?,
        request: text(9)?,
    }))
}

/// Returns the newest job of a name.
pub(in crate::catalog) fn newest(tx: &mut dyn Tx, name: &JobName) -> TxResult<Option<Job>> {
    let sql = select_job!("WHERE kind = $1 AND subject = $2 ORDER BY run DESC LIMIT 1");
    Ok(tx.find(sql, args![name.kind.name(), name.subject], read)?.flatten())
}

/// Lists the newest job of each name by kind and subject, each with the time of the last complete
/// one, in seconds since 1970-01-01 UTC. Reads at most `limit` rows.
pub(in crate::catalog) fn list(tx: &mut dyn Tx, limit: u32) -> TxResult<Vec<(Job, Option<u64>)>> {
    let sql = select_job!("ORDER BY kind, subject, run DESC LIMIT $1");
    let mut list: Vec<(Job, Option<u64>)> = Vec::new();
    for job in tx.list(sql, args![limit], read)?.into_iter().flatten() {
        let complete = job.end.as_ref().filter(|end| end.failure.is_none()).map(|end| end.at_secs);
        match list.last_mut() {
            Some((newest, last))
                if (newest.id.kind, &newest.subject) == (job.id.kind, &job.subject) =>
            {
                *last = last.or(complete);
            }
            _ => list.push((job, complete)),
        }
    }
    Ok(list)
}

/// Lists the jobs of a kind that have not ended, by subject.
pub(in crate::catalog) fn unfinished(tx: &mut dyn Tx, kind: JobKind) -> TxResult<Vec<Job>> {
    let sql = select_job!("WHERE kind = $1 AND ended_at_secs IS NULL ORDER BY subject");
    Ok(tx.list(sql, args![kind.name()], read)?.into_iter().flatten().collect())
}

/// Returns the time of the last complete job of a name, in seconds since 1970-01-01 UTC.
pub(in crate::catalog) fn last_complete(tx: &mut dyn Tx, name: &JobName) -> TxResult<Option<u64>> {
    let sql = "SELECT MAX(ended_at_secs) FROM jobs
               WHERE kind = $1 AND subject = $2 AND failure IS NULL";
    tx.get(sql, args![name.kind.name(), name.subject], |row| row.count_or_none(0))
}

/// Claims a job for a runner: resumes the newest if it did not complete, or else begins one with
/// the progress that `begin` makes of the newest. A request that a dead runner left stays with a
/// resumed job; a new one has it from `begin`. Returns `None` while another runner is alive.
pub(in crate::catalog) fn claim(
    tx: &mut dyn Tx,
    claim: &ClaimJob,
    begin: impl Fn(Option<&Job>) -> String,
) -> TxResult<Option<Job>> {
    let ClaimJob { name, runner, now_secs, patience_secs, restart } = claim;
    let JobName { kind, subject } = name;
    let before = newest(tx, name)?;
    let unfinished = before.as_ref().filter(|job| !job.is_complete());
    if unfinished.is_some_and(|job| !job.is_stopped && job.is_alive(*now_secs, *patience_secs)) {
        return Ok(None);
    }
    match unfinished {
        Some(job) if !restart => {
            let sql = "UPDATE jobs SET runner = $1, beat_at_secs = $2, is_stopped = 0,
                           ended_at_secs = NULL, failure = NULL
                       WHERE kind = $3 AND run = $4";
            tx.run(sql, args![runner, now_secs, kind.name(), job.id.run])?;
        }
        _ => {
            // A number is not used again, so that no findings of a deleted job pass for its own.
            let sql = "SELECT COALESCE(MAX(run), 0) + 1 FROM jobs WHERE kind = $1";
            let run: u64 = tx.get(sql, args![kind.name()], |row| row.count(0))?;
            // Only the last complete job is kept: its time is shown.
            let sql = "DELETE FROM jobs WHERE kind = $1 AND subject = $2
                       AND (ended_at_secs IS NULL OR failure IS NOT NULL)";
            tx.run(sql, args![kind.name(), subject])?;
            let sql = "DELETE FROM jobs WHERE kind = $1 AND subject = $2
                       AND run < (SELECT MAX(run) FROM jobs WHERE kind = $1 AND subject = $2)";
            tx.run(sql, args![kind.name(), subject])?;
            let sql = "INSERT INTO jobs
                           (kind, subject, run, runner, beat_at_secs, started_at_secs, progress)
                       VALUES ($1, $2, $3, $4, $5, $5, $6)";
            let progress = begin(before.as_ref());
            tx.run(sql, args![kind.name(), subject, run, runner, now_secs, progress])?;
        }
    }
    let job = newest(tx, name)?;
    job.map(Some).ok_or_else(|| TxError::damaged("a job that began has no row"))
}

/// Records a heartbeat. Returns the state of the runner.
pub(in crate::catalog) fn beat(
    tx: &mut dyn Tx,
    id: &JobId,
    now_secs: u64,
) -> TxResult<RunnerState> {
    let JobId { kind, run, runner } = id;
    let sql = "SELECT is_stopped FROM jobs
               WHERE kind = $1 AND run = $2 AND runner = $3 AND ended_at_secs IS NULL";
    let Some(is_stopped) = tx.find(sql, args![kind.name(), run, runner], |row| row.flag(0))? else {
        return Ok(RunnerState::Lost);
    };
    let sql = "UPDATE jobs SET beat_at_secs = $1
               WHERE kind = $2 AND run = $3 AND beat_at_secs < $1";
    tx.run(sql, args![now_secs, kind.name(), run])?;
    Ok(if is_stopped { RunnerState::Stopped } else { RunnerState::Going })
}

/// Saves the progress of a job, with a heartbeat. Saves nothing unless the runner is to go on.
pub(in crate::catalog) fn save(tx: &mut dyn Tx, job: &Job, now_secs: u64) -> TxResult<RunnerState> {
    let state = beat(tx, &job.id, now_secs)?;
    if state == RunnerState::Going {
        let sql = "UPDATE jobs SET cursor = $1, progress = $2 WHERE kind = $3 AND run = $4";
        tx.run(sql, args![job.cursor, job.progress, job.id.kind.name(), job.id.run])?;
    }
    Ok(state)
}

/// Tells the running job to stop, and drops the request for it to go on.
pub(in crate::catalog) fn stop(tx: &mut dyn Tx, name: &JobName) -> TxResult<()> {
    let sql = "UPDATE jobs SET is_stopped = 1, request = ''
               WHERE kind = $1 AND subject = $2 AND ended_at_secs IS NULL";
    tx.run(sql, args![name.kind.name(), name.subject])?;
    Ok(())
}

/// Deletes the jobs of a subject that is removed. A runner learns that it lost its job.
pub(in crate::catalog::rules) fn forget(tx: &mut dyn Tx, name: &JobName) -> TxResult<()> {
    let sql = "DELETE FROM jobs WHERE kind = $1 AND subject = $2";
    tx.run(sql, args![name.kind.name(), name.subject])?;
    Ok(())
}

/// Requests that the running job goes on when it is done. `merge` makes the request from the
/// earlier one. Returns false if no runner is alive.
pub(in crate::catalog) fn request(
    tx: &mut dyn Tx,
    name: &JobName,
    now_secs: u64,
    patience_secs: u64,
    merge: impl Fn(&str) -> String,
) -> TxResult<bool> {
    let alive = newest(tx, name)?.filter(|job| job.is_alive(now_secs, patience_secs));
    let Some(job) = alive else { return Ok(false) };
    let sql = "UPDATE jobs SET request = $1 WHERE kind = $2 AND run = $3";
    tx.run(sql, args![merge(&job.request), name.kind.name(), job.id.run])?;
    Ok(true)
}

/// Ends a job with its last progress, unless it was requested to go on: then takes the request and
/// clears the stop. Changes nothing if the job belongs to another runner.
pub(in crate::catalog) fn end(tx: &mut dyn Tx, job: &Job, end: &JobEnd) -> TxResult<JobEnded> {
    let Job { id: JobId { kind, run, .. }, cursor, progress, .. } = job;
    if beat(tx, &job.id, end.at_secs)? == RunnerState::Lost {
        return Ok(JobEnded::Ended);
    }
    let sql = "SELECT request FROM jobs WHERE kind = $1 AND run = $2";
    let request = tx.get(sql, args![kind.name(), run], |row| row.text(0).map(str::to_owned))?;
    if !request.is_empty() {
        let sql = "UPDATE jobs SET request = '', is_stopped = 0 WHERE kind = $1 AND run = $2";
        tx.run(sql, args![kind.name(), run])?;
        return Ok(JobEnded::Requested(request));
    }
    let sql = "UPDATE jobs SET ended_at_secs = $1, failure = $2, cursor = $3, progress = $4
               WHERE kind = $5 AND run = $6";
    tx.run(sql, args![end.at_secs, end.failure, cursor, progress, kind.name(), run])?;
    Ok(JobEnded::Ended)
}
