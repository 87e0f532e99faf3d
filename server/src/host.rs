//! What the registry asks of the machine it runs on, besides bytes: the time,
//! randomness, and how much room there is.

use std::io;

/// A clock and a source of randomness.
pub trait Host: Send + Sync + 'static {
    /// Seconds since 1970-01-01 UTC.
    fn now_secs(&self) -> u64;
    /// 128 bits that nobody can guess; `None` when the machine has none to give.
    fn random(&self) -> Option<[u8; 16]>;
}

/// A disk, or what else files lie on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// How long it is, in bytes.
    pub size: u64,
    /// How much of it this process may still fill.
    pub free: u64,
}

/// Where the store lies.
pub trait Volume: Send + Sync + 'static {
    /// How much room there is now.
    ///
    /// # Errors
    /// When the machine does not say.
    fn space(&self) -> io::Result<Space>;
}
