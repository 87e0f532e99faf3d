//! `seawall pull`.

use std::sync::Arc;

use seawall::pull;

use super::following::{Followed, Following};
use crate::command::Pull;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn pull(context: Context, command: Pull) -> Result<(), Failure> {
    let Pull { target, into, format, machines, descriptors, dry_run, locked, threads } = command;
    let Context { registry, address, progress, style, state, .. } = context;
    let heard = Arc::clone(&progress);
    let following = Following::of(&into, address, &target.selector);
    let named = into.clone();
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
    let following = following.unless_present(report.already_present);
    following.note(&report.directory, heard.as_ref());
    let report = Followed { report, following };
    answer(style, &report, |done| format!("{}\n{}", done.report, done.following.text(&named)))
}
