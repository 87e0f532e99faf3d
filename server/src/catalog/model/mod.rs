//! Rows, requests and answers of the catalog, as validated values.

pub mod access;
pub(super) mod audit;
pub(super) mod channels;
pub mod check;
pub mod collect;
pub(super) mod content;
pub mod jobs;
pub(super) mod leases;
pub mod mirrors;
pub(super) mod releases;
pub mod relocation;
pub mod retention;
