//! Pins, hosts and policies: the reasons for which releases stay or go.

pub(super) mod hosts;
pub(super) mod pins;
pub(super) mod policies;
