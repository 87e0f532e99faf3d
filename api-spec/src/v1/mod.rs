//! The bodies of version 1 of the HTTP API, a folder per subject and a file per resource.
//!
//! Plain data as sent over the wire. The edges convert the data once.

mod access;
mod audit;
mod content;
mod maintenance;
mod meta;
mod mirrors;
mod releases;
mod retention;

pub use access::tokens::{CreatedToken, NewToken, Token, TokenPage, TokenRole};
pub use audit::log::{AuditEntry, AuditPage};
pub use audit::quotas::{Quota, SetQuota};
pub use audit::webhooks::{
    DeliveryPage, NewWebhook, Webhook, WebhookDelivery, WebhookMessage, WebhookPage,
};
pub use content::chunks::{CHUNKS_PER_QUESTION_MAX, ENCODING_DELTA, ENCODING_RAW, ENCODING_ZSTD};
pub use content::chunks::{
    ChunkLocation, LocateChunks, LocatedChunks, MissingChunks, MissingPositions,
};
pub use content::leases::{Lease, LeasePurpose, OpenLease};
pub use content::leaves::{LEAVES_PER_QUESTION_MAX, MissingLeaves};
pub use maintenance::collect::{
    Collection, CollectionOutcome, CollectionPhase, CollectionPlan, CollectionTotals, ReleaseUsage,
    StartCollection, Usage,
};
pub use maintenance::fsck::{
    DAMAGED_RELEASES_MAX, Damage, DamagedRelease, FINDINGS_MAX, Finding, FindingClass, Fsck,
    FsckState, LostObject, StartFsck,
};
pub use maintenance::jobs::{Job, JobState, Jobs};
pub use meta::{Health, ServerVersion};
pub use mirrors::{
    Mirror, MirrorDirection, MirrorLag, MirrorPage, MirrorRequest, MirrorStatus, MirrorTotals,
    NewMirror,
};
pub use releases::applications::{Application, ApplicationPage};
pub use releases::channels::{Channel, ChannelHistory, ChannelMove, ChannelPage, MoveChannel};
pub use releases::diff::{DiskDiff, FieldDiff, MachineDiff, Presence, ReleaseDiff};
pub use releases::published::{DeletedRelease, Published, ReleasePage, ReleaseSummary};
pub use retention::hosts::{HOST_TTL_SECS_MAX, HOST_TTL_SECS_MIN, HostPage, HostRun, RenewHost};
pub use retention::pins::{Holder, Holders, PIN_REASON_LEN_MAX, Pin, PinPage, SetPin};
pub use retention::policies::{
    ApplyRetention, Fate, KeptRelease, Policies, Policy, RetentionOutcome, RetentionPlan,
    RetentionPolicy, Verdict,
};

/// The header with a release's digest, sent along with the document.
pub const RELEASE_HEADER: &str = "seawall-release";
/// The maximum number of items per page of a listing, and the default.
pub const PAGE_COUNT_MAX: u32 = 1000;
