//! The model that an edge of the registry speaks of: the values that use cases take and return.
//!
//! An edge (`http`) imports from `app` and from the contract only. This module therefore lists the
//! plain rows of the catalog and the values of the store that are part of a use case. Nothing here
//! reaches a port, a transaction or a backend.

pub use seawall_store::pack::PACK_LEN_MAX;
pub use seawall_store::port::Put;

pub use crate::catalog::check::{Class, Finding};
pub use crate::catalog::collect::{Holder, Tombstone};
pub use crate::catalog::fleet::{HostPart, Pin, StandingRelease};
pub use crate::catalog::{
    Application, AuditQuery, Channel, ChannelMove, ChunkPlace, DeliveryRow, DeliveryState,
    Expected, LeaseId, Publication, Purpose, Quota, QuotaState, WebhookId, WebhookStatus,
};

/// A page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, K> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The key of the last item, as the cursor of the next page. `None` on the last page.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Builds a page from up to `limit + 1` items; the extra item shows that there is a next page.
    pub(super) fn of(mut items: Vec<T>, limit: u32, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}
