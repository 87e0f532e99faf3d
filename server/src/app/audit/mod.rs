//! The audit log, the webhooks that report it, and quotas.

use std::sync::Arc;

use super::jobs::Kernel;
use crate::catalog::Catalog;
use crate::courier::Reach;
use crate::host::Host;

mod damage;
mod log;
pub(super) mod quotas;
pub mod webhooks;

pub use damage::DamageLog;

/// The audit log, with the webhooks and quotas.
#[derive(Clone)]
pub struct Audit {
    catalog: Catalog,
    host: Arc<dyn Host>,
    kernel: Kernel,
    reach: Reach,
}

impl Audit {
    pub(super) fn new(kernel: Kernel, reach: Reach) -> Self {
        let (catalog, host) = (kernel.catalog.clone(), Arc::clone(&kernel.host));
        Self { catalog, host, kernel, reach }
    }
}
