//! Applications and releases.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::audit::Action;
use seawall_api::digest::{IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::collect::{PUBLISHED, count_up, is_condemned, revive};
use super::connection::SqlResult;
use super::{audit, deletion, leases, quotas, row};
use crate::catalog::Entry;
use crate::catalog::collect::{Added, Collectable, Grip};
use crate::catalog::model::{
    Application, LISTED_NAMES_LEN_MAX, Lease, NewRelease, Publication, Release,
};

/// Separates the machines of a release in their column. No machine's name contains a comma.
const SEPARATOR: &str = ",";

pub(super) fn publish(tx: &Transaction<'_>, new: &NewRelease) -> SqlResult<Publication> {
    let release = &new.release;
    if let Some(buried) = deletion::tombstone(tx, &release.application, &release.version)? {
        return Ok(Publication::Deleted(buried.deleted_at_secs));
    }
    if let Some(digest) = by_version(tx, &release.application, &release.version)? {
        if digest != release.digest {
            return Ok(Publication::VersionTaken(digest));
        }
        // A release restored without its document or its indexes has them now.
        describe(tx, release)?;
        name_indexes(tx, digest, &new.indexes)?;
        count_up(tx, PUBLISHED)?;
        leases::close(tx, new.lease)?;
        return Ok(Publication::AlreadyPresent);
    }
    let lease = leases::alive(tx, new.lease, release.published_at_secs)?;
    let lease = lease.filter(|lease| lease.application == release.application);
    let Some(Lease { grip, .. }) = lease else { return Ok(Publication::LeaseEnded) };
    if let Some(index) = first_missing(tx, &new.indexes, grip)? {
        return Ok(Publication::IndexMissing(index));
    }
    if let Some(excess) = quotas::excess(tx, &release.application, release.data_bytes)? {
        return Ok(Publication::QuotaExceeded(excess));
    }
    for descriptor in &new.descriptors {
        if is_condemned(tx, Collectable::Descriptor(*descriptor), grip)? {
            return Ok(Publication::DescriptorMissing(*descriptor));
        }
    }
    if revive(tx, Collectable::Release(release.digest), new.grip)? == Added::Swept {
        return Ok(Publication::Swept);
    }
    if !insert(tx, release)? {
        // The digest exists under another version, although its document names only this one.
        return Err(rusqlite::Error::StatementChangedRows(0));
    }
    name_indexes(tx, release.digest, &new.indexes)?;
    count_up(tx, PUBLISHED)?;
    leases::close(tx, new.lease)?;
    audit::append(tx, &published(release))?;
    Ok(Publication::Created)
}

fn published(release: &Release) -> Entry {
    Entry::new(Action::Publish, &release.published_by, release.published_at_secs)
        .to_application(&release.application)
        .to_release(&release.version, release.digest)
        .with("machineCount", release.machines.len())
        .with("diskBytes", release.disk_bytes)
        .with("dataBytes", release.data_bytes)
}

pub(super) fn restore(
    tx: &Transaction<'_>,
    release: &Release,
    indexes: &[IndexDigest],
) -> SqlResult<bool> {
    let is_new = insert(tx, release)?;
    if is_new {
        name_indexes(tx, release.digest, indexes)?;
    }
    Ok(is_new)
}

/// Records those indexes of a release that are present.
pub(super) fn name_indexes(
    tx: &Transaction<'_>,
    release: ReleaseDigest,
    indexes: &[IndexDigest],
) -> SqlResult<()> {
    let mut name = tx.prepare_cached(
        "INSERT INTO release_indexes (release_id, index_digest)
         SELECT r.id, i.digest FROM releases r, indexes i WHERE r.digest = $1 AND i.digest = $2
         ON CONFLICT (release_id, index_digest) DO NOTHING",
    )?;
    for index in indexes {
        name.execute(params![release.as_bytes(), index.as_bytes()])?;
    }
    Ok(())
}

fn first_missing(
    tx: &Transaction<'_>,
    indexes: &[IndexDigest],
    grip: Grip,
) -> SqlResult<Option<IndexDigest>> {
    let mut find = tx.prepare_cached("SELECT 1 FROM indexes WHERE digest = $1")?;
    for index in indexes {
        let is_gone = is_condemned(tx, Collectable::Index(*index), grip)?;
        if is_gone || !find.exists([index.as_bytes()])? {
            return Ok(Some(*index));
        }
    }
    Ok(None)
}

/// Adds a release. Returns false if its digest or version exists.
fn insert(tx: &Transaction<'_>, release: &Release) -> SqlResult<bool> {
    let published_at = row::integer(release.published_at_secs)?;
    let application = release.application.as_str();
    tx.prepare_cached(
        "INSERT INTO applications (name, created_at_secs) VALUES ($1, $2)
         ON CONFLICT (name) DO NOTHING",
    )?
    .execute(params![application, published_at])?;
    let machines: Vec<_> = release.machines.iter().map(AsRef::as_ref).collect();
    let count = tx
        .prepare_cached(
            "INSERT INTO releases (application, version, digest, machines, published_at_secs,
                                   published_by, disk_bytes, data_bytes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            application,
            release.version.as_str(),
            release.digest.as_bytes(),
            machines.join(SEPARATOR),
            published_at,
            release.published_by,
            row::integer(release.disk_bytes)?,
            row::integer(release.data_bytes)?
        ])?;
    Ok(count == 1)
}

