//! Releases and channels: published, resolved, listed, compared and deleted.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::content::Content;
use super::names::Names;
use super::records::Records;
use crate::catalog::Catalog;
use crate::host::Host;

pub mod channels;
pub mod damage;
pub mod deletion;
pub mod diff;
pub mod listings;
pub(super) mod publish;
pub(super) mod resolve;

/// The releases and channels in the catalog, and their records and documents in the store.
pub struct Releases {
    pub(super) content: Arc<Content>,
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
    pub(super) names: Names,
    pub(super) records: Records,
    /// One permit per concurrent comparison.
    pub(super) diffing: Semaphore,
}
