//! The part of the port for mirrors.

use seawall_api::names::MirrorName;
use seawall_api::v1::{Mirror, MirrorRequest, NewMirror};

use crate::registry::RegistryError;

/// The mirrors of a registry.
///
/// # Contract
///
/// Every call is idempotent except [`Self::add_mirror`], whose repeat finds the name taken,
/// [`Self::remove_mirror`], whose repeat finds none, and [`Self::run_mirror`], whose repeat asks
/// for another run.
#[async_trait::async_trait]
pub trait Mirrors: Send + Sync {
    /// Returns all mirrors by name.
    async fn mirrors(&self) -> Result<Vec<Mirror>, RegistryError>;
    /// Returns one mirror.
    async fn mirror(&self, name: &MirrorName) -> Result<Mirror, RegistryError>;
    /// Adds a mirror.
    async fn add_mirror(&self, mirror: &NewMirror) -> Result<Mirror, RegistryError>;
    /// Removes a mirror.
    async fn remove_mirror(&self, name: &MirrorName) -> Result<(), RegistryError>;
    /// Requests a run of a mirror.
    async fn run_mirror(&self, name: &MirrorName) -> Result<MirrorRequest, RegistryError>;
}
