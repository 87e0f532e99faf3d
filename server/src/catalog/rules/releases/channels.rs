//! Channels and their moves.

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use crate::catalog::model::audit::Entry;
use crate::catalog::model::channels::{
    Channel, ChannelMove, Expected, MoveRequest, Moved, PastChannel,
};
use crate::catalog::rules::audit;
use crate::catalog::tx::{Row, Tx, TxResult, args};

/// The maximum number of channels of an application. One listing holds them all.
const CHANNELS_MAX: u32 = 1000;

/// Expands to a query for [`read_channel`].
macro_rules! select_channel {
    ($rest:literal) => {
        concat!(
            "SELECT c.name, r.digest, r.version, c.sequence, c.moved_at_secs
             FROM channels c JOIN releases r ON r.id = c.release_id WHERE c.application = $1 ",
            $rest
        )
    };
}

fn read_channel(row: Row<'_>) -> TxResult<Channel> {
    Ok(Channel {
        name: row.name(0)?,
        release: ReleaseDigest::from_bytes(row.id(1)?),
        version: row.name(2)?,
        sequence: row.count(3)?,
        moved_at_secs: row.count(4)?,
    })
}

/// Reads a move from five columns, beginning with `first`.
pub(in crate::catalog) fn read_move(row: Row<'_>, first: usize) -> TxResult<ChannelMove> {
    Ok(ChannelMove {
        sequence: row.count(first)?,
        release: ReleaseDigest::from_bytes(row.id(first + 1)?),
        version: row.name(first + 2)?,
        moved_at_secs: row.count(first + 3)?,
        moved_by: row.text(first + 4)?.to_owned(),
    })
}

/// Lists all channels of an application by name.
pub(in crate::catalog) fn list(
    tx: &mut dyn Tx,
    application: &ApplicationName,
) -> TxResult<Vec<Channel>> {
    tx.list(select_channel!("ORDER BY c.name"), args![application], read_channel)
}

/// Returns a channel.
pub(in crate::catalog) fn one(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    channel: &ChannelName,
) -> TxResult<Option<Channel>> {
    tx.find(select_channel!("AND c.name = $2"), args![application, channel], read_channel)
}

/// Lists the newest moves of a channel, newest first.
pub(in crate::catalog) fn moves(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    channel: &ChannelName,
    limit: u32,
) -> TxResult<Vec<ChannelMove>> {
    let sql = "SELECT m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
               FROM channel_moves m JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 AND m.channel = $2 ORDER BY m.sequence DESC LIMIT $3";
    tx.list(sql, args![application, channel, limit], |row| read_move(row, 0))
}

/// Moves a channel if its last move is as expected, and records the move.
pub(in crate::catalog) fn advance(tx: &mut dyn Tx, request: &MoveRequest) -> TxResult<Moved> {
    let (application, channel) = (&request.application, &request.channel);
    let before = one(tx, application, channel)?;
    let current = before.as_ref().map(|channel| channel.sequence);
    let sequence = match (request.expected, current) {
        (Expected::Absent, None) => 1,
        (Expected::Sequence(expected), Some(current)) if expected == current => current + 1,
        _ => return Ok(Moved::Stale(current)),
    };
    let sql = "SELECT id, version FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
    let release =
        tx.find(sql, args![request.release, application], |row| Ok((row.int(0)?, row.name(1)?)))?;
    let Some((release_id, version)) = release else { return Ok(Moved::NoSuchRelease) };
    let sql = "SELECT COUNT(*) FROM channels WHERE application = $1";
    if sequence == 1 && tx.get(sql, args![application], |row| row.count::<u32>(0))? >= CHANNELS_MAX
    {
        return Ok(Moved::TooMany(CHANNELS_MAX));
    }
    let moved_at_secs = request.now_secs;
    let target = Target { application, channel, sequence, release_id, moved_at_secs };
    target.append(tx, &request.moved_by)?;
    target.point(tx)?;
    let moved = Channel {
        name: channel.clone(),
        release: request.release,
        version,
        sequence,
        moved_at_secs,
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

/// The target of a channel after a move.
struct Target<'a> {
    application: &'a ApplicationName,
    channel: &'a ChannelName,
    sequence: u64,
    release_id: i64,
    moved_at_secs: u64,
}

impl Target<'_> {
    /// Appends the move to the channel's history. The key of the history makes moves exclusive even
    /// where writers are not serial.
    fn append(&self, tx: &mut dyn Tx, moved_by: &str) -> TxResult<()> {
        let Self { application, channel, sequence, release_id, moved_at_secs } = self;
        let sql = "INSERT INTO channel_moves
                       (application, channel, sequence, release_id, moved_at_secs, moved_by)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let values = args![application, channel, sequence, release_id, moved_at_secs, moved_by];
        tx.run(sql, values)?;
        Ok(())
    }

    /// Writes the channel's target.
    fn point(&self, tx: &mut dyn Tx) -> TxResult<()> {
        let Self { application, channel, sequence, release_id, moved_at_secs } = self;
        let sql = "INSERT INTO channels (application, name, release_id, sequence, moved_at_secs)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (application, name) DO UPDATE SET release_id = excluded.release_id,
                       sequence = excluded.sequence, moved_at_secs = excluded.moved_at_secs";
        tx.run(sql, args![application, channel, release_id, sequence, moved_at_secs])?;
        Ok(())
    }
}

/// Adds a channel that existed before this catalog was made, with its history.
pub(in crate::catalog) fn restore(tx: &mut dyn Tx, past: &PastChannel) -> TxResult<()> {
    let (application, channel) = (&past.application, &past.name);
    for change in &past.moves {
        let sql = "SELECT id FROM releases WHERE digest = $1";
        let release_id = tx.get(sql, args![change.release], |row| row.int(0))?;
        let ChannelMove { sequence, moved_at_secs, .. } = *change;
        let target = Target { application, channel, sequence, release_id, moved_at_secs };
        target.append(tx, &change.moved_by)?;
        Target { sequence: past.sequence, ..target }.point(tx)?;
    }
    Ok(())
}
