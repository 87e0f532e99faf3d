//! `seawall report`: tells registries which releases this host runs.
//!
//! A report keeps a release from deletion, so an unreadable directory or an unreachable registry
//! does not stop the others: the command continues and fails at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seawall::directory::{Lockfile, Origin};
use seawall::error::ErrorKind;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, Version};
use seawall_api::v1::{HostRun, RenewHost};
use serde::Serialize;

use super::list;
use crate::args::{Credentials, Global};
use crate::command::{Reach, Report};
use crate::commands::host_state;
use crate::config::{Keyring, Settings};
use crate::connect::{Connection, Missing};
use crate::failure::Failure;
use crate::output::{Style, answer, moment, table};
use crate::progress;

#[derive(Serialize)]
struct Answer {
    host: HostName,
    directories: Vec<Entry>,
}

/// The release in a directory, and the registry's answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    directory: PathBuf,
    /// The release; absent if unreadable.
    #[serde(flatten)]
    held: Option<Held>,
    /// The registry's record; absent if the report failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    noted: Option<HostRun>,
    /// The reason that the release could not be read or reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The release of a directory, according to its own files.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Held {
    pub(super) application: ApplicationName,
    pub(super) version: Version,
    pub(super) release: ReleaseDigest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<ChannelName>,
    #[serde(rename = "diskCount")]
    pub(super) disks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) registry: Option<String>,
}

pub(crate) async fn report(report: &Report, global: &Global, style: Style) -> Result<(), Failure> {
    let global = &global.with(&report.credentials);
    let host = match &report.host {
        Some(host) => host.clone(),
        None => machine_name()?,
    };
    let mut failed = None;
    let mut entries = Vec::new();
    for dir in directories(&report.dirs, global)? {
        let (held, problem) = match held(&dir) {
            Ok(held) => (Some(held), None),
            Err(failure) => {
                let problem = failure.what().to_owned();
                failed = failed.or(Some(failure));
                (None, Some(problem))
            }
        };
        let directory = std::fs::canonicalize(&dir).unwrap_or(dir);
        entries.push(Entry { directory, held, noted: None, problem });
    }
    let mut by_registry = BTreeMap::<Option<String>, Vec<usize>>::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some(held) = &entry.held {
            by_registry.entry(held.registry.clone()).or_default().push(at);
        }
    }
    let keyring = Keyring::read(global, crate::environment())?;
    for (registry, places) in by_registry {
        let settings = settings(&report.credentials, global, registry.as_deref(), &keyring);
        let told = tell(report, &host, settings, global.quiet, (&mut entries, &places)).await;
        failed = failed.or(told.err());
    }
    answer(style, &Answer { host, directories: entries }, text)?;
    failed.map_or(Ok(()), Err)
}

/// Finds the registry of some directories. A registry named for this command takes precedence over
/// a recorded one.
pub(super) fn settings(
    credentials: &Credentials,
    global: &Global,
    remembered: Option<&str>,
    keyring: &Keyring,
) -> Result<Settings, Failure> {
    let is_named = global.registry.as_deref().is_some_and(|text| !text.is_empty());
    match remembered {
        Some(registry) if !is_named => Settings::remembered(registry, keyring),
        _ => {
            let reach = Reach { host: None, credentials: credentials.clone() };
            Settings::find(global, &reach, keyring)
        }
    }
}

/// Opens the registry of some directories; on failure, notes the failure for each of them.
pub(super) async fn connect(
    settings: Result<Settings, Failure>,
    is_quiet: bool,
    places: &[usize],
    mut note: impl FnMut(usize, String),
) -> Result<Connection, Failure> {
    let opened = match settings {
        Ok(settings) => {
            Connection::open(settings, Missing::Refuse, &progress::choose(is_quiet, false)).await
        }
        Err(failure) => Err(failure),
    };
    opened.inspect_err(|failure| {
        for at in places {
            note(*at, failure.what().to_owned());
        }
    })
}

/// Reports directories to their registry; continues after errors and returns the first.
async fn tell(
    report: &Report,
    host: &HostName,
    settings: Result<Settings, Failure>,
    is_quiet: bool,
    (entries, places): (&mut [Entry], &[usize]),
) -> Result<(), Failure> {
    let noted = |at: usize, why| entries[at].problem = Some(why);
    let connection = connect(settings, is_quiet, places, noted).await?;
    let registry = connection.registry();
    let mut failed = None;
    for at in places {
        let entry = &mut entries[*at];
        let Some(held) = &entry.held else { continue };
        let runs = RenewHost {
            application: held.application.clone(),
            instance: entry.directory.to_string_lossy().into_owned(),
            release: held.release,
            channel: held.channel.clone(),
            disks: held.disks,
            ttl_secs: report.ttl_secs,
        };
        match registry.report_host(host, &runs).await {
            Ok(noted) => entry.noted = Some(noted),
            Err(error) => {
                let failure = Failure::from(error);
                entry.problem = Some(failure.what().to_owned());
                failed = failed.or(Some(failure));
            }
        }
    }
    connection.close().await;
    failed.map_or(Ok(()), Err)
}

/// Returns the named directories, or all remembered directories still present.
pub(super) fn directories(named: &[PathBuf], global: &Global) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let held = host_state(global)?.all_holdings().into_iter().map(|holding| holding.directory);
    // A directory that cannot be inspected may still be in use, and is kept.
    let mut dirs: Vec<_> = held
        .filter(|dir| dir.join(seawall::directory::LOCKFILE).try_exists().unwrap_or(true))
        .collect();
    dirs.sort();
    dirs.dedup();
    if dirs.is_empty() {
        let what = "this host remembers no pulled release";
        let remedy = "pull one, or name directories: `seawall status DIR`";
        return Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound));
    }
    Ok(dirs)
}

pub(super) fn held(dir: &Path) -> Result<Held, Failure> {
    let (lock, _) = Lockfile::of_directory(dir)?;
    let origin = Origin::of_directory(dir);
    Ok(Held {
        application: lock.application,
        version: lock.version,
        release: lock.release,
        channel: origin.channel,
        disks: lock.disks.len() as u64,
        registry: origin.registry,
    })
}

/// Returns the machine's name as a host name.
fn machine_name() -> Result<HostName, Failure> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy().to_lowercase();
    name.parse().map_err(|error| {
        let remedy = "give this host a name: `--host NAME`".to_owned();
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })
}

fn text(answer: &Answer) -> String {
    let rows = answer.directories.iter().map(|entry| {
        let held = entry.held.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let application = or_dash(held.map(|held| held.application.to_string()));
        let (status, until) = match (&entry.noted, &entry.problem) {
            (Some(noted), _) => (list::sentence(noted), moment(noted.deadline_secs)),
            (None, problem) => (problem.clone().unwrap_or_default(), "-".to_owned()),
        };
        vec![entry.directory.display().to_string(), application, status, until]
    });
    let headings = ["DIRECTORY", "APPLICATION", "STATUS", "KEPT UNTIL"];
    format!("host {}\n\n{}", answer.host, table(&headings, rows))
}
