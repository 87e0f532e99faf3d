//! Rows, as a check compares them with the store.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::digest::{ContentDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::units::DiskLen;
use seawall_store::port::ObjectName;

use super::super::connection::SqlResult;
use super::super::{content, releases as published, row};
use crate::catalog::check::{KnownPack, MoveRow};
use crate::catalog::collect::{Grip, Hand};
use crate::catalog::model::{ChannelMove, Frame, IndexRow, LeafRow, NewPack, Release};

/// The maximum number of faults listed per kind.
const FAULTS_NAMED: usize = 100;
/// Separates the parts of a cursor over moves. No name contains a space.
const SEPARATOR: char = ' ';
/// The lower bound of all digests.
const FIRST: [u8; 0] = [];

pub(super) fn note_leaves(
    tx: &Transaction<'_>,
    index: IndexDigest,
    leaves: &[LeafDigest],
) -> SqlResult<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO index_leaves (leaf_digest, index_digest) VALUES ($1, $2)
         ON CONFLICT (leaf_digest, index_digest) DO NOTHING",
    )?;
    for leaf in leaves {
        insert.execute(params![leaf.as_bytes(), index.as_bytes()])?;
    }
    Ok(())
}

/// Returns those indexes of releases that need an object.
pub(super) fn indexes_needing(
    tx: &Transaction<'_>,
    object: &ObjectName,
) -> SqlResult<Vec<IndexDigest>> {
    let (sql, digest) = match object {
        ObjectName::Pack(pack) => (
            "SELECT DISTINCT n.index_digest FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE k.digest = $1",
            pack.as_bytes(),
        ),
        ObjectName::Leaf(leaf) => (
            "SELECT DISTINCT n.index_digest FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE i.leaf_digest = $1",
            leaf.as_bytes(),
        ),
        ObjectName::Index(index) => return Ok(vec![*index]),
        ObjectName::Descriptor(_) | ObjectName::Release(_) | ObjectName::Name(_) => {
            return Ok(Vec::new());
        }
    };
    let read = |found: &Row<'_>| Ok(IndexDigest::from_bytes(row::digest(found, 0)?));
    tx.prepare_cached(sql)?.query_map([digest], read)?.collect()
}

pub(super) fn is_needed(tx: &Transaction<'_>, object: &ObjectName) -> SqlResult<bool> {
    let (sql, digest) = match object {
        ObjectName::Pack(pack) => (
            "SELECT 1 FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE k.digest = $1 LIMIT 1",
            pack.as_bytes(),
        ),
        ObjectName::Leaf(leaf) => (
            "SELECT 1 FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE i.leaf_digest = $1 LIMIT 1",
            leaf.as_bytes(),
        ),
        ObjectName::Index(index) => {
            ("SELECT 1 FROM release_indexes WHERE index_digest = $1 LIMIT 1", index.as_bytes())
        }
        ObjectName::Release(release) => {
            let sql = "SELECT 1 FROM releases WHERE digest = $1 AND deleted_at_secs IS NULL";
            (sql, release.as_bytes())
        }
        ObjectName::Descriptor(_) | ObjectName::Name(_) => return Ok(false),
    };
    tx.prepare_cached(sql)?.exists([digest])
}

const PACK: &str = "SELECT k.digest, k.len,
        EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = k.id),
        EXISTS (SELECT 1 FROM condemned_packs c WHERE c.pack_id = k.id) FROM packs k";

fn read_pack(found: &Row<'_>) -> SqlResult<KnownPack> {
    Ok(KnownPack {
        digest: PackDigest::from_bytes(row::digest(found, 0)?),
        len: row::quantity(found, 1)?,
        is_lost: found.get::<_, i64>(2)? != 0,
        is_condemned: found.get::<_, i64>(3)? != 0,
    })
}

pub(super) fn pack(tx: &Transaction<'_>, pack: PackDigest) -> SqlResult<Option<KnownPack>> {
    let sql = format!("{PACK} WHERE k.digest = $1");
    tx.prepare_cached(&sql)?.query_row([pack.as_bytes()], read_pack).optional()
}

pub(super) fn packs(
    tx: &Transaction<'_>,
    after: Option<PackDigest>,
    limit: u32,
) -> SqlResult<Vec<KnownPack>> {
    let sql = format!("{PACK} WHERE k.digest > $1 ORDER BY k.digest LIMIT $2");
    let after = after.as_ref().map_or(&FIRST[..], |pack| pack.as_bytes());
    tx.prepare_cached(&sql)?.query_map(params![after, limit], read_pack)?.collect()
}

