//! The commands that watch a registry: `seawall audit`, `webhooks` and `quota`.

mod log;
mod quota;
mod webhooks;

use super::Context;
use crate::command::audit::Audit;
use crate::failure::Failure;

/// Runs a command that watches a registry.
pub(super) async fn run(context: &Context, audit: Audit) -> Result<(), Failure> {
    match audit {
        Audit::Log(filter, limit) => log::audit(context, filter, limit).await,
        Audit::VerifyLog(head) => log::verify(context, head).await,
        Audit::AddWebhook(new) => webhooks::add(context, new).await,
        Audit::Webhooks => webhooks::list(context).await,
        Audit::RemoveWebhook(id) => webhooks::remove(context, id).await,
        Audit::Deliveries(id) => webhooks::deliveries(context, &id).await,
        Audit::Quota(quota) => quota::quota(context, quota).await,
    }
}
