//! The commands that keep and delete releases: `seawall rm`, `pin`, `unpin` and `retention`. They
//! dispatch `hosts`, which is validated with them.

mod holders;
mod pins;
mod policies;
mod removal;

use super::{Context, hosts};
use crate::command::Retention;
use crate::failure::Failure;

pub(super) use holders::holders_text;

/// Runs a retention command.
pub(crate) async fn run(context: &Context, order: Retention) -> Result<(), Failure> {
    match order {
        Retention::Remove { target, dry_run: true } => removal::would_remove(context, target).await,
        Retention::Remove { target, dry_run: false } => removal::remove(context, target).await,
        Retention::Pin { targets, name, reason } => {
            pins::pin(context, targets, &name, &reason).await
        }
        Retention::Unpin { target, name } => pins::unpin(context, target, name).await,
        Retention::Hosts(application) => hosts::list(context, application).await,
        Retention::Forget { host, application } => {
            hosts::forget(context, host, application.as_ref()).await
        }
        Retention::Policies(application) => policies::show(context, &application).await,
        Retention::SetPolicy(set) => policies::set(context, &set).await,
        Retention::Plan(application) => policies::plan(context, &application).await,
        Retention::Apply(application) => policies::apply(context, &application).await,
    }
}
