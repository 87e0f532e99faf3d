//! Pins, hosts and policies: the inputs of retention.

pub(in crate::catalog) mod hosts;
pub(in crate::catalog) mod inventory;
pub(in crate::catalog) mod pins;
pub(in crate::catalog) mod policies;
