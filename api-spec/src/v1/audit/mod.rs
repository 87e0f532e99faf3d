//! An operator's tools: the audit log, webhooks and quotas.

pub(super) mod log;
pub(super) mod quotas;
pub(super) mod webhooks;
