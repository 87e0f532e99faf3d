//! Bodies of version 1 of the HTTP API, a file per resource.
//!
//! Plain data as it crosses the wire; the edges convert it, once.

mod applications;
mod audit;
mod channels;
mod chunks;
mod collect;
mod diff;
mod leases;
mod leaves;
mod meta;
mod quotas;
mod releases;
mod webhooks;

pub use applications::{Application, ApplicationPage};
pub use audit::{AuditEntry, AuditPage};
pub use channels::{Channel, ChannelHistory, ChannelMove, ChannelPage, MoveChannel};
pub use chunks::{CHUNKS_PER_QUESTION_MAX, ENCODING_DELTA, ENCODING_RAW, ENCODING_ZSTD};
pub use chunks::{ChunkLocation, LocateChunks, LocatedChunks, MissingChunks, MissingPositions};
pub use collect::{
    Collection, CollectionOutcome, CollectionPhase, CollectionPlan, CollectionTotals, ReleaseUsage,
    StartCollection, Usage,
};
pub use diff::{DiskDiff, FieldDiff, MachineDiff, Presence, ReleaseDiff};
pub use leases::{Lease, LeasePurpose, OpenLease};
pub use leaves::{LEAVES_PER_QUESTION_MAX, MissingLeaves};
pub use meta::{Health, ServerVersion};
pub use quotas::{Quota, SetQuota};
pub use releases::{Published, ReleasePage, ReleaseSummary};
pub use webhooks::{
    DeliveryPage, NewWebhook, Webhook, WebhookDelivery, WebhookMessage, WebhookPage,
};

/// The header that carries a release's digest beside its document.
pub const RELEASE_HEADER: &str = "seawall-release";
/// The most items one page of a listing holds; also the default.
pub const PAGE_COUNT_MAX: u32 = 1000;
