//! `seawall pull`.

use std::path::Path;
use std::sync::Arc;

use seawall::directory::Origin;
use seawall::progress::Progress;
use seawall::pull;
use seawall_api::reference::Selector;

use super::Surroundings;
use crate::command::Pull;
use crate::output::answer;
use crate::report::Failure;

pub(crate) async fn pull(around: Surroundings, command: Pull) -> Result<(), Failure> {
    let Pull { target, into, format, machines, descriptors, dry_run, locked, threads } = command;
    let Surroundings { registry, address, progress, style, state } = around;
    let heard = Arc::clone(&progress);
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
    remember(&origin, &report.directory, heard.as_ref());
    answer(style, &report, |report| format!("{report}\n"))
}

/// Notes in a directory where it came from. The release is there whether or not that succeeds.
pub(super) fn remember(origin: &Origin, directory: &Path, progress: &dyn Progress) {
    if let Err(error) = origin.write(directory) {
        let why = &error.source;
        progress.note(&format!("warning: {error}: {why}; `seawall status` cannot follow it"));
    }
}

/// What `seawall status` is to know of a directory: a channel is followed, a version is not.
pub(super) fn origin(address: String, selector: &Selector) -> Origin {
    let channel = match selector {
        Selector::Channel(channel) => Some(channel.clone()),
        Selector::Version(_) | Selector::Digest(_) => None,
    };
    Origin { registry: Some(address), channel }
}
