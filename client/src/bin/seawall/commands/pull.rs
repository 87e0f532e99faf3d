//! `seawall pull`.

use seawall::directory::Origin;
use seawall::pull;
use seawall_api::reference::Selector;

use super::Surroundings;
use crate::command::Pull;
use crate::output::answer;
use crate::report::Failure;

pub(crate) async fn pull(around: Surroundings, command: Pull) -> Result<(), Failure> {
    let Pull { target, into, format, machines, descriptors, dry_run, locked, threads } = command;
    let Surroundings { registry, address, progress, style, state } = around;
    let origin = origin(address, &target.selector);
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
    origin.write(&report.directory)?;
    answer(style, &report, |report| format!("{report}\n"))
}

/// What `seawall status` is to know of a directory: a channel is followed, a version is not.
pub(super) fn origin(address: String, selector: &Selector) -> Origin {
    let channel = match selector {
        Selector::Channel(channel) => Some(channel.clone()),
        Selector::Version(_) | Selector::Digest(_) => None,
    };
    Origin { registry: Some(address), channel }
}
