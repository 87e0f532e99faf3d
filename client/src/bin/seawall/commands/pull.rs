//! `seawall pull`.

use seawall::pull;

use super::Surroundings;
use crate::command::Pull;
use crate::output::answer;
use crate::report::Failure;

pub(crate) async fn pull(around: Surroundings, command: Pull) -> Result<(), Failure> {
    let Pull { target, into, format, machines, descriptors, dry_run, locked, threads } = command;
    let Surroundings { registry, progress, style, state } = around;
    let order = pull::Pull {
        registry,
        application: target.application,
        selector: target.selector,
        into,
        format,
        machines,
        descriptors,
        locked,
        state,
        progress,
        threads,
    };
    if dry_run {
        let plan = pull::plan(&order).await?;
        return answer(style, &plan, |plan| format!("{plan}\n"));
    }
    let report = pull::pull(order).await?;
    answer(style, &report, |report| format!("{report}\n"))
}
