//! Rows, requests and answers of the catalog, as validated values.

pub(super) mod channels;
pub mod check;
pub mod collect;
pub(super) mod content;
pub mod fleet;
pub mod jobs;
pub(super) mod leases;
pub(super) mod releases;
pub(super) mod watch;
