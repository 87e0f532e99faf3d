//! Pins of releases.

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, PinName};

use crate::catalog::model::audit::Entry;
use crate::catalog::model::retention::{PINS_MAX, Pin, Pinned};
use crate::catalog::rules::audit;
use crate::catalog::rules::releases::list;
use crate::catalog::tx::{Tx, TxResult, args};

/// Pins a release.
pub(in crate::catalog) fn set(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
    pin: &Pin,
) -> TxResult<Pinned> {
    let Some(id) = list::id_of(tx, application, release)? else {
        return Ok(Pinned::NoSuchRelease);
    };
    let sql = "SELECT 1 FROM pins WHERE release_id = $1 AND name = $2";
    let is_there = tx.exists(sql, args![id, pin.name])?;
    if !is_there {
        let sql = "SELECT COUNT(*) FROM pins WHERE release_id = $1";
        if tx.get(sql, args![id], |row| row.count::<u32>(0))? >= PINS_MAX {
            return Ok(Pinned::TooMany);
        }
    }
    let sql = "INSERT INTO pins (release_id, name, reason, pinned_at_secs, pinned_by)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (release_id, name) DO UPDATE SET reason = excluded.reason,
                   pinned_at_secs = excluded.pinned_at_secs, pinned_by = excluded.pinned_by";
    tx.run(sql, args![id, pin.name, pin.reason, pin.pinned_at_secs, pin.pinned_by])?;
    let version = list::by_id(tx, id)?.version;
    let entry = Entry::new(Action::Pin, &pin.pinned_by, pin.pinned_at_secs)
        .to_application(application)
        .to_release(&version, release)
        .with("pin", &pin.name)
        .with("reason", &pin.reason);
    audit::append(tx, &entry)?;
    Ok(if is_there { Pinned::Replaced } else { Pinned::Created })
}

/// Removes a pin, and logs the removal as `entry`. Returns false if there is none of this name.
pub(in crate::catalog) fn remove(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
    (name, entry): (&PinName, &Entry),
) -> TxResult<bool> {
    let Some(id) = list::id_of(tx, application, release)? else { return Ok(false) };
    let sql = "DELETE FROM pins WHERE release_id = $1 AND name = $2";
    if tx.run(sql, args![id, name])? == 0 {
        return Ok(false);
    }
    audit::append(tx, entry)?;
    Ok(true)
}

/// Lists the pins of a release by name.
pub(in crate::catalog) fn list(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> TxResult<Vec<Pin>> {
    let Some(id) = list::id_of(tx, application, release)? else { return Ok(vec![]) };
    let sql = "SELECT name, reason, pinned_at_secs, pinned_by FROM pins
               WHERE release_id = $1 ORDER BY name";
    tx.list(sql, args![id], |row| {
        Ok(Pin {
            name: row.name(0)?,
            reason: row.text(1)?.to_owned(),
            pinned_at_secs: row.count(2)?,
            pinned_by: row.text(3)?.to_owned(),
        })
    })
}

/// Lists the pins of all releases of an application.
pub(super) fn of_application(
    tx: &mut dyn Tx,
    application: &ApplicationName,
) -> TxResult<Vec<(ReleaseDigest, PinName)>> {
    let sql = "SELECT r.digest, p.name FROM pins p JOIN releases r ON r.id = p.release_id
               WHERE r.application = $1 ORDER BY r.id, p.name";
    let read = |row: crate::catalog::tx::Row<'_>| {
        Ok((ReleaseDigest::from_bytes(row.id(0)?), row.name(1)?))
    };
    tx.list(sql, args![application], read)
}
