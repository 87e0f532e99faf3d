//! Maintenance: collection, checks, damage, backup, and the status of jobs.

pub(super) mod backup;
pub(super) mod collect;
pub(super) mod damage;
pub(super) mod fsck;
pub(super) mod jobs;
