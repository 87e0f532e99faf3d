//! Maintenance of the store and the catalog: collection, checks, rebuilds and backups.

pub mod backup;
pub mod collect;
pub mod fsck;
mod kernel;
pub mod rebuild;

pub(super) use kernel::Kernel;
