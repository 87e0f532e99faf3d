//! Publication of releases.

use seawall_api::audit::Action;
use seawall_api::digest::{IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, Version};

use super::{SEPARATOR, deletion, leases};
use crate::catalog::model::audit::Entry;
use crate::catalog::model::collect::{Added, Collectable, Grip};
use crate::catalog::model::leases::Lease;
use crate::catalog::model::releases::{NewRelease, Publication, Release};
use crate::catalog::rules::audit::{self, quotas};
use crate::catalog::rules::collect::condemn::{first_condemned, revive};
use crate::catalog::rules::collect::{Counter, count_up};
use crate::catalog::rules::content::condemned_object;
use crate::catalog::tx::{Batch, Bind, Tx, TxError, TxResult, args};

/// Publishes a release and ends its lease. The first release creates its application.
pub(in crate::catalog) fn publish(tx: &mut dyn Tx, new: &NewRelease) -> TxResult<Publication> {
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
        record_indexes(tx, digest, &new.indexes)?;
        count_up(tx, Counter::Published)?;
        leases::close(tx, new.lease)?;
        return Ok(Publication::AlreadyPresent);
    }
    let lease = leases::alive(tx, new.lease, new.now_secs)?;
    let lease = lease.filter(|lease| lease.application == release.application);
    let Some(Lease { grip, .. }) = lease else { return Ok(Publication::LeaseEnded) };
    if let Some(index) = first_missing(tx, &new.indexes, grip)? {
        return Ok(Publication::IndexMissing(index));
    }
    if let Some(excess) = quotas::excess(tx, &release.application, release.data_bytes)? {
        return Ok(Publication::QuotaExceeded(excess));
    }
    let descriptors: Vec<_> =
        new.descriptors.iter().map(|digest| Collectable::Descriptor(*digest)).collect();
    if let Some(Collectable::Descriptor(digest)) = first_condemned(tx, &descriptors, grip)? {
        return Ok(Publication::DescriptorMissing(digest));
    }
    if revive(tx, Collectable::Release(release.digest), new.sweeps)? == Added::Swept {
        return Ok(Publication::Swept);
    }
    if !insert(tx, release)? {
        let why = "a release's digest exists under another version than its document names";
        return Err(TxError::damaged(why));
    }
    record_indexes(tx, release.digest, &new.indexes)?;
    count_up(tx, Counter::Published)?;
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

/// Adds a release published before this catalog was made, as the newest of its application. Returns
/// false if its digest or version exists.
pub(in crate::catalog) fn restore(
    tx: &mut dyn Tx,
    release: &Release,
    indexes: &[IndexDigest],
) -> TxResult<bool> {
    let is_new = insert(tx, release)?;
    if is_new {
        record_indexes(tx, release.digest, indexes)?;
    }
    Ok(is_new)
}

/// Records those indexes of a release that are present.
pub(in crate::catalog) fn record_indexes(
    tx: &mut dyn Tx,
    release: ReleaseDigest,
    indexes: &[IndexDigest],
) -> TxResult<()> {
    let sql = "INSERT INTO release_indexes (release_id, index_digest)
               SELECT r.id, i.digest FROM releases r, indexes i
               WHERE r.digest = $1 AND i.digest = $2
               ON CONFLICT (release_id, index_digest) DO NOTHING";
    tx.run_each(sql, &Batch::new(indexes.iter().map(|index| [release.bind(), index.bind()])))
}

fn first_missing(
    tx: &mut dyn Tx,
    indexes: &[IndexDigest],
    grip: Grip,
) -> TxResult<Option<IndexDigest>> {
    const FIND: &str = concat!(
        "SELECT 1 FROM indexes x WHERE x.digest = $1 AND NOT ",
        condemned_object!("index", "$2")
    );
    let keys = indexes.iter().map(|index| [index.bind(), grip.generation.bind()]);
    let found = tx.find_each(FIND, &Batch::new(keys), |_| Ok(()))?;
    Ok(found.iter().position(Option::is_none).map(|position| indexes[position]))
}

fn machines_of(release: &Release) -> String {
    release.machines.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(SEPARATOR)
}

/// Adds a release. Returns false if its digest or version exists.
fn insert(tx: &mut dyn Tx, release: &Release) -> TxResult<bool> {
    let sql = "INSERT INTO applications (name, created_at_secs) VALUES ($1, $2)
               ON CONFLICT (name) DO NOTHING";
    tx.run(sql, args![release.application, release.published_at_secs])?;
    let sql = "INSERT INTO releases (application, version, digest, machines, published_at_secs,
                                     published_by, disk_bytes, data_bytes)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let machines = machines_of(release);
    let Release { application, version, digest, published_by, .. } = release;
    let (at, disk_bytes, data_bytes) =
        (release.published_at_secs, release.disk_bytes, release.data_bytes);
    let values =
        args![application, version, digest, machines, at, published_by, disk_bytes, data_bytes];
    Ok(tx.run(sql, values)? == 1)
}

/// Fills in the fields of the document, for a release known only by its record.
fn describe(tx: &mut dyn Tx, release: &Release) -> TxResult<()> {
    let sql = "UPDATE releases SET machines = $1, disk_bytes = $2, data_bytes = $3
               WHERE digest = $4";
    let machines = machines_of(release);
    tx.run(sql, args![machines, release.disk_bytes, release.data_bytes, release.digest])?;
    Ok(())
}

/// Returns the visible release of a version.
pub(super) fn by_version(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    version: &Version,
) -> TxResult<Option<ReleaseDigest>> {
    let sql = "SELECT digest FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL";
    let args = args![application, version];
    tx.find(sql, args, |row| Ok(ReleaseDigest::from_bytes(row.id(0)?)))
}
