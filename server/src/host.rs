//! What the registry asks of the machine it runs on, besides bytes: the time, and randomness.

/// A clock and a source of randomness.
pub trait Host: Send + Sync + 'static {
    /// Seconds since 1970-01-01 UTC.
    fn now_secs(&self) -> u64;
    /// 128 bits that nobody can guess; `None` when the machine has none to give.
    fn random(&self) -> Option<[u8; 16]>;
}
