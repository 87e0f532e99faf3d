//! `seawall push`.

use seawall::push;

use crate::command::Push;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn push(context: Context, command: Push) -> Result<(), Failure> {
    let Push { spec, package, access, application, version, parent, full_scan, threads } = command;
    let Context { registry, progress, style, state, .. } = context;
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
