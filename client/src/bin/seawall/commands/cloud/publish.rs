//! `seawall cloud publish`.

use seawall::cloud;

use super::open;
use crate::command::cloud::Publish;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(super) async fn publish(context: Context, order: Publish) -> Result<(), Failure> {
    let Publish { target, place, machines, dry_run, threads } = order;
    let cloud = open(&place).await?;
    let Context { registry, progress, style, state, .. } = context;
    let order = cloud::Publish {
        registry,
        application: target.application,
        selector: target.selector,
        machines,
        cloud,
        state,
        progress,
        threads,
        dry_run,
    };
    let report = cloud::publish(order).await?;
    answer(style, &report, |report| format!("{report}\n"))
}
