//! Resolve, the first stage of every flow that reads a release: from a reference or a lockfile to a
//! proven release, under a lease.
//!
//! 1. [`locked`]: the selector that a lockfile pins, if the flow has one.
//! 2. [`held`]: open a lease, fetch the release document, prove it, and run the flow with the
//!    [`Resolved`] release. The lease is renewed while the flow runs and ended with it.
//! 3. [`Resolved::layouts`]: the proven index and leaves of each disk, when the flow needs them.
//!
//! Commands that only show a document call [`document`], which takes no lease.
//!
//! # Invariants
//!
//! 1. Outside of [`crate::registry`], no other module asks a registry for a release document.
//! 2. A document matches the digest that names it. A layout matches the document.
//! 3. Flows read content through a [`Resolved`], which cannot leave the work that [`held`] runs.
//!    A repair is the exception: its sources hold no lease, and may lack any object.

mod error;
mod layouts;
mod lockfile;
mod scratch;

use std::sync::Arc;

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;

pub use error::ResolveError;
pub use lockfile::locked;
pub(crate) use scratch::Scratch;

use crate::hold;
use crate::registry::{Reading, RegistryError};

/// A proven release whose content a lease protects from collection.
pub struct Resolved {
    registry: Arc<dyn Reading>,
    release: Release,
}

impl Resolved {
    /// Returns the release.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Returns the registry that holds the content.
    #[must_use]
    pub fn registry(&self) -> &Arc<dyn Reading> {
        &self.registry
    }
}

/// Resolves a release and runs `work` with it, under a lease that is opened before the release is
/// named and ended after the work. Without a lease, if the registry grants none.
///
/// # Errors
/// Fails if the release cannot be resolved. Else the errors of the work.
pub async fn held<T, E: From<RegistryError>>(
    registry: &Arc<dyn Reading>,
    application: &ApplicationName,
    selector: &Selector,
    work: impl AsyncFnOnce(&Resolved) -> Result<T, E>,
) -> Result<T, E> {
    hold::during(registry, application, async {
        let release = document(registry.as_ref(), application, selector).await?;
        let registry = Arc::clone(registry);
        work(&Resolved { registry, release }).await
    })
    .await
}

/// Returns a proven release document, for commands that read no content and need no lease.
///
/// # Errors
/// Fails if the registry fails, has no such release, or returns another document.
pub async fn document(
    registry: &dyn Reading,
    application: &ApplicationName,
    selector: &Selector,
) -> Result<Release, RegistryError> {
    registry.release(application, selector).await
}

#[cfg(test)]
mod tests;