/// Fills in the fields of the document, for a release known only by its record.
fn describe(tx: &Transaction<'_>, release: &Release) -> SqlResult<()> {
    let machines: Vec<_> = release.machines.iter().map(AsRef::as_ref).collect();
    let sql = "UPDATE releases SET machines = $1, disk_bytes = $2, data_bytes = $3
               WHERE digest = $4";
    tx.prepare_cached(sql)?.execute(params![
        machines.join(SEPARATOR),
        row::integer(release.disk_bytes)?,
        row::integer(release.data_bytes)?,
        release.digest.as_bytes()
    ])?;
    Ok(())
}

fn by_version(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    version: &Version,
) -> SqlResult<Option<ReleaseDigest>> {
    let sql = "SELECT digest FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL";
    one_digest(tx, sql, params![application.as_str(), version.as_str()])
}

fn one_digest(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
) -> SqlResult<Option<ReleaseDigest>> {
    let read = |found: &Row<'_>| Ok(ReleaseDigest::from_bytes(row::digest(found, 0)?));
    tx.prepare_cached(sql)?.query_row(params, read).optional()
}

pub(super) fn resolve(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    selector: &Selector,
) -> SqlResult<Option<ReleaseDigest>> {
    let name = application.as_str();
    match selector {
        Selector::Version(version) => by_version(tx, application, version),
        Selector::Digest(digest) => {
            let sql = "SELECT digest FROM releases
                       WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
            one_digest(tx, sql, params![digest.as_bytes(), name])
        }
        Selector::Channel(channel) => {
            let sql = "SELECT r.digest FROM channels c JOIN releases r ON r.id = c.release_id
                       WHERE c.application = $1 AND c.name = $2";
            one_digest(tx, sql, params![name, channel.as_str()])
        }
    }
}

/// Returns the position of a version in the order of publication, deleted or not. A listing that
/// ended with this version continues there.
pub(super) fn position(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    version: &Version,
) -> SqlResult<Option<i64>> {
    tx.prepare_cached("SELECT id FROM releases WHERE application = $1 AND version = $2")?
        .query_row(params![application.as_str(), version.as_str()], |found| found.get(0))
        .optional()
}

