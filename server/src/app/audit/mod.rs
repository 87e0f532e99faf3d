//! The audit log, the webhooks that report it, and quotas.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::courier::Reach;
use crate::host::Host;

mod damage;
mod log;
pub(super) mod quotas;
pub mod webhooks;

pub use damage::DamageLog;

/// The audit log, with the webhooks and quotas.
pub struct Audit {
    catalog: Catalog,
    host: Arc<dyn Host>,
    receivers: webhooks::Receivers,
    reach: Reach,
}

impl Audit {
    pub(super) fn new(catalog: Catalog, host: Arc<dyn Host>, reach: Reach) -> Self {
        Self { catalog, host, receivers: <_>::default(), reach }
    }
}
