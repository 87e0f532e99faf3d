//! The part of a depot that its mirror uses: the port [`Writing`].
//!
//! | path | is |
//! |---|---|
//! | `mirror/running` | the run that writes now, or that died; removed at the end of a run |
//! | `mirror/condemned` | objects that no document names, with the time since |

mod assume;
mod port;
mod prune;
mod publish;
mod run;
mod stock;

use std::sync::Arc;

use seawall_store::backend::Listed;

pub use prune::Pruned;
use stock::Stock;

use super::documents::Identity;
use super::medium::Writable;
use super::{Depot, DepotError};
use crate::registry::RegistryError;

/// The mirror that writes to a depot.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The name of the mirror: usually the address of the registry it copies from.
    pub mirror: String,
    /// A random text of hexadecimal digits: the name of this run, and of the depot if it is new.
    pub nonce: String,
    /// The time for which readers believe the channels, in seconds. `None` is for ever.
    pub channels_expire_in_secs: Option<u64>,
}

/// The part of a depot that writes.
pub struct Writer {
    medium: Arc<dyn Writable>,
    owner: Owner,
    /// Whether the place was empty.
    is_new: bool,
    stock: tokio::sync::Mutex<Stock>,
}

impl Depot {
    /// Opens a depot to write to it. An empty place becomes a depot of this owner with the first
    /// write.
    ///
    /// # Errors
    /// Fails if the depot belongs to another mirror, the place holds other files, or cannot be
    /// read and written.
    pub async fn create<M: Writable + 'static>(
        medium: Arc<M>,
        owner: Owner,
        now: fn() -> u64,
    ) -> Result<Self, RegistryError> {
        let address = || medium.address().to_owned();
        let mut is_new = false;
        let identity = match Identity::read(medium.as_ref()).await? {
            Some(found) if found.mirror == owner.mirror => found,
            Some(found) => {
                let shown = |text: &str| crate::plain::one_line(text);
                let (owner, mirror) = (shown(&found.mirror), shown(&owner.mirror));
                return Err(DepotError::Foreign { address: address(), owner, mirror }.into());
            }
            None => {
                let is_foreign = |it: &Listed| !it.path.starts_with("mirror/");
                if medium.list("").await?.iter().any(is_foreign) {
                    return Err(DepotError::Occupied { address: address() }.into());
                }
                is_new = true;
                Identity::new(owner.nonce.clone(), owner.mirror.clone())
            }
        };
        let stock = Stock::default().into();
        let writer = Writer { medium: Arc::clone(&medium) as _, owner, is_new, stock };
        Ok(Self::new(medium, identity, now, Some(writer)))
    }

    /// Returns the part that writes.
    pub(super) fn writer(&self, what: &'static str) -> Result<&Writer, RegistryError> {
        let address = || self.address().to_owned();
        self.writer.as_ref().ok_or_else(|| DepotError::ReadOnly { address: address(), what }.into())
    }
}

#[cfg(test)]
mod tests;
