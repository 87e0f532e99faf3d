//! Maintenance: collection, checks of everything that is stored, and the status of jobs.

pub(super) mod collect;
pub(super) mod fsck;
pub(super) mod jobs;
