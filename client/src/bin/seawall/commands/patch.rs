//! `seawall patch`.

use std::sync::Arc;

use seawall::patch;

use super::Surroundings;
use crate::command::Patch;
use crate::output::answer;
use crate::report::Failure;

pub(crate) async fn patch(around: Surroundings, command: Patch) -> Result<(), Failure> {
    let Patch { dir, target, dry_run, threads } = command;
    let Surroundings { registry, address, progress, style, state } = around;
    let heard = Arc::clone(&progress);
    let origin = super::pull::origin(address, &target.selector);
    let order = patch::Patch {
        registry,
        directory: dir,
        application: target.application,
        selector: target.selector,
        state,
        progress,
        threads,
    };
    if dry_run {
        let plan = patch::plan(&order).await?;
        return answer(style, &plan, |plan| format!("{plan}\n"));
    }
    let report = patch::patch(order).await?;
    super::pull::remember(&origin, &report.directory, heard.as_ref());
    answer(style, &report, |report| format!("{report}\n"))
}
