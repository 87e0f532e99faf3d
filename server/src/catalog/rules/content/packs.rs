//! Packs, and the chunks they add.

use std::collections::HashSet;

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_store::port::ObjectName;

use super::chunks::usable;
use crate::catalog::model::collect::{Actor, Added, Grip, PackKey, Stored};
use crate::catalog::model::content::{Frame, NewPack};
use crate::catalog::places::Places;
use crate::catalog::rules::audit::quotas;
use crate::catalog::rules::collect::condemn::{is_pack_swept, pardon_pack};
use crate::catalog::rules::collect::{Counter, count_up};
use crate::catalog::rules::maintenance::damage;
use crate::catalog::tx::{Batch, Tx, TxResult, args};

/// Writes the row of a pack that was just stored, and returns its id. Logs a repair if the pack was
/// lost.
fn put_row(tx: &mut dyn Tx, pack: &NewPack, actor: Option<Actor>) -> TxResult<PackKey> {
    let sql = "INSERT INTO packs (digest, len) VALUES ($1, $2)
               ON CONFLICT (digest) DO UPDATE SET len = excluded.len RETURNING id";
    let id = tx.get(sql, args![pack.digest, pack.len], |row| row.int(0))?;
    if tx.run("DELETE FROM lost_packs WHERE pack_id = $1", args![id])? > 0 {
        damage::healed(tx, &ObjectName::Pack(pack.digest), actor)?;
    }
    Ok(PackKey(id))
}

/// Returns the key of a pack.
pub(in crate::catalog) fn key(tx: &mut dyn Tx, pack: PackDigest) -> TxResult<Option<PackKey>> {
    tx.find("SELECT id FROM packs WHERE digest = $1", args![pack], |row| Ok(PackKey(row.int(0)?)))
}

/// Adds a pack whose bytes were just stored, and counts its new data toward the quota.
pub(in crate::catalog) fn keep(
    tx: &mut dyn Tx,
    places: &dyn Places,
    pack: &NewPack,
    stored: Stored,
) -> TxResult<Added> {
    let actor = stored.grip.actor;
    let brings = match actor.and_then(|actor| actor.lease).filter(|_| stored.is_metered) {
        Some(lease) => Some((lease, quotas::new_data(tx, places, &pack.frames)?)),
        None => None,
    };
    damage::stored(tx, &ObjectName::Pack(pack.digest), stored)?;
    let added = add(tx, places, pack, stored.grip)?;
    if let (Added::Present, Some((lease, brings))) = (added, brings) {
        quotas::add_lease_load(tx, lease, brings)?;
    }
    Ok(added)
}

/// Adds a pack and its chunks. A chunk keeps its place unless that pack is lost or condemned.
pub(in crate::catalog) fn add(
    tx: &mut dyn Tx,
    places: &dyn Places,
    pack: &NewPack,
    grip: Grip,
) -> TxResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let id = put_row(tx, pack, grip.actor)?;
    pardon_pack(tx, pack.digest)?;
    let homes = usable(tx, places, &digests(&pack.frames), Grip::NEWEST)?;
    let homeless = pack.frames.iter().zip(homes).filter(|(_, home)| home.is_none());
    let homeless: Vec<Frame> = homeless.map(|(frame, _)| *frame).collect();
    places.put(tx, id, &homeless)?;
    Ok(Added::Present)
}

fn digests(frames: &[Frame]) -> Vec<ChunkDigest> {
    frames.iter().map(|frame| frame.digest).collect()
}

/// Adds a pack and moves to it those of its chunks that have their place in one of `from`.
pub(in crate::catalog) fn move_frames(
    tx: &mut dyn Tx,
    places: &dyn Places,
    (pack, from): (&NewPack, &[PackDigest]),
    grip: Grip,
) -> TxResult<Added> {
    if is_pack_swept(tx, pack.digest, grip)? {
        return Ok(Added::Swept);
    }
    let to = put_row(tx, pack, grip.actor)?;
    pardon_pack(tx, pack.digest)?;
    let id = "SELECT id FROM packs WHERE digest = $1";
    let from = tx.find_each(id, &Batch::of(from), |row| Ok(PackKey(row.int(0)?)))?;
    let from: HashSet<PackKey> = from.into_iter().flatten().collect();
    let homes = places.packs(tx, &digests(&pack.frames))?;
    let moving = pack.frames.iter().zip(homes);
    let moving = moving.filter(|(_, home)| home.is_some_and(|home| from.contains(&home.pack)));
    let moving: Vec<Frame> = moving.map(|(frame, _)| *frame).collect();
    places.put(tx, to, &moving)?;
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
