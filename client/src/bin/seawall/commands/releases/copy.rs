//! `seawall copy REFERENCE… --to PLACE`.

use seawall::copy;

use crate::command;
use crate::commands::Context;
use crate::config::{Location, Settings};
use crate::connect::{Connection, Missing};
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn copy(context: Context, order: command::Copy) -> Result<(), Failure> {
    let command::Copy { what, filter, to, to_token_file, dry_run } = order;
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
        progress: context.progress,
    };
    let outcome = copy::copy(&order).await;
    drop(order);
    target.close().await;
    let report = outcome?;
    answer(context.style, &report, |report| match dry_run {
        true => format!("{report} would be sent\n"),
        false => format!("{report} sent\n"),
    })
}
