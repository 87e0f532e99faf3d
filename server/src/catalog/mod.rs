//! The catalog: names and state (applications, releases, channels, leases) and the places of
//! chunks.
//!
//! The catalog is not a store. It holds no image bytes, and its rows about content can be rebuilt
//! from the store alone.
//!
//! # Invariants
//!
//! 1. Every method of [`Catalog`] is one transaction: it takes effect in full or not at all.
//! 2. An object named by a row is already in the store: callers put bytes before names.
//! 3. The SQL of an adapter also runs on PostgreSQL. The words in which the engines differ are
//!    named placeholders (`sqlite/schema.rs`).

pub mod check;
pub mod collect;
#[cfg(test)]
mod conformance;
mod error;
pub mod fleet;
mod id;
mod model;
mod port;
pub mod sqlite;
mod watch;

pub use check::Checking;
pub use error::{Barrier, CatalogError, REBUILD};
pub use id::{InvalidLeaseId, InvalidWebhookId, LeaseId, WebhookId};
pub use model::{
    Application, Channel, ChannelMove, ChunkPlace, Expected, Frame, IndexRow, LEASES_MAX,
    LEASES_PER_TOKEN_MAX, LISTED_NAMES_LEN_MAX, LeafAdded, LeafRow, Lease, LeaseOpened, Located,
    MoveRequest, Moved, NewLease, NewPack, NewRelease, PULL_LEASE_AGE_MAX_SECS, PastChannel,
    Publication, Purpose, Release,
};
pub use port::Catalog;
pub use watch::{
    AuditQuery, Delivery, DeliveryRow, DeliveryState, Entry, Excess, LeaseLoad, Logged, Quota,
    QuotaState, Settlement, Usage, Watching, Webhook, WebhookAdded, WebhookSecret, WebhookStatus,
};
