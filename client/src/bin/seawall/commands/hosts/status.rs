//! `seawall status`: shows the releases on this host and how far each is behind its channel.
//! Changes nothing, on the host or at a registry.
//!
//! An unreadable directory or an unreachable registry does not stop the others: the command
//! continues and fails at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall::directory::{DiskTimes, Lockfile};
use seawall::folder::Folder;
use seawall::registry::Registry;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use serde::Serialize;

use super::list::{Position, sentence_of};
use super::report::{Held, connect, directories, held, settings};
use crate::args::Global;
use crate::command::Status;
use crate::config::{Keyring, Settings};
use crate::failure::Failure;
use crate::output::{Style, answer, table};

#[derive(Serialize)]
struct Answer {
    directories: Vec<Entry>,
}

/// The release of a directory and the state of its channel.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    directory: PathBuf,
    /// The release; absent if unreadable.
    #[serde(flatten)]
    held: Option<Held>,
    /// The state of the disks by their timestamps; absent if unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The modified disks, as `machine/disk`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modified: Vec<String>,
    /// The version of the followed channel; absent without a channel or an answer.
    #[serde(skip_serializing_if = "Option::is_none", rename = "channelVersion")]
    channel_version: Option<Version>,
    /// The number of channel moves since this release; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    moves_behind: Option<u64>,
    /// The reason that a part of the entry is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The state of a directory's disks by their timestamps; `verify` reads the disks themselves.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Unmodified,
    Modified,
    /// No timestamps were recorded at the pull, by an older version of Seawall.
    Unknown,
}

pub(crate) async fn status(status: &Status, global: &Global, style: Style) -> Result<(), Failure> {
    let global = &global.with(&status.credentials);
    let mut failed = None;
    let mut entries = Vec::new();
    for dir in directories(&status.dirs, global)? {
        let (entry, failure) = entry(&dir);
        failed = failed.or(failure);
        entries.push(entry);
    }
    let mut by_registry = BTreeMap::<String, Vec<usize>>::new();
    for (at, entry) in entries.iter().enumerate() {
        // Without a channel there is no question to ask.
        if let Some(Held { channel: Some(_), registry: Some(registry), .. }) = &entry.held {
            by_registry.entry(registry.clone()).or_default().push(at);
        }
    }
    let keyring = Keyring::read(global, crate::environment())?;
    for (registry, places) in by_registry {
        // A registry named for this command takes precedence over a recorded one.
        let settings = settings(&status.credentials, global, Some(&registry), &keyring);
        let asked = ask(settings, global.quiet, &mut entries, &places).await;
        failed = failed.or(asked.err());
    }
    answer(style, &Answer { directories: entries }, text)?;
    failed.map_or(Ok(()), Err)
}

/// Reads a directory; a failure is returned beside the entry.
fn entry(dir: &Path) -> (Entry, Option<Failure>) {
    let directory = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let empty = Entry {
        directory,
        held: None,
        state: None,
        modified: Vec::new(),
        channel_version: None,
        moves_behind: None,
        problem: None,
    };
    match held(dir).and_then(|held| Ok((held, modified(dir)?))) {
        Ok((held, (state, modified))) => {
            (Entry { held: Some(held), state: Some(state), modified, ..empty }, None)
        }
        Err(failure) => {
            let problem = Some(failure.what().to_owned());
            (Entry { problem, ..empty }, Some(failure))
        }
    }
}

fn modified(dir: &Path) -> Result<(State, Vec<String>), Failure> {
    let folder = Folder::open(dir)?;
    let (lock, _) = Lockfile::of_folder(&folder)?;
    let times = DiskTimes::of_folder(&folder);
    let written: Vec<_> =
        lock.disks.iter().map(|disk| (disk, times.is_written(&folder, &disk.file))).collect();
    let state = if written.iter().any(|(_, written)| *written == Some(true)) {
        State::Modified
    } else if written.iter().any(|(_, written)| written.is_none()) {
        State::Unknown
    } else {
        State::Unmodified
    };
    let written = written.into_iter().filter(|(_, written)| *written == Some(true));
    Ok((state, written.map(|(disk, _)| format!("{}/{}", disk.machine, disk.disk)).collect()))
}

/// Asks a registry for the channels of directories; continues after errors and returns the first.
async fn ask(
    settings: Result<Settings, Failure>,
    is_quiet: bool,
    entries: &mut [Entry],
    places: &[usize],
) -> Result<(), Failure> {
    let noted = |at: usize, why| entries[at].problem = Some(why);
    let connection = connect(settings, is_quiet, places, noted).await?;
    let registry = connection.registry();
    let mut failed = None;
    for at in places {
        let entry = &mut entries[*at];
        let Some(held) = &entry.held else { continue };
        let Some(channel) = &held.channel else { continue };
        match position(&registry, &held.application, channel, held).await {
            Ok((version, moves)) => {
                entry.channel_version = version;
                entry.moves_behind = moves;
            }
            Err(failure) => {
                entry.problem = Some(failure.what().to_owned());
                failed = failed.or(Some(failure));
            }
        }
    }
    connection.close().await;
    failed.map_or(Ok(()), Err)
}

/// Returns the channel's version and the number of moves since the directory's release. The version
/// is `None` if the channel is gone, the number if the channel never pointed to the release.
async fn position(
    registry: &Arc<dyn Registry>,
    application: &ApplicationName,
    channel: &ChannelName,
    held: &Held,
) -> Result<(Option<Version>, Option<u64>), Failure> {
    let Some(now) = registry.channel(application, channel).await? else { return Ok((None, None)) };
    if now.release == held.release {
        return Ok((Some(now.version), Some(0)));
    }
    let moves = registry.channel_history(application, channel).await?;
    let mine = moves.iter().filter(|step| step.release == held.release);
    let last = mine.map(|step| step.sequence).max();
    Ok((Some(now.version), last.map(|last| now.sequence.saturating_sub(last))))
}

fn text(answer: &Answer) -> String {
    let rows = answer.directories.iter().map(|entry| {
        let dash = || "-".to_owned();
        let application =
            entry.held.as_ref().map_or_else(dash, |held| held.application.to_string());
        let status = match (&entry.held, &entry.problem) {
            (Some(held), problem) => {
                let known = sentence_of(&Position {
                    version: &held.version,
                    channel: held.channel.as_ref().filter(|_| problem.is_none()),
                    channel_version: entry.channel_version.as_ref(),
                    moves_behind: entry.moves_behind,
                });
                problem.as_ref().map_or(known.clone(), |problem| format!("{known}; {problem}"))
            }
            (None, problem) => problem.clone().unwrap_or_default(),
        };
        let disks = match entry.state {
            None => dash(),
            Some(State::Unmodified) => "unmodified".to_owned(),
            Some(State::Modified) => format!("modified: {}", entry.modified.join(", ")),
            Some(State::Unknown) => "unknown: `seawall verify` reads them".to_owned(),
        };
        vec![entry.directory.display().to_string(), application, status, disks]
    });
    table(&["DIRECTORY", "APPLICATION", "STATUS", "DISKS"], rows)
}
