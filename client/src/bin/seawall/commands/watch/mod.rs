//! The commands that watch a registry: `seawall audit`, `webhooks` and `quota`.

mod audit;
mod quota;
mod webhooks;

use super::Context;
use crate::command::watch::Watch;
use crate::failure::Failure;

/// Runs a command that watches a registry.
pub(super) async fn run(context: &Context, watch: Watch) -> Result<(), Failure> {
    match watch {
        Watch::Audit(filter, limit) => audit::audit(context, filter, limit).await,
        Watch::VerifyAudit(head) => audit::verify(context, head).await,
        Watch::AddWebhook(new) => webhooks::add(context, new).await,
        Watch::Webhooks => webhooks::list(context).await,
        Watch::RemoveWebhook(id) => webhooks::remove(context, id).await,
        Watch::Deliveries(id) => webhooks::deliveries(context, &id).await,
        Watch::Quota(quota) => quota::quota(context, quota).await,
    }
}
