//! The commands that run a registry and maintain it, from `seawall serve` to `drill`.

pub(super) mod backup;
pub(super) mod collect;
#[cfg(feature = "server")]
pub(super) mod drill;
mod fsck;
#[cfg(feature = "server")]
pub(super) mod recover;
mod repair;
#[cfg(feature = "server")]
pub(crate) mod serve;

use super::Context;
use crate::command::Upkeep;
use crate::failure::Failure;

/// Runs a command that maintains a registry.
pub(super) async fn run(context: Context, upkeep: Upkeep) -> Result<(), Failure> {
    match upkeep {
        Upkeep::Fsck(order) => fsck::fsck(&context, order).await,
        Upkeep::FsckStatus => fsck::status(&context).await,
        Upkeep::FsckStop => fsck::stop(&context).await,
        Upkeep::Repair(order) => repair::repair(context, order).await,
        Upkeep::Backup(out) => backup::backup(&context, &out).await,
    }
}
