//! The commands that run a registry and maintain it, from `seawall serve` to `drill`.

pub(super) mod backup;
#[cfg(feature = "server")]
pub(super) mod catalog;
pub(super) mod collect;
#[cfg(feature = "server")]
pub(super) mod drill;
mod fsck;
mod jobs;
#[cfg(feature = "server")]
pub(super) mod recover;
#[cfg(feature = "server")]
pub(super) mod relocate;
mod repair;
#[cfg(feature = "server")]
pub(crate) mod serve;
#[cfg(feature = "server")]
pub(super) mod store;

use super::Context;
use crate::command::Maintenance;
use crate::failure::Failure;

/// Runs a command that maintains a registry.
pub(super) async fn run(context: Context, maintenance: Maintenance) -> Result<(), Failure> {
    match maintenance {
        Maintenance::Fsck(order) => fsck::fsck(&context, order).await,
        Maintenance::FsckStatus => fsck::status(&context).await,
        Maintenance::FsckStop => fsck::stop(&context).await,
        Maintenance::Repair(order) => repair::repair(context, order).await,
        Maintenance::Backup(out) => backup::backup(&context, &out).await,
        Maintenance::Jobs(stop) => jobs::jobs(&context, stop).await,
    }
}
