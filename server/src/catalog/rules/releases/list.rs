//! Listings of applications and releases, and the resolution of selectors.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::publish::by_version;
use super::{read_release, select_release};
use crate::catalog::model::releases::{Application, LISTED_NAMES_LEN_MAX, Release};
use crate::catalog::tx::{Row, Tx, TxResult, args};

/// Resolves a selector to a visible release.
pub(in crate::catalog) fn resolve(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    selector: &Selector,
) -> TxResult<Option<ReleaseDigest>> {
    let digest = |row: Row<'_>| Ok(ReleaseDigest::from_bytes(row.id(0)?));
    match selector {
        Selector::Version(version) => by_version(tx, application, version),
        Selector::Digest(release) => {
            let sql = "SELECT digest FROM releases
                       WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
            tx.find(sql, args![release, application], digest)
        }
        Selector::Channel(channel) => {
            let sql = "SELECT r.digest FROM channels c JOIN releases r ON r.id = c.release_id
                       WHERE c.application = $1 AND c.name = $2";
            tx.find(sql, args![application, channel], digest)
        }
    }
}

/// Returns the row id of a visible release.
pub(in crate::catalog) fn id_of(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> TxResult<Option<i64>> {
    let sql = "SELECT id FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
    tx.find(sql, args![release, application], |row| row.int(0))
}

/// Returns the position of a version in the order of publication, deleted or not. A listing that
/// ended with this version continues there.
pub(in crate::catalog) fn position(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    version: &Version,
) -> TxResult<Option<i64>> {
    let sql = "SELECT id FROM releases WHERE application = $1 AND version = $2";
    tx.find(sql, args![application, version], |row| row.int(0))
}

/// Lists the releases of an application published before `after`, newest first. The list ends
/// early, but not before the second release, once its machine names exceed
/// [`LISTED_NAMES_LEN_MAX`].
pub(in crate::catalog) fn of_application(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    after: Option<&Version>,
    limit: u32,
) -> TxResult<Vec<Release>> {
    let before: i64 = match after {
        None => i64::MAX,
        Some(version) => position(tx, application, version)?.unwrap_or(0),
    };
    let sql = select_release!(
        "WHERE application = $1 AND id < $2 AND deleted_at_secs IS NULL
         ORDER BY id DESC LIMIT $3"
    );
    let (mut page, mut names_len) = (Vec::new(), 0);
    tx.rows(sql, args![application, before, limit], &mut |row| {
        if page.len() < 2 || names_len <= LISTED_NAMES_LEN_MAX {
            let release = read_release(row)?;
            names_len += release.names_len();
            page.push(release);
        }
        Ok(())
    })?;
    Ok(page)
}

/// Returns a visible release of an application.
pub(in crate::catalog) fn one(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> TxResult<Option<Release>> {
    let sql = select_release!("WHERE application = $1 AND digest = $2 AND deleted_at_secs IS NULL");
    tx.find(sql, args![application, release], read_release)
}

/// Lists all visible releases.
pub(in crate::catalog) fn visible(tx: &mut dyn Tx) -> TxResult<Vec<Release>> {
    tx.list(select_release!("WHERE deleted_at_secs IS NULL ORDER BY id"), &[], read_release)
}

/// Returns the release with a row id.
pub(in crate::catalog) fn by_id(tx: &mut dyn Tx, id: i64) -> TxResult<Release> {
    tx.get(select_release!("WHERE id = $1"), args![id], read_release)
}

/// Expands to a query for [`read_application`].
macro_rules! select_application {
    ($rest:literal) => {
        concat!(
            "SELECT a.name, a.created_at_secs,
                 (SELECT COUNT(*) FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL),
                 (SELECT r.version FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL
                  ORDER BY r.id DESC LIMIT 1)
             FROM applications a ",
            $rest
        )
    };
}

fn read_application(row: Row<'_>) -> TxResult<Application> {
    Ok(Application {
        name: row.name(0)?,
        created_at_secs: row.count(1)?,
        release_count: row.count(2)?,
        newest: row.name_or_none(3)?,
    })
}

/// Lists applications by name, beginning after `after`.
pub(in crate::catalog) fn applications(
    tx: &mut dyn Tx,
    after: Option<&ApplicationName>,
    limit: u32,
) -> TxResult<Vec<Application>> {
    // No name is empty, so every name sorts after the empty text.
    let after = after.map_or("", ApplicationName::as_str);
    let sql = select_application!("WHERE a.name > $1 ORDER BY a.name LIMIT $2");
    tx.list(sql, args![after, limit], read_application)
}

/// Returns whether an application exists.
pub(in crate::catalog) fn has_application(
    tx: &mut dyn Tx,
    name: &ApplicationName,
) -> TxResult<bool> {
    tx.exists("SELECT 1 FROM applications WHERE name = $1", args![name])
}

/// Returns an application.
pub(in crate::catalog) fn application(
    tx: &mut dyn Tx,
    name: &ApplicationName,
) -> TxResult<Option<Application>> {
    tx.find(select_application!("WHERE a.name = $1"), args![name], read_application)
}
