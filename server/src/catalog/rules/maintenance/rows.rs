//! Rows, as a check compares them with the store.

use seawall_api::digest::{LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};

use crate::catalog::model::channels::ChannelMove;
use crate::catalog::model::check::{KnownPack, MoveRow};
use crate::catalog::model::collect::{Actor, Grip};
use crate::catalog::model::content::{Frame, LeafRow, NewPack};
use crate::catalog::model::releases::Release;
use crate::catalog::places::{Place, Places};
use crate::catalog::rules::collect::roots::FIRST;
use crate::catalog::rules::content::{leaves as rows_of_leaves, packs as adding};
use crate::catalog::rules::releases::{channels, list, read_release, select_release};
use crate::catalog::tx::{Row, Tx, TxResult, args};

/// Separates the parts of a cursor over moves. No name contains a space.
const SEPARATOR: char = ' ';

/// Expands to a query for [`read_pack`].
macro_rules! select_pack {
    ($rest:literal) => {
        concat!(
            "SELECT k.digest, k.len,
                 EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = k.id),
                 EXISTS (SELECT 1 FROM condemned_packs c WHERE c.pack_id = k.id)
             FROM packs k ",
            $rest
        )
    };
}

fn read_pack(row: Row<'_>) -> TxResult<KnownPack> {
    Ok(KnownPack {
        digest: PackDigest::from_bytes(row.id(0)?),
        len: row.count(1)?,
        is_lost: row.flag(2)?,
        is_condemned: row.flag(3)?,
    })
}

/// Returns the total length of all packs, in bytes.
pub(in crate::catalog) fn packs_len(tx: &mut dyn Tx) -> TxResult<u64> {
    let sql = "SELECT CAST(COALESCE(SUM(len), 0) AS BIGINT) FROM packs";
    tx.get(sql, &[], |row| row.count(0))
}

