//! Maintenance of the store and the catalog: collection, checks, rebuilds and backups.

use std::sync::Arc;

use seawall_store::port::ObjectStore;

use super::audit::DamageLog;
use super::content::Content;
use super::jobs::Kernel;
use super::records::Records;
use super::releases::Releases;
use super::room::Room;
use super::sweep::Sweeper;
use crate::catalog::Catalog;
use crate::host::Host;

pub mod backup;
pub mod collect;
pub mod fsck;
pub mod rebuild;
pub mod relocate;

/// Collections, checks and backups, and the jobs among them that this process runs.
pub struct Maintenance {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
    pub(super) content: Arc<Content>,
    pub(super) releases: Arc<Releases>,
    pub(super) records: Records,
    pub(super) sweeper: Sweeper,
    pub(super) damage: DamageLog,
    pub(super) room: Option<Room>,
    pub(super) kernel: Kernel,
    /// The collection that this process runs.
    pub(super) collecting: collect::Collecting,
    /// The last measurement of usage.
    pub(super) usage: collect::Measured,
    /// The items that checks of this process examined.
    pub(super) tally: fsck::Tally,
}
