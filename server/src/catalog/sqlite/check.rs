//! Progress and findings of checks, and damaged releases.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, params};
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::error::ErrorKind;
use seawall_store::port::ObjectName;

use super::connection::{Durability, SqlResult, connect, failed};
use super::{SqliteCatalog, row, schema};
use crate::catalog::check::{
    CheckRun, Checking, ClaimCheck, ClaimedCheck, Class, Finding, Findings, Healing, KnownPack,
    LostObject, MoveRow, Runner,
};
use crate::catalog::collect::Hand;
use crate::catalog::error::CatalogError;
use crate::catalog::model::{ChannelMove, Frame, IndexRow, LeafRow, NewPack, Release};

pub(super) mod damage;
pub(super) mod rows;

#[async_trait::async_trait]
impl Checking for SqliteCatalog {
    async fn check_run(&self) -> Result<Option<CheckRun>, CatalogError> {
        self.connections.read("read a check's progress", newest).await
    }

    async fn last_complete_check(&self) -> Result<Option<u64>, CatalogError> {
        let sql = "SELECT MAX(completed_at_secs) FROM checks WHERE completed_at_secs IS NOT NULL";
        let read = move |tx: &Transaction<'_>| {
            tx.prepare_cached(sql)?.query_row([], |found| optional(found, 0))
        };
        self.connections.read("read a check's completion time", read).await
    }

    async fn claim_check(&self, claim: ClaimCheck) -> Result<ClaimedCheck, CatalogError> {
        self.connections.write("begin a check", move |tx| claim_run(tx, &claim)).await
    }

    async fn save_check(&self, run: CheckRun, found: Vec<Finding>) -> Result<bool, CatalogError> {
        self.connections.write("save a check's progress", move |tx| save(tx, &run, &found)).await
    }

    async fn beat_check(
        &self,
        run: u64,
        runner: Runner,
        now_secs: u64,
    ) -> Result<bool, CatalogError> {
        let beat = move |tx: &Transaction<'_>| {
            let sql = "UPDATE checks SET beat_at_secs =
                           CASE WHEN beat_at_secs < $1 THEN $1 ELSE beat_at_secs END
                       WHERE run = $2 AND runner = $3 AND is_stopped = 0
                       AND completed_at_secs IS NULL AND failure IS NULL";
            let values = params![row::integer(now_secs)?, row::integer(run)?, runner];
            tx.prepare_cached(sql)?.execute(values).map(|count| count > 0)
        };
        self.connections.write("record a check's heartbeat", beat).await
    }

    async fn stop_check(&self) -> Result<(), CatalogError> {
        let sql = "UPDATE checks SET is_stopped = 1 WHERE completed_at_secs IS NULL";
        let stop = move |tx: &Transaction<'_>| tx.prepare_cached(sql)?.execute([]).map(|_| ());
        self.connections.write("stop a check", stop).await
    }

    async fn findings(&self, run: u64, limit: u32) -> Result<Findings, CatalogError> {
        self.connections.read("list findings", move |tx| findings(tx, run, limit)).await
    }

    async fn note_damage(
        &self,
        object: LostObject,
        needed_by: Vec<ReleaseDigest>,
        now_secs: u64,
    ) -> Result<(), CatalogError> {
        let note = move |tx: &Transaction<'_>| damage::note(tx, &object, &needed_by, now_secs);
        self.connections.write("record damage", note).await
    }

    async fn note_sound(
        &self,
        object: ObjectName,
        hand: Hand,
        healing: Healing,
    ) -> Result<bool, CatalogError> {
        const ACTION: &str = "record that an object is sound";
        let text = object.path();
        // Called for every stored object and rarely true, so a read comes before the write.
        if healing == Healing::IfNoted
            && !self.connections.read(ACTION, move |tx| damage::is_noted(tx, &text)).await?
        {
            return Ok(false);
        }
        let note = move |tx: &Transaction<'_>| damage::sound(tx, &object, hand, healing);
        self.connections.write(ACTION, note).await
    }

    async fn lose_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError> {
        self.connections.write("record a lost leaf", move |tx| damage::lose_leaf(tx, leaf)).await
    }

    async fn lost_of(&self, release: ReleaseDigest) -> Result<Vec<LostObject>, CatalogError> {
        self.connections.read("list lost objects", move |tx| damage::lost_of(tx, release)).await
    }

    async fn indexes_needing(&self, object: ObjectName) -> Result<Vec<IndexDigest>, CatalogError> {
        let list = move |tx: &Transaction<'_>| rows::indexes_needing(tx, &object);
        self.connections.read("list the users of an object", list).await
    }

    async fn damaged_releases(&self, limit: u32) -> Result<Vec<Release>, CatalogError> {
        let list = move |tx: &Transaction<'_>| damage::releases(tx, limit);
        self.connections.read("list damaged releases", list).await
    }

    async fn note_leaves(
        &self,
        index: IndexDigest,
        leaves: Vec<LeafDigest>,
    ) -> Result<(), CatalogError> {
        let note = move |tx: &Transaction<'_>| rows::note_leaves(tx, index, &leaves);
        self.connections.write("record an index's leaves", note).await
    }

    async fn note_indexes(
        &self,
        release: ReleaseDigest,
        indexes: Vec<IndexDigest>,
    ) -> Result<(), CatalogError> {
        let note = move |tx: &Transaction<'_>| super::releases::name_indexes(tx, release, &indexes);
        self.connections.write("record a release's indexes", note).await
    }

    async fn is_needed(&self, object: ObjectName) -> Result<bool, CatalogError> {
        self.connections.read("look for references", move |tx| rows::is_needed(tx, &object)).await
    }

    async fn packs_len(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT COALESCE(SUM(len), 0) FROM packs";
        let read = move |tx: &Transaction<'_>| {
            tx.prepare_cached(sql)?.query_row([], |found| row::quantity(found, 0))
        };
        self.connections.read("sum up packs", read).await
    }

    async fn known_pack(&self, pack: PackDigest) -> Result<Option<KnownPack>, CatalogError> {
        self.connections.read("read a pack's row", move |tx| rows::pack(tx, pack)).await
    }

    async fn known_packs(
        &self,
        after: Option<PackDigest>,
        limit: u32,
    ) -> Result<Vec<KnownPack>, CatalogError> {
        self.connections.read("list packs", move |tx| rows::packs(tx, after, limit)).await
    }

    async fn misplaced(
        &self,
        pack: PackDigest,
        frames: Vec<Frame>,
    ) -> Result<Vec<Frame>, CatalogError> {
        let compare = move |tx: &Transaction<'_>| rows::misplaced(tx, pack, &frames);
        self.connections.read("compare a pack with its rows", compare).await
    }

    async fn correct_pack(&self, pack: NewPack, hand: Hand) -> Result<(), CatalogError> {
        let correct = move |tx: &Transaction<'_>| rows::correct(tx, &pack, hand);
        self.connections.write("correct a pack's rows", correct).await
    }

    async fn known_leaves(
        &self,
        after: Option<LeafDigest>,
        limit: u32,
    ) -> Result<Vec<LeafRow>, CatalogError> {
        self.connections.read("list leaves", move |tx| rows::leaves(tx, after, limit)).await
    }

    async fn known_indexes(
        &self,
        after: Option<IndexDigest>,
        limit: u32,
    ) -> Result<Vec<IndexRow>, CatalogError> {
        self.connections.read("list indexes", move |tx| rows::indexes(tx, after, limit)).await
    }

    async fn known_releases(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError> {
        let list = move |tx: &Transaction<'_>| rows::releases(tx, after.as_ref(), limit);
        self.connections.read("list all releases", list).await
    }

    async fn named_release(
        &self,
        application: ApplicationName,
        version: Version,
    ) -> Result<Option<Release>, CatalogError> {
        let read = move |tx: &Transaction<'_>| rows::named_release(tx, &application, &version);
        self.connections.read("read a release by its name", read).await
    }

    async fn release_of(&self, release: ReleaseDigest) -> Result<Option<Release>, CatalogError> {
        self.connections.read("read a release", move |tx| rows::release(tx, release)).await
    }

    async fn known_moves(&self, after: String, limit: u32) -> Result<Vec<MoveRow>, CatalogError> {
        self.connections.read("list moves", move |tx| rows::moves(tx, &after, limit)).await
    }

    async fn known_move(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        sequence: u64,
    ) -> Result<Option<ChannelMove>, CatalogError> {
        let read = move |tx: &Transaction<'_>| rows::one_move(tx, &application, &channel, sequence);
        self.connections.read("read a move", read).await
    }

    async fn check_rows(&self) -> Result<Vec<String>, CatalogError> {
        self.connections.read("check its rows", rows::check).await
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.connections.path().as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    async fn back_up(&self, path: PathBuf) -> Result<(), CatalogError> {
        const ACTION: &str = "be copied";
        let own = self.connections.path().to_owned();
        let work = tokio::task::spawn_blocking(move || copy(&own, &path));
        work.await.map_err(|error| CatalogError::new(ErrorKind::Internal, ACTION, error))?
    }
}

/// Copies the catalog at one moment while others use it, and verifies the copy.
fn copy(own: &Path, copy: &Path) -> Result<(), CatalogError> {
    const ACTION: &str = "be copied";
    let fail = |error| failed(ACTION, error);
    let damaged = |why: String| CatalogError::new(ErrorKind::Damaged, ACTION, why);
    let Some(text) = copy.to_str() else {
        let why = "the copy's path is not UTF-8";
        return Err(CatalogError::new(ErrorKind::InvalidInput, ACTION, why));
    };
    let connection = connect(own, Durability::EveryCommit).map_err(fail)?;
    connection.execute("VACUUM INTO $1", [text]).map_err(fail)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let made = Connection::open_with_flags(copy, flags).map_err(fail)?;
    schema::check(&made)?;
    let said: String =
        made.query_row("PRAGMA integrity_check(1)", [], |found| found.get(0)).map_err(fail)?;
    if said != "ok" {
        return Err(damaged(said));
    }
    drop(made);
    let sync = || std::fs::File::open(copy)?.sync_all();
    sync().map_err(|error| CatalogError::new(ErrorKind::Unavailable, ACTION, error))
}

const RUN: &str = "SELECT run, runner, beat_at_secs, is_stopped, started_at_secs,
        completed_at_secs, rate, phase, cursor, objects, bytes, total_bytes, reclaimable_count,
        reclaimable_bytes, failure FROM checks";

fn optional(found: &Row<'_>, at: usize) -> SqlResult<Option<u64>> {
    let value: Option<i64> = found.get(at)?;
    value
        .map(|value| {
            u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
        })
        .transpose()
}

fn read_run(found: &Row<'_>) -> SqlResult<CheckRun> {
    Ok(CheckRun {
        run: row::quantity(found, 0)?,
        runner: found.get(1)?,
        beat_at_secs: row::quantity(found, 2)?,
        is_stopped: found.get::<_, i64>(3)? != 0,
        started_at_secs: row::quantity(found, 4)?,
        completed_at_secs: optional(found, 5)?,
        rate: row::quantity(found, 6)?,
        phase: row::quantity(found, 7)?,
        cursor: found.get(8)?,
        objects: row::quantity(found, 9)?,
        bytes: row::quantity(found, 10)?,
        total_bytes: row::quantity(found, 11)?,
        reclaimable_count: row::quantity(found, 12)?,
        reclaimable_bytes: row::quantity(found, 13)?,
        failure: found.get(14)?,
    })
}

fn newest(tx: &Transaction<'_>) -> SqlResult<Option<CheckRun>> {
    let sql = format!("{RUN} ORDER BY run DESC LIMIT 1");
    tx.prepare_cached(&sql)?.query_row([], read_run).optional()
}

fn claim_run(tx: &Transaction<'_>, claim: &ClaimCheck) -> SqlResult<ClaimedCheck> {
    let last = newest(tx)?;
    let unfinished = last.filter(|run| run.completed_at_secs.is_none());
    let (now, rate) = (row::integer(claim.now_secs)?, row::integer(claim.rate)?);
    if let Some(run) = &unfinished {
        let is_alive = !run.is_stopped
            && run.failure.is_none()
            && run.beat_at_secs.saturating_add(claim.patience_secs) > claim.now_secs;
        if is_alive && run.runner != claim.runner {
            return Ok(ClaimedCheck::Held);
        }
    }
    match unfinished {
        Some(run) if !claim.restart => {
            let sql = "UPDATE checks SET runner = $1, beat_at_secs = $2, rate = $3, is_stopped = 0,
                       failure = NULL WHERE run = $4";
            tx.prepare_cached(sql)?.execute(params![
                claim.runner,
                now,
                rate,
                row::integer(run.run)?
            ])?;
        }
        _ => {
            // The findings of earlier checks have been reported. The times of completed checks are
            // kept.
            tx.execute("DELETE FROM findings", [])?;
            tx.execute("DELETE FROM checks WHERE completed_at_secs IS NULL", [])?;
            let sql = "INSERT INTO checks (runner, beat_at_secs, started_at_secs, rate)
                       VALUES ($1, $2, $2, $3)";
            tx.prepare_cached(sql)?.execute(params![claim.runner, now, rate])?;
        }
    }
    let run = newest(tx)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(ClaimedCheck::Yours(run))
}

fn save(tx: &Transaction<'_>, run: &CheckRun, found: &[Finding]) -> SqlResult<bool> {
    let sql = "UPDATE checks SET beat_at_secs = $1, completed_at_secs = $2, phase = $3,
               cursor = $4, objects = $5, bytes = $6, total_bytes = $7, reclaimable_count = $8,
               reclaimable_bytes = $9, failure = $10
               WHERE run = $11 AND runner = $12 AND is_stopped = 0";
    let count = tx.prepare_cached(sql)?.execute(params![
        row::integer(run.beat_at_secs)?,
        run.completed_at_secs.map(row::integer).transpose()?,
        run.phase,
        run.cursor,
        row::integer(run.objects)?,
        row::integer(run.bytes)?,
        row::integer(run.total_bytes)?,
        row::integer(run.reclaimable_count)?,
        row::integer(run.reclaimable_bytes)?,
        run.failure,
        row::integer(run.run)?,
        run.runner,
    ])?;
    if count == 0 {
        return Ok(false);
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO findings (run, object, kind, what, class) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run, object) DO UPDATE SET what = excluded.what, class = excluded.class
         WHERE excluded.class < findings.class",
    )?;
    for finding in found {
        insert.execute(params![
            row::integer(run.run)?,
            finding.object,
            finding.kind,
            finding.what,
            class_number(finding.class),
        ])?;
    }
    Ok(true)
}

