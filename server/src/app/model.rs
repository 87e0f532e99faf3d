//! The values that use cases take and return, for the edges of the registry.
//!
//! An edge (`http`) imports from `app` and from the contract only. This module therefore lists the
//! plain rows of the catalog and the values of the store that are part of a use case. Nothing here
//! reaches a port, a transaction or a backend.

pub use seawall_store::layer::CacheTally;
pub use seawall_store::pack::PACK_LEN_MAX;
pub use seawall_store::port::{BucketState, Put};

pub use super::page::Page;
pub use crate::catalog::access::{Role, Token};
pub use crate::catalog::check::{Class, Finding};
pub use crate::catalog::collect::{Holder, Tombstone};
pub use crate::catalog::retention::{HostPart, InventoryRelease, Pin};
pub use crate::catalog::{
    Application, AuditQuery, Channel, ChannelMove, ChunkPlace, DeliveryRow, DeliveryState,
    Expected, LeaseId, Publication, Purpose, Quota, QuotaState, WebhookId, WebhookStatus,
};
