//! The catalog: what keeps names and state (applications, releases, channels, leases, and where
//! chunks lie).
//!
//! Not a store: it holds no bytes of any image, and what it holds of content can be rebuilt from
//! the store alone.
//!
//! # Invariants
//!
//! 1. Every method of [`Catalog`] is one transaction: it happened or it did not.
//! 2. What a row names is in the store already: callers put bytes before names.
//! 3. The SQL of an adapter keeps to what PostgreSQL runs unchanged; what differs has a named
//!    placeholder (`sqlite/schema.rs`).

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
