//! `seawall patch`.

use std::sync::Arc;

use seawall::patch;

use super::following::{Followed, Following};
use crate::command::Patch;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn patch(context: Context, command: Patch) -> Result<(), Failure> {
    let Patch { dir, target, dry_run, threads } = command;
    let Context { registry, address, progress, style, state, .. } = context;
    let heard = Arc::clone(&progress);
    let following = Following::of(&dir, address, &target.selector);
    let named = dir.clone();
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
        let plan = Followed { report: plan, following };
        return answer(style, &plan, |plan| {
            format!("{}\n{}", plan.report, plan.following.text(&named))
        });
    }
    let report = patch::patch(order).await?;
    following.note(&report.directory, heard.as_ref());
    let report = Followed { report, following };
    answer(style, &report, |done| format!("{}\n{}", done.report, done.following.text(&named)))
}