/// Returns a pack.
pub(in crate::catalog) fn pack(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<Option<KnownPack>> {
    tx.find(select_pack!("WHERE k.digest = $1"), args![pack], read_pack)
}

/// Lists packs by digest, beginning after `after`.
pub(in crate::catalog) fn packs(
    tx: &mut dyn Tx,
    after: Option<PackDigest>,
    limit: u32,
) -> TxResult<Vec<KnownPack>> {
    let after = after.as_ref().map_or(FIRST, |pack| pack.as_bytes());
    let sql = select_pack!("WHERE k.digest > $1 ORDER BY k.digest LIMIT $2");
    tx.list(sql, args![*after, limit], read_pack)
}

/// Returns those frames of a pack whose chunks have no row, or a row with another place in the same
/// pack.
pub(in crate::catalog) fn misplaced(
    tx: &mut dyn Tx,
    places: &dyn Places,
    pack: PackDigest,
    frames: &[Frame],
) -> TxResult<Vec<Frame>> {
    let own = adding::key(tx, pack)?;
    let digests: Vec<_> = frames.iter().map(|frame| frame.digest).collect();
    let found = places.find(tx, &digests)?;
    let fits = |frame: &Frame, place: Option<Place>| {
        place.is_some_and(|place| Some(place.pack) != own || place.frame == Some(*frame))
    };
    let misplaced = frames.iter().zip(found).filter(|(frame, place)| !fits(frame, *place));
    Ok(misplaced.map(|(frame, _)| *frame).collect())
}

/// Corrects the rows of a pack and its chunks to match the pack's footer. A condemned pack is left
/// alone.
pub(in crate::catalog) fn correct(
    tx: &mut dyn Tx,
    places: &dyn Places,
    pack: &NewPack,
    actor: Actor,
) -> TxResult<()> {
    // A condemned pack stays condemned: a collection looks at it again before the sweep.
    if self::pack(tx, pack.digest)?.is_some_and(|known| known.is_condemned) {
        return Ok(());
    }
    adding::add(tx, places, pack, Grip { actor: Some(actor), ..Grip::ANY })?;
    // Adding a pack leaves known chunks in place. Those in this pack are corrected here.
    let Some(own) = adding::key(tx, pack.digest)? else { return Ok(()) };
    let digests: Vec<_> = pack.frames.iter().map(|frame| frame.digest).collect();
    let homes = places.packs(tx, &digests)?;
    let here = pack.frames.iter().zip(homes);
    let here = here.filter(|(_, home)| home.is_some_and(|home| home.pack == own));
    let here: Vec<Frame> = here.map(|(frame, _)| *frame).collect();
    places.put(tx, own, &here)
}

/// Lists leaves by digest, complete or not, beginning after `after`.
pub(in crate::catalog) fn leaves(
    tx: &mut dyn Tx,
    after: Option<LeafDigest>,
    limit: u32,
) -> TxResult<Vec<LeafRow>> {
    let after = after.as_ref().map_or(FIRST, |leaf| leaf.as_bytes());
    let sql = "SELECT digest, span_len, data_bytes FROM leaves WHERE digest > $1
               ORDER BY digest LIMIT $2";
    tx.list(sql, args![*after, limit], rows_of_leaves::read)
}

/// Lists releases in order of publication, deleted ones excluded, beginning after `after`.
pub(in crate::catalog) fn releases(
    tx: &mut dyn Tx,
    after: Option<&(ApplicationName, Version)>,
    limit: u32,
) -> TxResult<Vec<Release>> {
    let after: i64 = match after {
        None => 0,
        Some((application, version)) => list::position(tx, application, version)?.unwrap_or(0),
    };
    let sql = select_release!("WHERE id > $1 AND deleted_at_secs IS NULL ORDER BY id LIMIT $2");
    tx.list(sql, args![after, limit], read_release)
}

/// Returns a release by its version, deleted or not.
pub(in crate::catalog) fn named_release(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    version: &Version,
) -> TxResult<Option<Release>> {
    let sql = select_release!("WHERE application = $1 AND version = $2");
    tx.find(sql, args![application, version], read_release)
}

/// Returns a release by its digest, unless deleted.
pub(in crate::catalog) fn release(
    tx: &mut dyn Tx,
    digest: ReleaseDigest,
) -> TxResult<Option<Release>> {
    let sql = select_release!("WHERE digest = $1 AND deleted_at_secs IS NULL");
    tx.find(sql, args![digest], read_release)
}

/// Expands to a query for [`read_move`].
macro_rules! select_move {
    ($rest:literal) => {
        concat!(
            "SELECT m.application, m.channel, m.sequence, r.digest, r.version, m.moved_at_secs,
                 m.moved_by
             FROM channel_moves m JOIN releases r ON r.id = m.release_id ",
            $rest
        )
    };
}

fn read_move(row: Row<'_>) -> TxResult<MoveRow> {
    let (application, channel): (ApplicationName, ChannelName) = (row.name(0)?, row.name(1)?);
    let change = channels::read_move(row, 2)?;
    let at = format!("{application}{SEPARATOR}{channel}{SEPARATOR}{}", change.sequence);
    Ok(MoveRow { at, application, channel, change })
}

/// Lists the moves of all channels, beginning after the cursor `after`.
pub(in crate::catalog) fn moves(
    tx: &mut dyn Tx,
    after: &str,
    limit: u32,
) -> TxResult<Vec<MoveRow>> {
    let mut parts = after.split(SEPARATOR);
    let mut part = || parts.next().unwrap_or_default();
    let (application, channel) = (part(), part());
    let sequence: i64 = part().parse().unwrap_or(0);
    let sql = select_move!(
        "WHERE (m.application, m.channel, m.sequence) > ($1, $2, $3)
         ORDER BY m.application, m.channel, m.sequence LIMIT $4"
    );
    tx.list(sql, args![application, channel, sequence, limit], read_move)
}

/// Returns a move of a channel.
pub(in crate::catalog) fn one_move(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    channel: &ChannelName,
    sequence: u64,
) -> TxResult<Option<ChannelMove>> {
    let sql = select_move!("WHERE m.application = $1 AND m.channel = $2 AND m.sequence = $3");
    let found = tx.find(sql, args![application, channel, sequence], read_move)?;
    Ok(found.map(|found| found.change))
}

/// Lists the channels that do not point where their last move says, at most `limit`. The last move
/// of a restored channel may be unreadable, and has no row then.
pub(in crate::catalog) fn adrift(tx: &mut dyn Tx, limit: u32) -> TxResult<Vec<String>> {
    let sql = "SELECT c.application, c.name FROM channels c JOIN channel_moves m
               ON m.application = c.application AND m.channel = c.name AND m.sequence = c.sequence
               WHERE m.release_id <> c.release_id LIMIT $1";
    tx.list(sql, args![limit], |row| Ok(format!("{}:{}", row.text(0)?, row.text(1)?)))
}
