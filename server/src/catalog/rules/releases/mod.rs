//! Applications, releases, channels and leases.

pub(in crate::catalog) mod channels;
pub(in crate::catalog) mod deletion;
pub(in crate::catalog) mod leases;
pub(in crate::catalog) mod list;
pub(in crate::catalog) mod publish;

use seawall_api::digest::ReleaseDigest;

use crate::catalog::model::releases::Release;
use crate::catalog::tx::{Row, TxError, TxResult};

/// Separates the machines of a release in their column. No machine's name contains a comma.
const SEPARATOR: &str = ",";

/// Expands to a query for [`read_release`], with further columns and the rest of the query.
macro_rules! select_release {
    ($rest:literal) => {
        select_release!("", $rest)
    };
    ($columns:literal, $rest:expr) => {
        concat!(
            "SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application",
            $columns,
            " FROM releases ",
            $rest
        )
    };
}
pub(super) use select_release;

/// Reads a row of [`select_release`].
pub(in crate::catalog) fn read_release(row: Row<'_>) -> TxResult<Release> {
    // A release restored without its document has no machines.
    let machines = row.text(2)?.split(SEPARATOR).filter(|name| !name.is_empty());
    Ok(Release {
        application: row.name(7)?,
        version: row.name(0)?,
        digest: ReleaseDigest::from_bytes(row.id(1)?),
        machines: machines.map(str::parse).collect::<Result<_, _>>().map_err(TxError::damaged)?,
        published_at_secs: row.count(3)?,
        published_by: row.text(4)?.to_owned(),
        disk_bytes: row.count(5)?,
        data_bytes: row.count(6)?,
    })
}