pub(super) fn list(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    after: Option<&Version>,
    limit: u32,
) -> SqlResult<Vec<Release>> {
    let before: i64 = match after {
        None => i64::MAX,
        Some(version) => position(tx, application, version)?.unwrap_or(0),
    };
    let sql = format!(
        "{RELEASE} WHERE application = $1 AND id < $2 AND deleted_at_secs IS NULL
         ORDER BY id DESC LIMIT $3"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let (mut page, mut names_len) = (Vec::new(), 0);
    for found in statement.query_map(params![application.as_str(), before, limit], read_release)? {
        let release = found?;
        names_len += release.names_len();
        page.push(release);
        if names_len > LISTED_NAMES_LEN_MAX && page.len() > 1 {
            break;
        }
    }
    Ok(page)
}

pub(super) fn read(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> SqlResult<Option<Release>> {
    let sql =
        format!("{RELEASE} WHERE application = $1 AND digest = $2 AND deleted_at_secs IS NULL");
    tx.prepare_cached(&sql)?
        .query_row(params![application.as_str(), release.as_bytes()], read_release)
        .optional()
}

/// Lists all visible releases.
pub(super) fn visible(tx: &Transaction<'_>) -> SqlResult<Vec<Release>> {
    let sql = format!("{RELEASE} WHERE deleted_at_secs IS NULL ORDER BY id");
    tx.prepare_cached(&sql)?.query_map([], read_release)?.collect()
}

pub(super) fn by_id(tx: &Transaction<'_>, id: i64) -> SqlResult<Release> {
    tx.prepare_cached(&format!("{RELEASE} WHERE id = $1"))?.query_row([id], read_release)
}

/// Expands to a query for [`read_release`] with further columns. A macro, because constants are
/// built from it.
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application",
            $rest,
            " FROM releases"
        )
    };
}
pub(super) use columns;

/// The query for [`read_release`].
pub(super) const RELEASE: &str = columns!("");

pub(super) fn read_release(found: &Row<'_>) -> SqlResult<Release> {
    // A release restored without its document has no machines.
    let machines: String = found.get(2)?;
    let machines = machines.split(SEPARATOR).filter(|name| !name.is_empty());
    Ok(Release {
        application: row::name(found, 7)?,
        version: row::name(found, 0)?,
        digest: ReleaseDigest::from_bytes(row::digest(found, 1)?),
        machines: machines.map(|name| row::parse(name, 2)).collect::<Result<_, _>>()?,
        published_at_secs: row::quantity(found, 3)?,
        published_by: found.get(4)?,
        disk_bytes: row::quantity(found, 5)?,
        data_bytes: row::quantity(found, 6)?,
    })
}

const APPLICATION: &str = "SELECT a.name, a.created_at_secs,
        (SELECT COUNT(*) FROM releases r
         WHERE r.application = a.name AND r.deleted_at_secs IS NULL),
        (SELECT r.version FROM releases r
         WHERE r.application = a.name AND r.deleted_at_secs IS NULL ORDER BY r.id DESC LIMIT 1)
     FROM applications a";

fn read_application(found: &Row<'_>) -> SqlResult<Application> {
    let newest: Option<String> = found.get(3)?;
    Ok(Application {
        name: row::name(found, 0)?,
        created_at_secs: row::quantity(found, 1)?,
        release_count: row::quantity(found, 2)?,
        newest: newest.map(|text| row::parse(&text, 3)).transpose()?,
    })
}

pub(super) fn applications(
    tx: &Transaction<'_>,
    after: Option<&ApplicationName>,
    limit: u32,
) -> SqlResult<Vec<Application>> {
    let sql = format!("{APPLICATION} WHERE a.name > $1 ORDER BY a.name LIMIT $2");
    // No name is empty, so every name sorts after the empty text.
    let after = after.map_or("", ApplicationName::as_str);
    tx.prepare_cached(&sql)?.query_map(params![after, limit], read_application)?.collect()
}

pub(super) fn has_application(tx: &Transaction<'_>, name: &ApplicationName) -> SqlResult<bool> {
    tx.prepare_cached("SELECT 1 FROM applications WHERE name = $1")?.exists([name.as_str()])
}

pub(super) fn application(
    tx: &Transaction<'_>,
    name: &ApplicationName,
) -> SqlResult<Option<Application>> {
    let sql = format!("{APPLICATION} WHERE a.name = $1");
    tx.prepare_cached(&sql)?.query_row([name.as_str()], read_application).optional()
}
