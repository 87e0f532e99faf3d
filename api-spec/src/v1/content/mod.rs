//! Questions about the content of releases, and leases, which protect it.

pub(super) mod chunks;
pub(super) mod leases;
pub(super) mod leaves;
