//! The clock, the random source and the disks of this machine.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalog::Catalog;
use crate::host::{Host, Space, Volume};

/// The clock and the random source of this machine.
pub(super) struct Machine;

impl Host for Machine {
    #[allow(clippy::disallowed_methods)] // the composition root is where the clock comes from
    fn now_secs(&self) -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// This machine with the clock of its catalog, which other machines may share.
pub(super) struct Clocked(pub(super) Catalog);

impl Host for Clocked {
    fn now_secs(&self) -> u64 {
        self.0.now().map_or_else(|| Machine.now_secs(), |since| since.as_secs())
    }

    fn random(&self) -> Option<[u8; 16]> {
        Machine.random()
    }
}

/// The disk that a directory is on.
pub(super) struct Disk(pub(super) PathBuf);

impl Volume for Disk {
    fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { size: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }
}
