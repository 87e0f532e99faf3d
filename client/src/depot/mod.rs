//! Depots: places that hold releases to be read without a registry (docs/FORMAT.md).
//!
//! A depot is a directory, a prefix of a bucket, or, to read, a path of any web server. It holds
//! the objects of a store, and small documents that name them. One mirror owns it and writes it.
//!
//! # Invariants
//!
//! 1. Bytes come before names: packs, then maps and descriptors, then the release, then the
//!    document that lists it. A write that dies leaves objects that no document names.
//! 2. Nothing rests on conditional writes: one mirror writes ([`documents::Identity`]), and a
//!    document is complete in one of two slots ([`documents::Slots`]).
//! 3. Whoever reads proves: objects against their digests, chunks against theirs. A lying depot
//!    costs a failed read.
//! 4. A pack is proven before it is written.
//!
//! # At the same time
//!
//! | running ↓ / starting → | read | copy | prune |
//! |---|---|---|---|
//! | read | free | sees the old or the new document | the grace period protects it |
//! | copy | as above | the later one goes on, the earlier one stops at its next document | the same |
//!
//! # After a crash
//!
//! `mirror/running` is left. The next copy reads the footers of the packs that were written since,
//! and sends none of their chunks again.

pub mod documents;
mod error;
pub mod map;
mod maps;
pub mod medium;
mod reading;
mod registry;
mod writing;

use std::sync::Arc;

use seawall_api::names::ApplicationName;
use seawall_api::problem::{Code, Problem};

use documents::{Applications, Identity, Releases, Sealed, Slots};
pub use error::DepotError;
use maps::Maps;
use medium::Medium;
pub use writing::{Owner, Pruned, Writer};

use crate::registry::RegistryError;

/// A depot.
pub struct Depot {
    medium: Arc<dyn Medium>,
    identity: Identity,
    maps: tokio::sync::Mutex<Maps>,
    /// Returns the time, in seconds since 1970-01-01 UTC.
    now: fn() -> u64,
    /// The part that writes; `None` in a depot that was opened to be read.
    writer: Option<Writer>,
}

impl Depot {
    /// Opens a depot to read it.
    ///
    /// # Errors
    /// Fails if there is none, or its identity cannot be read.
    pub async fn open(medium: Arc<dyn Medium>, now: fn() -> u64) -> Result<Self, RegistryError> {
        match Identity::read(medium.as_ref()).await? {
            Some(identity) => Ok(Self::new(medium, identity, now, None)),
            None => Err(DepotError::Absent { address: medium.address().to_owned() }.into()),
        }
    }

    fn new(
        medium: Arc<dyn Medium>,
        identity: Identity,
        now: fn() -> u64,
        writer: Option<Writer>,
    ) -> Self {
        Self { medium, identity, maps: <_>::default(), now, writer }
    }

    /// Returns the address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.medium.address()
    }

    async fn listed_applications(&self) -> Result<Option<Sealed<Applications>>, RegistryError> {
        Slots::new(&self.identity.id, Applications::STEM).read(self.medium.as_ref()).await
    }

    async fn listed(
        &self,
        application: &ApplicationName,
    ) -> Result<Option<Sealed<Releases>>, RegistryError> {
        let slots = Slots::<Releases>::new(&self.identity.id, Releases::stem(application));
        Ok(slots
            .read(self.medium.as_ref())
            .await?
            .filter(|it| it.content.application == *application))
    }

    /// Returns the document of an application: in a run of the mirror, the one it read or wrote.
    async fn current(
        &self,
        application: &ApplicationName,
    ) -> Result<Option<Sealed<Releases>>, RegistryError> {
        match &self.writer {
            Some(writer) => writer.known(self, application).await,
            None => self.listed(application).await,
        }
    }

    fn no_such(&self, what: &str) -> RegistryError {
        Problem::new(Code::NotFound, format!("the depot at {} has no {what}", self.address()))
            .into()
    }
}