pub(super) fn misplaced(
    tx: &Transaction<'_>,
    pack: PackDigest,
    frames: &[Frame],
) -> SqlResult<Vec<Frame>> {
    let mut find = tx.prepare_cached(
        "SELECT k.digest, c.frame_offset, c.stored_len, c.plain_len, c.encoding
         FROM chunks c JOIN packs k ON k.id = c.pack_id WHERE c.digest = $1",
    )?;
    let mut misplaced = Vec::new();
    for frame in frames {
        let fits = find
            .query_row([frame.digest.as_bytes()], |at| {
                let is_here = row::digest(at, 0)? == *pack.as_bytes();
                let fits = row::quantity::<u64>(at, 1)? == frame.offset
                    && row::quantity::<u32>(at, 2)? == frame.stored_len
                    && row::quantity::<u32>(at, 3)? == frame.plain_len.get()
                    && row::quantity::<u8>(at, 4)? == frame.encoding;
                Ok(!is_here || fits)
            })
            .optional()?;
        if fits != Some(true) {
            misplaced.push(*frame);
        }
    }
    Ok(misplaced)
}

pub(super) fn correct(tx: &Transaction<'_>, pack: &NewPack, hand: Hand) -> SqlResult<()> {
    // A condemned pack stays condemned: a collection looks at it again before the sweep.
    if self::pack(tx, pack.digest)?.is_some_and(|known| known.is_condemned) {
        return Ok(());
    }
    content::add_pack(tx, pack, Grip { hand: Some(hand), ..Grip::ANY })?;
    // Adding a pack leaves known chunks in place. Those in this pack are corrected here.
    let mut place = tx.prepare_cached(
        "UPDATE chunks SET frame_offset = $1, stored_len = $2, plain_len = $3, encoding = $4
         WHERE digest = $5 AND pack_id = (SELECT id FROM packs WHERE digest = $6)",
    )?;
    for frame in &pack.frames {
        place.execute(params![
            row::integer(frame.offset)?,
            frame.stored_len,
            frame.plain_len.get(),
            frame.encoding,
            frame.digest.as_bytes(),
            pack.digest.as_bytes(),
        ])?;
    }
    Ok(())
}

pub(super) fn leaves(
    tx: &Transaction<'_>,
    after: Option<LeafDigest>,
    limit: u32,
) -> SqlResult<Vec<LeafRow>> {
    let sql = "SELECT digest, span_len, data_bytes FROM leaves WHERE digest > $1
               ORDER BY digest LIMIT $2";
    let after = after.as_ref().map_or(&FIRST[..], |leaf| leaf.as_bytes());
    let read = |found: &Row<'_>| {
        Ok(LeafRow {
            digest: LeafDigest::from_bytes(row::digest(found, 0)?),
            span_len: row::quantity(found, 1)?,
            data_bytes: row::quantity(found, 2)?,
        })
    };
    tx.prepare_cached(sql)?.query_map(params![after, limit], read)?.collect()
}

pub(super) fn indexes(
    tx: &Transaction<'_>,
    after: Option<IndexDigest>,
    limit: u32,
) -> SqlResult<Vec<IndexRow>> {
    let sql = "SELECT digest, disk_len, content, data_bytes FROM indexes WHERE digest > $1
               ORDER BY digest LIMIT $2";
    let after = after.as_ref().map_or(&FIRST[..], |index| index.as_bytes());
    let read = |found: &Row<'_>| {
        let disk_len =
            DiskLen::new(row::quantity(found, 1)?).map_err(|error| row::refused(1, error))?;
        Ok(IndexRow {
            digest: IndexDigest::from_bytes(row::digest(found, 0)?),
            disk_len,
            content: ContentDigest::from_bytes(row::digest(found, 2)?),
            data_bytes: row::quantity(found, 3)?,
        })
    };
    tx.prepare_cached(sql)?.query_map(params![after, limit], read)?.collect()
}

pub(super) fn releases(
    tx: &Transaction<'_>,
    after: Option<&(ApplicationName, Version)>,
    limit: u32,
) -> SqlResult<Vec<Release>> {
    let after: i64 = match after {
        None => 0,
        Some((application, version)) => published::position(tx, application, version)?.unwrap_or(0),
    };
    let sql = format!(
        "{} WHERE id > $1 AND deleted_at_secs IS NULL ORDER BY id LIMIT $2",
        published::RELEASE
    );
    tx.prepare_cached(&sql)?.query_map(params![after, limit], published::read_release)?.collect()
}

