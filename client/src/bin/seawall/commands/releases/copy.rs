//! `seawall copy REFERENCE… --to PLACE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall::copy::{self, CopyReport, Manner};
use seawall::depot::{Depot, Pruned};
use seawall::registry::Reading;
use seawall_api::units::HumanBytes;
use serde::Serialize;

use crate::command;
use crate::commands::Context;
use crate::config::{Location, Settings};
use crate::connect::{Connection, Missing};
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn copy(context: Context, order: command::Copy) -> Result<(), Failure> {
    let command::Copy { what, filter, to, to_token_file, dry_run, prune } = order;
    let settings = Settings::beside(&to, to_token_file.as_deref(), &context.keyring)?;
    let missing = if dry_run { Missing::Refuse } else { Missing::Create };
    let target = match &settings.location {
        Location::Depot(at) => Connection::to_depot(at, missing, &context.address).await?,
        _ => Connection::open(settings, missing, &context.progress).await?,
    };
    let order = copy::Copy {
        from: context.registry,
        to: target.registry(),
        picks: what.into_iter().map(|what| what.pick(&filter)).collect(),
        dry_run,
        manner: Manner::default(),
        progress: context.progress,
    };
    let outcome = match copy::copy(&order).await {
        Ok(report) => {
            pruned(&report, target.depot().filter(|_| prune)).await.map(|it| (report, it))
        }
        Err(error) => Err(error.into()),
    };
    drop(order);
    target.close().await;
    let (report, pruned) = outcome?;
    if let Some(pruned) = pruned {
        let answered = Answer { report, pruned };
        return answer(context.style, &answered, |Answer { report, pruned }| {
            format!(
                "{report} sent\n{} deleted; {} more in 24 hours\n",
                HumanBytes(pruned.deleted_bytes),
                HumanBytes(pruned.condemned_bytes),
            )
        });
    }
    answer(context.style, &report, |report| match dry_run {
        true => format!("{report} would be sent\n"),
        false => format!("{report} sent\n"),
    })
}

/// The time in seconds for which a reader of a depot may need what no document names any more.
const GRACE_SECS: u64 = 24 * 3600;

/// The answer of a copy that pruned.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    report: CopyReport,
    pruned: Pruned,
}

/// Removes from a depot the releases of the copied applications that were not copied, and the
/// content that nothing has needed for long enough.
async fn pruned(report: &CopyReport, depot: Option<Arc<Depot>>) -> Result<Option<Pruned>, Failure> {
    let Some(depot) = depot else { return Ok(None) };
    let mut kept = BTreeMap::<_, Vec<_>>::new();
    for release in &report.releases {
        kept.entry(&release.application).or_default().push(&release.version);
    }
    for (application, kept) in kept {
        let listed = depot.releases(application, None).await?.releases.into_iter();
        let gone = listed.map(|it| it.version).filter(|version| !kept.contains(&version));
        let gone: Vec<_> = gone.collect();
        if !gone.is_empty() {
            depot.withdraw(application, &gone).await?;
        }
    }
    Ok(Some(depot.prune(GRACE_SECS).await?))
}
