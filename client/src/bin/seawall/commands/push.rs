//! `seawall push`.

use seawall::push;

use super::Surroundings;
use crate::command::Push;
use crate::output::answer;
use crate::report::Failure;

pub(crate) async fn push(around: Surroundings, command: Push) -> Result<(), Failure> {
    let Push { spec, package, access, application, version, parent, full_scan, threads } = command;
    let Surroundings { registry, progress, style, state, .. } = around;
    let order = push::Push {
        registry,
        spec,
        package,
        application,
        version,
        parent: parent.map(|parent| parent.selector),
        full_scan,
        access,
        state,
        progress,
        threads,
    };
    let report = push::push(order).await?;
    answer(style, &report, |report| format!("{report}\n"))
}
