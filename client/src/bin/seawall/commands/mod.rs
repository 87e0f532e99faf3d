//! The commands, one file each, in folders by subject: every command calls a flow and prints its
//! report. A file of this folder is for commands of every subject.

mod audit;
mod bundle;
mod cloud;
mod hints;
mod hosts;
mod images;
mod look;
pub(crate) mod maintenance;
pub(crate) mod mirrors;
mod releases;
mod retention;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use directories::ProjectDirs;
use seawall::host::HostState;
use seawall::progress::Progress;
use seawall::registry::Registry;
#[cfg(feature = "server")]
use seawall_server::Home;

use crate::args::Global;
use crate::command::Command;
#[cfg(feature = "server")]
use crate::command::Offline;
use crate::command::tokens::Tokens;
use crate::config::{Keyring, Settings};
use crate::connect::{Connection, Missing};
use crate::failure::Failure;
use crate::output::{Screen, Style};
use crate::progress;
use hints::Wanted;
use hosts::{report, status};
use images::convert;
use look::{channels, diff, list, show};
use maintenance::{backup, collect};
#[cfg(feature = "server")]
use maintenance::{catalog, drill, recover, relocate, store};
use releases::{copy, describe, export, patch, pull, push, verify};

/// The context of a command that uses a registry.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) registry: Arc<dyn Registry>,
    /// The registry's address for later commands.
    pub(crate) address: String,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) style: Style,
    pub(crate) state: HostState,
    /// The tokens for other registries named by the command.
    pub(crate) keyring: Keyring,
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command, global: Global) -> Result<(), Failure> {
    let is_json = global.json || Screen::get().listing.is_json();
    let style = if is_json { Style::Json(command.schema()) } else { Style::Text };
    let progress = progress::choose(global.quiet, global.verbose > 0);
    // Every directory has a registry of its own.
    if let Command::Status(order) = command {
        return status::status(&order, &global, style).await;
    }
    if let Command::Report(order) = command {
        return report::report(&order, &global, style).await;
    }
    let Some(reach) = command.reach() else {
        let outcome = without_registry(command, &global, progress.clone(), style).await;
        progress.finish();
        return outcome;
    };
    let global = global.with(&reach.credentials);
    let missing = match command {
        // The first token of a registry that is about to be served.
        Command::Push(..) | Command::Tokens(_, Tokens::Create(_)) => Missing::Create,
        _ => Missing::Refuse,
    };
    let keyring = Keyring::read(&global, crate::environment())?;
    let settings = match &command {
        Command::BackupOf(_, data, _) => Settings::of_directory(data),
        _ => Settings::find(&global, reach, &keyring)?,
    };
    let address = settings.location.address();
    let connection = Connection::open(settings, missing, &progress).await?;
    let context = Context {
        registry: connection.registry(),
        address,
        progress: progress.clone(),
        style,
        state: host_state(&global)?,
        keyring,
    };
    let wanted = Wanted::of(&mut command);
    let registry = Arc::clone(&context.registry);
    let outcome = async {
        for target in command.targets_mut() {
            target.complete(registry.as_ref()).await?;
        }
        with_registry(command, context).await
    };
    let outcome = match Box::pin(outcome).await {
        Err(failure) => Err(hints::better(failure, &wanted, registry.as_ref()).await),
        done => done,
    };
    progress.finish();
    connection.close().await;
    outcome
}

async fn with_registry(command: Command, context: Context) -> Result<(), Failure> {
    match command {
        Command::Push(_, push) => push::push(context, *push).await,
        Command::Pull(_, pull) => pull::pull(context, pull).await,
        Command::Package(_, package) => export::package(context, package).await,
        Command::Export(_, order) => export::export(context, order).await,
        Command::Patch(_, patch) => patch::patch(context, patch).await,
        Command::Collect(_, collect) => collect::collect(&context, collect).await,
        Command::Diff(_, from, to) => diff::diff(&context, &from, &to).await,
        Command::Applications(_) => list::applications(&context).await,
        Command::Releases(_, application) => list::releases(&context, application).await,
        Command::Show(_, target) => show::show(&context, &target).await,
        Command::Channels(_, application) => channels::channels(&context, application).await,
        Command::History(_, application, channel) => {
            channels::history(&context, application, channel).await
        }
        Command::Copy(_, order) => copy::copy(context, order).await,
        Command::Bundle(_, order) => bundle::run(context, order).await,
        Command::Promote(_, promote) => channels::promote(&context, promote).await,
        Command::Retention(_, order) => retention::run(&context, order).await,
        Command::Audit(_, audit) => audit::run(&context, audit).await,
        Command::Tokens(_, order) => tokens::run(&context, order).await,
        Command::Mirrors(_, order) => mirrors::run(&context, order).await,
        Command::Cloud(_, order) => Box::pin(cloud::run(context, order)).await,
        Command::VerifyRelease(_, target) => verify::release(context, target).await,
        Command::Maintenance(_, maintenance) => maintenance::run(context, maintenance).await,
        Command::BackupOf(_, _, out) => backup::backup(&context, &out).await,
        #[cfg(feature = "server")]
        Command::Offline(..) => Err(Failure::internal("this command needs no registry")),
        Command::Status(..)
        | Command::Report(..)
        | Command::Describe(..)
        | Command::VerifyDir(..)
        | Command::Convert(..)
        | Command::VerifyBundle(..)
        | Command::Inspect(..) => Err(Failure::internal("this command needs no registry")),
    }
}

async fn without_registry(
    command: Command,
    global: &Global,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    match command {
        Command::Describe(dir, targets) => describe::describe(&dir, &targets, style),
        Command::VerifyDir(dir, threads) => verify::dir(&dir, threads, progress, style).await,
        Command::VerifyBundle(files) => bundle::verify(files, style),
        Command::Convert(command) => convert::convert(command, progress, style).await,
        Command::Inspect(command) => convert::inspect(command, progress, style).await,
        #[cfg(feature = "server")]
        Command::Offline(Offline::Recover { data, store, catalog }) => {
            let home = Home {
                store: store::find(store, global)?,
                catalog: catalog::find(catalog, global)?,
            };
            recover::recover(data, home, style).await
        }
        #[cfg(feature = "server")]
        Command::Offline(Offline::Relocate(args)) => {
            relocate::run(*args, global, progress, style).await
        }
        #[cfg(feature = "server")]
        Command::Offline(Offline::Drill { data, store, releases, into }) => {
            let store = store::find(store, global)?;
            drill::drill((data, store), (releases, into), progress, style).await
        }
        _ => Err(Failure::internal("this command needs a registry")),
    }
}

/// Returns this host's state directory, from `--state` or the XDG rules. Its files may be deleted
/// at any time.
pub(crate) fn host_state(global: &Global) -> Result<HostState, Failure> {
    let usual = || -> Option<PathBuf> {
        let dirs = ProjectDirs::from("", "", "seawall")?;
        Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned())
    };
    let given = global.state.clone().filter(|path| !path.as_os_str().is_empty());
    let root = given.or_else(usual).ok_or_else(|| {
        Failure::usage(
            "there is no directory for the state of scans and pulls: HOME is not set",
            "set HOME or XDG_STATE_HOME, or give --state DIR",
        )
    })?;
    Ok(HostState::new(root, crate::now))
}
