//! Pins, hosts and policies: the reasons to keep a release, and the releases to delete.

use std::sync::Arc;

use super::jobs::Kernel;
use super::maintenance::collect::Collector;
use super::names::Names;
use super::releases::Releases;
use crate::catalog::Catalog;
use crate::host::Host;

pub mod apply;
pub mod hosts;
pub mod pins;
pub mod policies;

/// The pins, hosts and policies in the catalog, and what policies delete.
#[derive(Clone)]
pub struct Retention {
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
    pub(super) kernel: Kernel,
    pub(super) names: Names,
    pub(super) releases: Arc<Releases>,
    pub(super) collector: Arc<Collector>,
}
