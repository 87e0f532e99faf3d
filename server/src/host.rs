//! The ports for the machine's clock, randomness and disk space.

use std::io;

/// A clock and a source of randomness.
pub trait Host: Send + Sync + 'static {
    /// Returns the seconds since 1970-01-01 UTC.
    fn now_secs(&self) -> u64;
    /// Returns 128 unguessable bits, or `None` if the machine has none to give.
    fn random(&self) -> Option<[u8; 16]>;
}

/// The space of a disk or other file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// The total size, in bytes.
    pub size: u64,
    /// The free space available to this process, in bytes.
    pub free: u64,
}

/// The volume of the store.
pub trait Volume: Send + Sync + 'static {
    /// Returns the current space.
    ///
    /// # Errors
    /// If the operating system does not report the space.
    fn space(&self) -> io::Result<Space>;
}
