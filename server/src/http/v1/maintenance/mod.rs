//! Maintenance: collection, checks, damage and backup.

pub(super) mod backup;
pub(super) mod collect;
pub(super) mod damage;
pub(super) mod fsck;
