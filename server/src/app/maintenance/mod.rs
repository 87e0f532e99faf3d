//! Maintenance of the store and the catalog: collection, checks, rebuilds, backups and moves.

pub mod backup;
pub mod collect;
pub mod fsck;
pub mod rebuild;
pub mod relocate;
