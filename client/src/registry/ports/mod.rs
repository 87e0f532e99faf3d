//! The traits through which flows and commands reach a registry.
//!
//! * [`Reading`]: the reads of releases. Any place that holds whole releases can answer them.
//! * [`Writing`]: the writes of releases, which need the reads, too.
//! * [`Registry`]: everything that a registry answers, with the state that only it has.

pub mod audit;
mod maintenance;
mod mirrors;
mod reading;
pub mod retention;
pub mod tokens;
mod writing;

pub use audit::Audit;
pub use maintenance::Maintenance;
pub use mirrors::Mirrors;
pub use reading::Reading;
pub use retention::Retention;
pub use tokens::Tokens;
pub use writing::{Expect, Writing};

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::v1::{
    Collection, CollectionPlan, ReleaseDiff, ServerVersion, StartCollection, Usage,
};

use crate::registry::RegistryError;

/// A registry.
///
/// # Contract
///
/// Every call is idempotent.
#[async_trait::async_trait]
pub trait Registry: Writing + Maintenance + Retention + Audit + Tokens + Mirrors {
    /// Returns the server's name, version and format epochs.
    async fn server_version(&self) -> Result<ServerVersion, RegistryError>;

    /// Returns the differences between two releases, and the cost of moving from one to the other.
    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError>;

    /// Starts a collection unless one is running.
    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError>;

    /// Returns the progress of the current or last collection.
    async fn collection(&self) -> Result<Collection, RegistryError>;

    /// Returns what a collection would remove now, rewriting packs below this percentage of live
    /// bytes.
    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError>;

    /// Returns the storage that releases occupy.
    async fn usage(&self) -> Result<Usage, RegistryError>;
}