const fn class_number(class: Class) -> i64 {
    match class {
        Class::Damage => 0,
        Class::Mended => 1,
        Class::Reclaimable => 2,
    }
}

fn findings(tx: &Transaction<'_>, run: u64, limit: u32) -> SqlResult<Findings> {
    let run = row::integer(run)?;
    let sql = "SELECT kind, object, what, class FROM findings WHERE run = $1
               ORDER BY class, object LIMIT $2";
    let mut statement = tx.prepare_cached(sql)?;
    let list = statement.query_map(params![run, limit], |found| {
        let class = match found.get::<_, i64>(3)? {
            0 => Class::Damage,
            1 => Class::Mended,
            2 => Class::Reclaimable,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
        };
        Ok(Finding { kind: found.get(0)?, object: found.get(1)?, what: found.get(2)?, class })
    })?;
    let list = list.collect::<Result<_, _>>()?;
    let sql = "SELECT kind, COUNT(*) FROM findings WHERE run = $1 AND class < 2 GROUP BY kind";
    let mut statement = tx.prepare_cached(sql)?;
    let damage =
        statement.query_map([run], |found| Ok((found.get(0)?, row::quantity(found, 1)?)))?;
    Ok(Findings { list, damage: damage.collect::<Result<_, _>>()? })
}
