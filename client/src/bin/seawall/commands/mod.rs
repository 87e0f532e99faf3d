//! The commands, one file each: every command calls a flow and prints its report.

mod audit;
mod backup;
mod channels;
mod collect;
mod convert;
mod describe;
mod diff;
#[cfg(feature = "server")]
mod drill;
mod export;
mod fleet;
mod following;
mod fsck;
mod hints;
mod list;
mod package;
mod patch;
mod pull;
mod push;
mod quota;
#[cfg(feature = "server")]
mod recover;
mod repair;
mod report;
mod retention;
#[cfg(feature = "server")]
pub(crate) mod serve;
mod show;
mod status;
mod verify;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use directories::ProjectDirs;
use seawall::host::HostState;
use seawall::progress::Progress;
use seawall::registry::Registry;

use crate::args::Global;
#[cfg(feature = "server")]
use crate::command::Offline;
use crate::command::watch::Watch;
use crate::command::{Command, Upkeep};
use crate::config::{Keyring, Settings};
use crate::connect::{Connection, Missing};
use crate::output::{Screen, Style};
use crate::progress;
use crate::report::Failure;
use hints::Wanted;

/// The context of a command that uses a registry.
#[derive(Clone)]
pub(crate) struct Surroundings {
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
        let outcome = without_registry(command, progress.clone(), style).await;
        progress.finish();
        return outcome;
    };
    let global = global.with(&reach.credentials);
    let missing = match command {
        Command::Push(..) => Missing::Create,
        _ => Missing::Refuse,
    };
    let keyring = Keyring::read(&global, crate::environment())?;
    let settings = match &command {
        Command::BackupOf(_, data, _) => Settings::of_directory(data),
        _ => Settings::find(&global, reach, &keyring)?,
    };
    let address = settings.location.address();
    let connection = Connection::open(settings, missing, &progress).await?;
    let around = Surroundings {
        registry: connection.registry(),
        address,
        progress: progress.clone(),
        style,
        state: host_state(&global)?,
        keyring,
    };
    let wanted = Wanted::of(&mut command);
    let registry = Arc::clone(&around.registry);
    let outcome = async {
        for target in command.targets_mut() {
            target.complete(registry.as_ref()).await?;
        }
        with_registry(command, around).await
    };
    let outcome = match Box::pin(outcome).await {
        Err(failure) => Err(hints::better(failure, &wanted, registry.as_ref()).await),
        done => done,
    };
    progress.finish();
    connection.close().await;
    outcome
}

async fn with_registry(command: Command, around: Surroundings) -> Result<(), Failure> {
    match command {
        Command::Push(_, push) => push::push(around, *push).await,
        Command::Pull(_, pull) => pull::pull(around, pull).await,
        Command::Package(_, package) => export::package(around, package).await,
        Command::Export(_, order) => export::export(around, order).await,
        Command::Patch(_, patch) => patch::patch(around, patch).await,
        Command::Collect(_, collect) => collect::collect(&around, collect).await,
        Command::Diff(_, from, to) => diff::diff(&around, &from, &to).await,
        Command::Applications(_) => list::applications(&around).await,
        Command::Releases(_, application) => list::releases(&around, application).await,
        Command::Show(_, target) => show::show(&around, &target).await,
        Command::Channels(_, application) => channels::channels(&around, application).await,
        Command::History(_, application, channel) => {
            channels::history(&around, application, channel).await
        }
        Command::Promote(_, promote) => channels::promote(&around, promote).await,
        Command::Fleet(_, order) => fleet::run(&around, order).await,
        Command::Watch(_, watch) => watched(&around, watch).await,
        Command::VerifyRelease(_, target) => verify::release(around, target).await,
        Command::Upkeep(_, upkeep) => keep_up(around, upkeep).await,
        Command::BackupOf(_, _, out) => backup::backup(&around, &out).await,
        #[cfg(feature = "server")]
        Command::Offline(..) => Err(Failure::internal("this command needs no registry")),
        Command::Status(..)
        | Command::Report(..)
        | Command::Describe(..)
        | Command::VerifyDir(..)
        | Command::Convert(..)
        | Command::Inspect(..) => Err(Failure::internal("this command needs no registry")),
    }
}

async fn watched(around: &Surroundings, watch: Watch) -> Result<(), Failure> {
    match watch {
        Watch::Audit(filter, limit) => audit::audit(around, filter, limit).await,
        Watch::VerifyAudit(head) => audit::verify(around, head).await,
        Watch::AddWebhook(new) => webhooks::add(around, new).await,
        Watch::Webhooks => webhooks::list(around).await,
        Watch::RemoveWebhook(id) => webhooks::remove(around, id).await,
        Watch::Deliveries(id) => webhooks::deliveries(around, &id).await,
        Watch::Quota(quota) => quota::quota(around, quota).await,
    }
}

async fn keep_up(around: Surroundings, upkeep: Upkeep) -> Result<(), Failure> {
    match upkeep {
        Upkeep::Fsck(order) => fsck::fsck(&around, order).await,
        Upkeep::FsckStatus => fsck::status(&around).await,
        Upkeep::FsckStop => fsck::stop(&around).await,
        Upkeep::Repair(order) => repair::repair(around, order).await,
        Upkeep::Backup(out) => backup::backup(&around, &out).await,
    }
}

async fn without_registry(
    command: Command,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    match command {
        Command::Describe(dir, targets) => describe::describe(&dir, &targets, style),
        Command::VerifyDir(dir, threads) => verify::dir(&dir, threads, progress, style).await,
        Command::Convert(command) => convert::convert(command, progress, style).await,
        Command::Inspect(command) => convert::inspect(command, progress, style).await,
        #[cfg(feature = "server")]
        Command::Offline(Offline::Recover(data)) => recover::recover(data, style).await,
        #[cfg(feature = "server")]
        Command::Offline(Offline::Drill { data, releases, into }) => {
            drill::drill(data, (releases, into), progress, style).await
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
            "there is no directory to remember scans and pulls in: HOME is not set",
            "set HOME or XDG_STATE_HOME, or give --state DIR",
        )
    })?;
    Ok(HostState::new(root, crate::now))
}
