//! The audit log, the webhooks that report it, and quotas.

pub(super) mod log;
pub(super) mod quotas;
pub mod webhooks;
