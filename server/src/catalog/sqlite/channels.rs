//! Channels and their moves.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use super::connection::SqlResult;
use super::{audit, row};
use crate::catalog::Entry;
use crate::catalog::model::{Channel, ChannelMove, Expected, MoveRequest, Moved, PastChannel};

/// The maximum number of channels of an application. One listing holds them all.
const CHANNELS_MAX: u32 = 1000;

const CHANNEL: &str = "SELECT c.name, r.digest, r.version, c.sequence, c.moved_at_secs
     FROM channels c JOIN releases r ON r.id = c.release_id WHERE c.application = $1";

fn read_channel(found: &Row<'_>) -> SqlResult<Channel> {
    Ok(Channel {
        name: row::name(found, 0)?,
        release: ReleaseDigest::from_bytes(row::digest(found, 1)?),
        version: row::name(found, 2)?,
        sequence: row::quantity(found, 3)?,
        moved_at_secs: row::quantity(found, 4)?,
    })
}

pub(super) fn list(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<Vec<Channel>> {
    let sql = format!("{CHANNEL} ORDER BY c.name");
    tx.prepare_cached(&sql)?.query_map([application.as_str()], read_channel)?.collect()
}

pub(super) fn read(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    channel: &ChannelName,
) -> SqlResult<Option<Channel>> {
    let sql = format!("{CHANNEL} AND c.name = $2");
    tx.prepare_cached(&sql)?
        .query_row([application.as_str(), channel.as_str()], read_channel)
        .optional()
}

pub(super) fn moves(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    channel: &ChannelName,
    limit: u32,
) -> SqlResult<Vec<ChannelMove>> {
    tx.prepare_cached(
        "SELECT m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
         FROM channel_moves m JOIN releases r ON r.id = m.release_id
         WHERE m.application = $1 AND m.channel = $2 ORDER BY m.sequence DESC LIMIT $3",
    )?
    .query_map(params![application.as_str(), channel.as_str(), limit], |found| {
        Ok(ChannelMove {
            sequence: row::quantity(found, 0)?,
            release: ReleaseDigest::from_bytes(row::digest(found, 1)?),
            version: row::name(found, 2)?,
            moved_at_secs: row::quantity(found, 3)?,
            moved_by: found.get(4)?,
        })
    })?
    .collect()
}

pub(super) fn advance(tx: &Transaction<'_>, request: &MoveRequest) -> SqlResult<Moved> {
    let (application, channel) = (&request.application, &request.channel);
    let before = read(tx, application, channel)?;
    let current = before.as_ref().map(|channel| channel.sequence);
    let sequence = match (request.expected, current) {
        (Expected::Absent, None) => 1,
        (Expected::Sequence(expected), Some(current)) if expected == current => current + 1,
        _ => return Ok(Moved::Stale(current)),
    };
    let sql = "SELECT id, version FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
    let release = tx
        .prepare_cached(sql)?
        .query_row(params![request.release.as_bytes(), application.as_str()], |found| {
            Ok((found.get::<_, i64>(0)?, row::name(found, 1)?))
        })
        .optional()?;
    let Some((release_id, version)) = release else { return Ok(Moved::NoSuchRelease) };
    if sequence == 1 && count(tx, application)? >= CHANNELS_MAX {
        return Ok(Moved::TooMany(CHANNELS_MAX));
    }
    record(tx, request, sequence, release_id)?;
    let moved = Channel {
        name: channel.clone(),
        release: request.release,
        version,
        sequence,
        moved_at_secs: request.now_secs,
    };
    audit::append(tx, &promoted(request, before.as_ref(), &moved))?;
    Ok(Moved::Done(moved))
}

fn promoted(request: &MoveRequest, before: Option<&Channel>, moved: &Channel) -> Entry {
    let entry = Entry::new(Action::Promote, &request.moved_by, request.now_secs)
        .to_application(&request.application)
        .to_release(&moved.version, moved.release)
        .with("channel", &moved.name)
        .with("sequence", moved.sequence);
    match before {
        Some(before) => entry.with("fromVersion", &before.version),
        None => entry,
    }
}

fn count(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<u32> {
    tx.prepare_cached("SELECT COUNT(*) FROM channels WHERE application = $1")?
        .query_row([application.as_str()], |found| found.get(0))
}

/// Writes the channel's new target and appends the move to its history.
fn record(
    tx: &Transaction<'_>,
    request: &MoveRequest,
    sequence: u64,
    release_id: i64,
) -> SqlResult<()> {
    let place = (&request.application, &request.channel);
    let at = (sequence, release_id, request.now_secs);
    // The primary key of the history makes moves exclusive even where writers are not serialized.
    append(tx, place, at, &request.moved_by)?;
    point(tx, place, at)
}

type Place<'a> = (&'a ApplicationName, &'a ChannelName);
/// Number, release and time of a move.
type At = (u64, i64, u64);

fn append(
    tx: &Transaction<'_>,
    (application, channel): Place<'_>,
    (sequence, release_id, moved_at_secs): At,
    moved_by: &str,
) -> SqlResult<()> {
    tx.prepare_cached(
        "INSERT INTO channel_moves
             (application, channel, sequence, release_id, moved_at_secs, moved_by)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )?
    .execute(params![
        application.as_str(),
        channel.as_str(),
        row::integer(sequence)?,
        release_id,
        row::integer(moved_at_secs)?,
        moved_by
    ])?;
    Ok(())
}

fn point(
    tx: &Transaction<'_>,
    (application, channel): Place<'_>,
    (sequence, release_id, moved_at_secs): At,
) -> SqlResult<()> {
    tx.prepare_cached(
        "INSERT INTO channels (application, name, release_id, sequence, moved_at_secs)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (application, name) DO UPDATE SET release_id = excluded.release_id,
             sequence = excluded.sequence, moved_at_secs = excluded.moved_at_secs",
    )?
    .execute(params![
        application.as_str(),
        channel.as_str(),
        release_id,
        row::integer(sequence)?,
        row::integer(moved_at_secs)?
    ])?;
    Ok(())
}

pub(super) fn restore(tx: &Transaction<'_>, past: &PastChannel) -> SqlResult<()> {
    let place = (&past.application, &past.name);
    for change in &past.moves {
        let release_id = tx
            .prepare_cached("SELECT id FROM releases WHERE digest = $1")?
            .query_row([change.release.as_bytes()], |found| found.get(0))?;
        append(tx, place, (change.sequence, release_id, change.moved_at_secs), &change.moved_by)?;
        point(tx, place, (past.sequence, release_id, change.moved_at_secs))?;
    }
    Ok(())
}
