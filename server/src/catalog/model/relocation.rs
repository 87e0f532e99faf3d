//! The relocation of a registry to another store, another catalog, or both.
//!
//! # Invariants
//!
//! 1. While a registry is being moved, and afterwards, its former catalog takes no writes,
//!    whichever process asks. Each write compares the gate in its own transaction.
//! 2. If only the store moves, the catalog opens again in a new epoch. A process that opened the
//!    catalog in an earlier epoch still uses the former store, and writes no more.

use crate::catalog::error::{Barrier, Closed};
use crate::catalog::id::RegistryId;
use crate::catalog::tx::{TxError, TxResult};
use seawall_store::error::ErrorKind;

/// The state of a relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocationState {
    /// The registry takes writes.
    Open,
    /// The registry is being moved.
    Moving,
    /// The registry was moved.
    Moved,
}

impl RelocationState {
    /// Returns the number in the catalog.
    pub(in crate::catalog) const fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Moving => 1,
            Self::Moved => 2,
        }
    }

    /// Returns the state of a number in the catalog.
    ///
    /// # Errors
    /// If no state has the number.
    pub(in crate::catalog) fn of(number: i64) -> TxResult<Self> {
        let all = [Self::Open, Self::Moving, Self::Moved];
        let found = all.into_iter().find(|state| state.number() == number);
        found.ok_or_else(|| TxError::damaged(format!("a relocation has the state {number}")))
    }
}

/// The places of a registry's store and catalog, as an operator writes them, without a password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// The place of the store.
    pub store: String,
    /// The place of the catalog.
    pub catalog: String,
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (objects) and {} (catalog)", self.store, self.catalog)
    }
}

/// The last relocation of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// The number of times that the store moved while the catalog stayed.
    pub epoch: i64,
    /// The state.
    pub state: RelocationState,
    /// The target.
    pub to: Places,
    /// The time of the last change of the state, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
}

/// The answer to a request to close a registry for its relocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closing {
    /// The registry is closed, for this relocation or an earlier part of it.
    Closed(RegistryId),
    /// Another relocation closed it.
    Other(Relocation),
}

/// Fails unless a process that opened the catalog in `epoch` may write. `found` are the epoch and
/// the state in the catalog.
pub(in crate::catalog) fn check_gate(found: (i64, i64), epoch: i64) -> TxResult<()> {
    let (now, state) = found;
    let barrier = match RelocationState::of(state)? {
        RelocationState::Open if now == epoch => return Ok(()),
        RelocationState::Moving => Barrier::Moving,
        RelocationState::Open | RelocationState::Moved => Barrier::Moved,
    };
    Err(TxError::new(ErrorKind::Unavailable, Closed(barrier)))
}
