//! Packs, and the chunks they add.

use std::collections::HashSet;

use seawall_api::digest::PackDigest;
use seawall_store::port::ObjectName;

use crate::catalog::model::collect::{Actor, Added, Grip, Stored};
use crate::catalog::model::content::{Frame, NewPack};
use crate::catalog::rules::audit::quotas;
use crate::catalog::rules::collect::condemn::{is_pack_swept, pardon_pack};
use crate::catalog::rules::collect::{Counter, count_up};
use crate::catalog::rules::maintenance::damage;
use crate::catalog::tx::{Batch, Bind, Tx, TxResult, args};

/// Writes the row of a pack that was just stored, and returns its id. Logs a repair if the pack was
/// lost.
fn put_row(tx: &mut dyn Tx, pack: &NewPack, actor: Option<Actor>) -> TxResult<i64> {
    let sql = "INSERT INTO packs (digest, len) VALUES ($1, $2)
               ON CONFLICT (digest) DO UPDATE SET len = excluded.len RETURNING id";
    let id = tx.get(sql, args![pack.digest, pack.len], |row| row.int(0))?;
    if tx.run("DELETE FROM lost_packs WHERE pack_id = $1", args![id])? > 0 {
        damage::healed(tx, &ObjectName::Pack(pack.digest), actor)?;
    }
    Ok(id)
}

/// Adds a pack whose bytes were just stored, and counts its new data toward the quota.
pub(in crate::catalog) fn keep(tx: &mut dyn Tx, pack: &NewPack, stored: Stored) -> TxResult<Added> {
    let actor = stored.grip.actor;
    let brings = match actor.and_then(|actor| actor.lease).filter(|_| stored.is_metered) {
        Some(lease) => Some((lease, quotas::new_data(tx, &pack.frames)?)),
        None => None,
    };
    damage::stored(tx, &ObjectName::Pack(pack.digest), stored)?;
    let added = add(tx, pack, stored.grip)?;
    if let (Added::Present, Some((lease, brings))) = (added, brings) {
        quotas::add_lease_load(tx, lease, brings)?;
    }
    Ok(added)
}

/// Adds a pack and its chunks. A chunk keeps its place unless that pack is lost or condemned.
pub(in crate::catalog) fn add(tx: &mut dyn Tx, pack: &NewPack, grip: Grip) -> TxResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let id = put_row(tx, pack, grip.actor)?;
    pardon_pack(tx, pack.digest)?;
    let sql = "INSERT INTO chunks (digest, pack_id, frame_offset, stored_len, plain_len, encoding)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE
               SET pack_id = excluded.pack_id, frame_offset = excluded.frame_offset,
                   stored_len = excluded.stored_len, plain_len = excluded.plain_len,
                   encoding = excluded.encoding
               WHERE chunks.pack_id IN (SELECT pack_id FROM lost_packs)
                  OR chunks.pack_id IN (SELECT pack_id FROM condemned_packs)";
    let frames = pack.frames.iter();
    let batch = Batch::new(frames.map(|frame| {
        let Frame { digest, offset, stored_len, plain_len, encoding } = frame;
        let (digest, plain_len) = (digest.bind(), plain_len.bind());
        [digest, id.bind(), offset.bind(), stored_len.bind(), plain_len, encoding.bind()]
    }));
    tx.run_each(sql, &batch)?;
    Ok(Added::Present)
}

/// Adds a pack and moves to it those of its chunks that have their place in one of `from`.
pub(in crate::catalog) fn move_frames(
    tx: &mut dyn Tx,
    pack: &NewPack,
    from: &[PackDigest],
    grip: Grip,
) -> TxResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let to = put_row(tx, pack, grip.actor)?;
    pardon_pack(tx, pack.digest)?;
    let id = "SELECT id FROM packs WHERE digest = $1";
    let from = tx.find_each(id, &Batch::of(from), |row| row.int(0))?;
    let from: HashSet<i64> = from.into_iter().flatten().collect();
    let digests = Batch::of(pack.frames.iter().map(|frame| &frame.digest));
    let place = "SELECT pack_id FROM chunks WHERE digest = $1";
    let places = tx.find_each(place, &digests, |row| row.int(0))?;
    let moving = pack.frames.iter().zip(places);
    let moving = moving.filter(|(_, place)| place.is_some_and(|place| from.contains(&place)));
    let batch = Batch::new(moving.map(|(frame, _)| {
        let (offset, stored_len) = (frame.offset.bind(), frame.stored_len.bind());
        [to.bind(), offset, stored_len, frame.encoding.bind(), frame.digest.bind()]
    }));
    let sql = "UPDATE chunks SET pack_id = $1, frame_offset = $2, stored_len = $3, encoding = $4
               WHERE digest = $5";
    tx.run_each(sql, &batch)?;
    Ok(Added::Present)
}

/// Records that the store no longer holds a pack.
pub(in crate::catalog) fn mark_lost(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<()> {
    let sql = "INSERT INTO lost_packs (pack_id) SELECT id FROM packs WHERE digest = $1
               ON CONFLICT (pack_id) DO NOTHING";
    match tx.run(sql, args![pack])? {
        0 => Ok(()),
        _ => count_up(tx, Counter::Litter),
    }
}

/// Returns the length of a pack in bytes.
pub(in crate::catalog) fn len(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<Option<u64>> {
    tx.find("SELECT len FROM packs WHERE digest = $1", args![pack], |row| row.count(0))
}
