//! `seawall repair [REFERENCE] --from URL|DIR…`.

use std::path::Path;
use std::sync::Arc;

use seawall::directory::has_lockfile;
use seawall::repair::{self, DirectorySource, RegistrySource, Source};

use crate::command::{self, Target};
use crate::commands::Context;
use crate::config::Settings;
use crate::connect::{Connection, Missing};
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn repair(context: Context, order: command::Repair) -> Result<(), Failure> {
    let mut connections = Vec::new();
    let outcome = with_sources(context, order, &mut connections).await;
    for connection in connections {
        connection.close().await;
    }
    outcome
}

async fn with_sources(
    context: Context,
    order: command::Repair,
    connections: &mut Vec<Connection>,
) -> Result<(), Failure> {
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for from in &order.from {
        let path = Path::new(from);
        if has_lockfile(path) {
            sources.push(Arc::new(DirectorySource::open(path, order.threads).await?));
            continue;
        }
        let settings = Settings::beside(from, order.from_token_file.as_deref(), &context.keyring)?;
        let connection = Connection::open(settings, Missing::Refuse, &context.progress).await?;
        sources.push(Arc::new(RegistrySource(connection.registry())));
        connections.push(connection);
    }
    let Context { registry, progress, style, .. } = context;
    let target = order.target.map(|Target { application, selector, .. }| (application, selector));
    let report = repair::repair(repair::Repair { registry, sources, target, progress }).await?;
    answer(style, &report, |report| format!("{report}\n"))?;
    if report.is_whole() {
        return Ok(());
    }
    let remedy = "name more sources with --from, such as each directory that the release was \
                  pulled into; or push its disks again";
    Err(Failure::damaged("some objects could not be restored", remedy))
}
