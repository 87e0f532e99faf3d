//! The bodies of version 1 of the HTTP API, one file per resource.
//!
//! Plain data as sent over the wire. The edges convert the data once.

mod applications;
mod audit;
mod channels;
mod chunks;
mod collect;
mod diff;
mod fsck;
mod hosts;
mod leases;
mod leaves;
mod meta;
mod pins;
mod quotas;
mod releases;
mod retention;
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
pub use fsck::{
    DAMAGED_RELEASES_MAX, Damage, DamagedRelease, FINDINGS_MAX, Finding, FindingClass, Fsck,
    FsckState, LostObject, StartFsck,
};
pub use hosts::{HOST_TTL_SECS_MAX, HOST_TTL_SECS_MIN, HostPage, HostRun, RenewHost};
pub use leases::{Lease, LeasePurpose, OpenLease};
pub use leaves::{LEAVES_PER_QUESTION_MAX, MissingLeaves};
pub use meta::{Health, ServerVersion};
pub use pins::{Holder, Holders, PIN_REASON_LEN_MAX, Pin, PinPage, SetPin};
pub use quotas::{Quota, SetQuota};
pub use releases::{DeletedRelease, Published, ReleasePage, ReleaseSummary};
pub use retention::{
    ApplyRetention, Fate, KeptRelease, Policies, Policy, RetentionOutcome, RetentionPlan,
    RetentionPolicy, Verdict,
};
pub use webhooks::{
    DeliveryPage, NewWebhook, Webhook, WebhookDelivery, WebhookMessage, WebhookPage,
};

/// The header with a release's digest, sent along with the document.
pub const RELEASE_HEADER: &str = "seawall-release";
/// The maximum number of items per page of a listing, and the default.
pub const PAGE_COUNT_MAX: u32 = 1000;
