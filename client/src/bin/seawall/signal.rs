//! Ends a command on SIGINT, SIGTERM or SIGHUP.
//!
//! The command's own threads are not joined: readers, hashers and writers end with the process.
//! Files that only a finished command would leave are removed first
//! ([`seawall_store::unfinished`]), and a line on standard error tells the user the state of the
//! output.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seawall::directory::is_between_releases;
use seawall_store::image::convert::Device;
use seawall_store::unfinished;
use tokio::signal::unix::{SignalKind, signal};

#[cfg(feature = "server")]
use crate::command::Offline;
use crate::command::{Command, Maintenance};
use crate::failure::{Failure, plain};
use crate::output::tell;

/// The exit statuses that a shell reports for a program ended by a signal: 128 plus the signal's
/// number.
const EXIT_SIGINT: u8 = 130;
const EXIT_SIGTERM: u8 = 143;
const EXIT_SIGHUP: u8 = 129;
/// The bit of SIGHUP in the kernel's masks.
const MASK_SIGHUP: u64 = 1;

/// The state that a command leaves behind when a signal ends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Aftermath {
    /// Nothing to clean up: the command only read or asked.
    Nothing,
    /// Transferred data, from which the same command resumes.
    Resumes,
    /// Nothing: the command's output is removed.
    Removed,
    /// A block device that holds part of an image.
    Device(PathBuf),
    /// A patched directory: on the old release, on the new one, or between the two.
    Patched(PathBuf),
}

impl Aftermath {
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Patch(_, patch) if !patch.dry_run => Self::Patched(patch.dir.clone()),
            Command::Pull(_, pull) if !pull.dry_run => Self::Resumes,
            Command::Copy(_, copy) if !copy.dry_run => Self::Resumes,
            Command::Push(..) | Command::Maintenance(_, Maintenance::Repair(_)) => Self::Resumes,
            #[cfg(feature = "server")]
            Command::Offline(Offline::Relocate(args)) if !args.dry_run && !args.abort => {
                Self::Resumes
            }
            Command::Export(_, export) => Self::of_output(export.output.as_deref()),
            Command::Convert(convert) => Self::of_output(convert.to.as_ref().map(|to| &*to.0)),
            Command::Package(..)
            | Command::BackupOf(..)
            | Command::Maintenance(_, Maintenance::Backup(_)) => Self::Removed,
            _ => Self::Nothing,
        }
    }

    /// Returns the aftermath of writing an image to a file, a device, or a pipe (`None`).
    fn of_output(path: Option<&Path>) -> Self {
        match path {
            Some(path) if Device::is_at(path) => Self::Device(path.to_owned()),
            Some(_) => Self::Removed,
            None => Self::Nothing,
        }
    }

    /// Returns the line to print, for a signal described by `name`.
    fn line(&self, name: &str) -> String {
        match self {
            Self::Patched(dir) if is_between_releases(dir) => format!(
                "{name}: the disks in {} are between two releases; run `seawall patch` again to \
                 complete the patch before you start a machine",
                plain(&dir.display().to_string())
            ),
            Self::Patched(_) | Self::Resumes => {
                format!("{name}: nothing is half done; the same command resumes")
            }
            Self::Removed => {
                format!("{name}: the unfinished output was removed; the same command starts over")
            }
            Self::Device(path) => format!(
                "{name}: {0} holds a part of the image and is not usable as a disk; empty it \
                 (`blkdiscard -z {0}`), then run the same command again",
                plain(&path.display().to_string())
            ),
            Self::Nothing => name.to_owned(),
        }
    }
}

/// Returns true if the process was started with SIGHUP ignored, as `nohup` does.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & MASK_SIGHUP != 0)
}

/// Runs a command to its end or until a signal arrives.
pub(crate) async fn until_signal(
    command: impl Future<Output = Result<(), Failure>> + Send + 'static,
    aftermath: &Aftermath,
) -> Result<ExitCode, Failure> {
    let cannot = |error| Failure::io("cannot listen for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup()).map_err(cannot)?),
    };
    let hung_up = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    // In its own task, so that a command busy computing does not delay signals.
    let command = tokio::spawn(command);
    let (name, code) = tokio::select! {
        ended = command => {
            let panicked = |_| Err(Failure::internal("the command stopped unexpectedly"));
            return ended.unwrap_or_else(panicked).map(|()| ExitCode::SUCCESS);
        }
        _ = interrupt.recv() => ("interrupted", EXIT_SIGINT),
        _ = terminate.recv() => ("terminated", EXIT_SIGTERM),
        _ = hung_up => ("hung up", EXIT_SIGHUP),
    };
    // Before the line is printed, which promises the removal.
    unfinished::remove_all();
    crate::progress::clear();
    // The terminal may be gone; `tell` ignores errors.
    tell(aftermath.line(name));
    Ok(ExitCode::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_followed_by_what_there_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let patched = Aftermath::Patched(dir.path().to_owned());
        assert!(patched.line("interrupted").starts_with("interrupted: nothing is half done"));
        std::fs::create_dir_all(dir.path().join(".seawall/patch")).unwrap();
        std::fs::write(dir.path().join(".seawall/patch/journal"), "").unwrap();
        assert!(patched.line("interrupted").contains("between two releases"));
        assert!(
            Aftermath::Removed.line("terminated").starts_with("terminated: the unfinished output")
        );
        let device = Aftermath::Device("/dev/sdx".into());
        assert!(device.line("hung up").contains("`blkdiscard -z /dev/sdx`"));
        assert_eq!(Aftermath::Nothing.line("interrupted"), "interrupted");
    }
}
