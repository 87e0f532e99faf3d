//! The audit log, the webhooks that report it, and quotas.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::courier::Reach;
use crate::host::Host;

mod log;
pub(super) mod quotas;
pub mod webhooks;

/// The audit log, with the webhooks and quotas.
pub struct Audit {
    catalog: Catalog,
    host: Arc<dyn Host>,
    noted: log::Noted,
    receivers: webhooks::Receivers,
    pub(super) reach: Reach,
}

impl Audit {
    pub(super) fn new(catalog: Catalog, host: Arc<dyn Host>) -> Self {
        let (noted, receivers) = <_>::default();
        Self { catalog, host, noted, receivers, reach: Reach::PublicOnly }
    }
}