pub(super) fn named_release(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    version: &Version,
) -> SqlResult<Option<Release>> {
    let sql = format!("{} WHERE application = $1 AND version = $2", published::RELEASE);
    tx.prepare_cached(&sql)?
        .query_row(params![application.as_str(), version.as_str()], published::read_release)
        .optional()
}

pub(super) fn release(tx: &Transaction<'_>, digest: ReleaseDigest) -> SqlResult<Option<Release>> {
    let sql = format!("{} WHERE digest = $1 AND deleted_at_secs IS NULL", published::RELEASE);
    tx.prepare_cached(&sql)?.query_row([digest.as_bytes()], published::read_release).optional()
}

const MOVE: &str = "SELECT m.application, m.channel, m.sequence, r.digest, r.version,
        m.moved_at_secs, m.moved_by FROM channel_moves m JOIN releases r ON r.id = m.release_id";

fn read_move(found: &Row<'_>) -> SqlResult<MoveRow> {
    let (application, channel): (ApplicationName, ChannelName) =
        (row::name(found, 0)?, row::name(found, 1)?);
    let sequence = row::quantity(found, 2)?;
    Ok(MoveRow {
        at: format!("{application}{SEPARATOR}{channel}{SEPARATOR}{sequence}"),
        application,
        channel,
        change: ChannelMove {
            sequence,
            release: ReleaseDigest::from_bytes(row::digest(found, 3)?),
            version: row::name(found, 4)?,
            moved_at_secs: row::quantity(found, 5)?,
            moved_by: found.get(6)?,
        },
    })
}

pub(super) fn moves(tx: &Transaction<'_>, after: &str, limit: u32) -> SqlResult<Vec<MoveRow>> {
    let mut parts = after.split(SEPARATOR);
    let mut part = || parts.next().unwrap_or_default();
    let (application, channel) = (part(), part());
    let sequence: i64 = part().parse().unwrap_or(0);
    let sql = format!(
        "{MOVE} WHERE (m.application, m.channel, m.sequence) > ($1, $2, $3)
         ORDER BY m.application, m.channel, m.sequence LIMIT $4"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    statement.query_map(params![application, channel, sequence, limit], read_move)?.collect()
}

pub(super) fn one_move(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    channel: &ChannelName,
    sequence: u64,
) -> SqlResult<Option<ChannelMove>> {
    let sql = format!("{MOVE} WHERE m.application = $1 AND m.channel = $2 AND m.sequence = $3");
    let wanted = params![application.as_str(), channel.as_str(), row::integer(sequence)?];
    let found = tx.prepare_cached(&sql)?.query_row(wanted, read_move).optional()?;
    Ok(found.map(|found| found.change))
}

/// Returns the faults SQLite finds in its pages, references to missing rows, and channels that do
/// not point where their last move says.
pub(super) fn check(tx: &Transaction<'_>) -> SqlResult<Vec<String>> {
    let mut faults = Vec::new();
    let mut statement = tx.prepare(&format!("PRAGMA integrity_check({FAULTS_NAMED})"))?;
    for line in statement.query_map([], |found| found.get::<_, String>(0))? {
        faults.extend(Some(line?).filter(|line| line != "ok"));
    }
    let mut statement = tx.prepare("PRAGMA foreign_key_check")?;
    let dangling = statement.query_map([], |found| {
        let (table, parent): (String, String) = (found.get(0)?, found.get(2)?);
        Ok(format!("a row of {table} refers to a missing row of {parent}"))
    })?;
    for line in dangling.take(FAULTS_NAMED) {
        faults.push(line?);
    }
    // The last move of a restored channel may be unreadable, and has no row then.
    let sql = "SELECT c.application, c.name FROM channels c JOIN channel_moves m
               ON m.application = c.application AND m.channel = c.name AND m.sequence = c.sequence
               WHERE m.release_id <> c.release_id";
    let mut statement = tx.prepare(sql)?;
    let adrift = statement.query_map([], |found| {
        let (application, channel): (String, String) = (found.get(0)?, found.get(1)?);
        Ok(format!("channel {application}:{channel} contradicts its last move"))
    })?;
    for line in adrift.take(FAULTS_NAMED) {
        faults.push(line?);
    }
    Ok(faults)
}
