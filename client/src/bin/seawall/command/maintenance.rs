//! Validation of the commands that maintain a registry.

use std::path::PathBuf;

use seawall_api::v1::{StartCollection, StartFsck};

use super::reference::{Target, release};
use super::{Command, Reach, threads};
use crate::args::maintenance::{BackupArgs, FsckArgs, GcArgs, JobsArgs, RepairArgs};
#[cfg(feature = "server")]
use crate::args::maintenance::{DrillArgs, RecoverArgs, RelocateArgs};
#[cfg(feature = "server")]
use crate::args::serve::{catalog::CatalogArgs, store::StoreArgs};
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Collect {
    pub(crate) order: StartCollection,
    pub(crate) dry_run: bool,
    pub(crate) wait: bool,
}

/// A maintenance command for a registry.
#[derive(Debug)]
pub(crate) enum Maintenance {
    Fsck(StartFsck),
    FsckStatus,
    FsckStop,
    Repair(Repair),
    Backup(PathBuf),
    /// The jobs; first stops one, given by kind and subject.
    Jobs(Option<(String, String)>),
}

#[derive(Debug)]
pub(crate) struct Repair {
    pub(crate) target: Option<Target>,
    pub(crate) from: Vec<String>,
    pub(crate) from_token_file: Option<PathBuf>,
    pub(crate) threads: usize,
}

/// A command on a registry's data directory, without going through a running registry.
#[cfg(feature = "server")]
#[derive(Debug)]
pub(crate) enum Offline {
    Recover { data: PathBuf, store: StoreArgs, catalog: CatalogArgs },
    Relocate(Box<RelocateArgs>),
    Drill { data: PathBuf, store: StoreArgs, releases: usize, into: Option<PathBuf> },
}

pub(super) fn fsck(args: FsckArgs) -> Result<Command, Failure> {
    let FsckArgs { rate, restart, status, stop, credentials } = args;
    let rate_bytes_per_sec = match rate.map(|mib| mib.checked_mul(1 << 20)) {
        None => None,
        Some(Some(rate)) => Some(rate),
        Some(None) => {
            let what = "the value of `--rate` is too large";
            return Err(Failure::usage(what, "give MiB a second, or 0 for no limit"));
        }
    };
    let maintenance = match (status, stop) {
        (true, _) => Maintenance::FsckStatus,
        (_, true) => Maintenance::FsckStop,
        _ => Maintenance::Fsck(StartFsck { rate_bytes_per_sec, restart }),
    };
    Ok(Command::Maintenance(Reach { host: None, credentials }, maintenance))
}

pub(super) fn repair(args: RepairArgs) -> Result<Command, Failure> {
    let RepairArgs { reference, from, from_token_file, threads: count, credentials } = args;
    let (host, target) = match reference.as_deref().map(release).transpose()? {
        Some((host, target)) => (host, Some(target)),
        None => (None, None),
    };
    let repair = Repair { target, from, from_token_file, threads: threads(count) };
    Ok(Command::Maintenance(Reach { host, credentials }, Maintenance::Repair(repair)))
}

pub(super) fn backup(args: BackupArgs) -> Result<Command, Failure> {
    let BackupArgs { mut paths, credentials } = args;
    let out = paths.pop().ok_or_else(|| {
        Failure::usage("the output file is missing", "seawall backup [DATA] OUT.sqlite")
    })?;
    let reach = Reach { host: None, credentials };
    Ok(match paths.pop() {
        Some(data) => Command::BackupOf(reach, data, out),
        None => Command::Maintenance(reach, Maintenance::Backup(out)),
    })
}

pub(super) fn jobs(args: JobsArgs) -> Command {
    let JobsArgs { stop, credentials } = args;
    let stop = stop.map(|job| match job.split_once('/') {
        Some((kind, subject)) => (kind.to_owned(), subject.to_owned()),
        None => (job, String::new()),
    });
    Command::Maintenance(Reach { host: None, credentials }, Maintenance::Jobs(stop))
}

#[cfg(feature = "server")]
pub(super) fn recover(args: RecoverArgs) -> Command {
    let RecoverArgs { data, store, catalog } = args;
    Command::Offline(Offline::Recover { data, store, catalog })
}

#[cfg(feature = "server")]
pub(super) fn drill(args: DrillArgs) -> Command {
    let DrillArgs { data, releases, into, store } = args;
    let releases = usize::try_from(releases).unwrap_or(usize::MAX);
    Command::Offline(Offline::Drill { data, store, releases, into })
}

pub(super) fn collect(args: GcArgs) -> Command {
    let GcArgs { dry_run, live_percent, rate, force, no_wait, credentials } = args;
    let order = StartCollection {
        live_percent_min: live_percent,
        rate_max: rate.map(|mib| mib.saturating_mul(1 << 20)),
        force,
    };
    let collect = Collect { order, dry_run, wait: !no_wait };
    Command::Collect(Reach { host: None, credentials }, collect)
}
