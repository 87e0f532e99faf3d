//! Maintenance: collection, and checks of everything that is stored.

pub(super) mod collect;
pub(super) mod fsck;
