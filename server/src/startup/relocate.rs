//! Moves a registry to another store, another catalog, or both.
//!
//! # Order, and what a crash leaves
//!
//! | after | the source | the target | the next run |
//! |---|---|---|---|
//! | 1. the source is closed | is read, and takes no writes | is empty | goes on; `--abort` opens the source |
//! | 2. the target store is marked | the same | refuses to be served | goes on; `--abort` opens the source |
//! | 3. objects are copied | the same | the same | copies what is missing |
//! | 4. rows are moved and compared | the same | has no catalog yet | moves all rows again |
//! | 5. the target is checked | the same | has no catalog yet | moves all rows again |
//! | 6. the source is left | is not served any more | has no catalog yet | moves all rows again |
//! | 7. the catalog gets its place | the same | refuses to be served, by the mark | removes the mark |
//! | 8. the mark is removed | the same | is the registry | has nothing to do |
//!
//! The source is left before the target can be served, so that at no moment two registries of one
//! identity take writes. If the catalog stays and only the store moves, steps 4, 6 and 7 are one
//! transaction of the catalog, which opens in a new epoch: registries that were started before
//! write no more. The check then comes last.
//!
//! # At the same time
//!
//! The gate of the catalog keeps every process from writing ([`relocation`]). The right to sweep,
//! held to the end, keeps collections and a second relocation away.
//!
//! [`relocation`]: crate::catalog::relocation

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::store::block_on;
use super::{CATALOG_FILE, CatalogAt, Machine, STORE_FOLDER, StartError, StoreAt, on_a_thread};
use crate::app::AppError;
use crate::app::maintenance::rebuild::Damage;
use crate::app::maintenance::relocate::{Amount, Watch};
use crate::catalog::engine::Claim;
use crate::catalog::relocation::{Places, RelocationState};
use crate::catalog::{Catalog, RegistryId};
use crate::host::Host as _;

mod journey;
mod markers;
mod source;
mod watch;

use journey::Journey;
pub(super) use markers::{MOVED_MARKER, check, check_new, check_open};
use source::Source;
pub(super) use watch::moved;

/// The time to wait for the end of a collection, which the closed gate ends.
const CLAIM_TIME_MAX: Duration = Duration::from_secs(30);
/// The time to wait for the end of a relocation that is to be given up.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);
/// The pause between attempts to claim.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// The place of a registry: where its store and its catalog are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// The place of the store.
    pub store: StoreAt,
    /// The place of the catalog.
    pub catalog: CatalogAt,
}

impl Home {
    /// Returns the options that name the home.
    fn options(&self) -> String {
        let store = (self.store != StoreAt::Inside).then(|| format!(" --store '{}'", self.store));
        let catalog = self.catalog.shown().map(|place| format!(" --catalog '{place}'"));
        store.unwrap_or_default() + &catalog.unwrap_or_default()
    }

    /// Returns the places as an operator writes them.
    fn places(&self, data_dir: &Path) -> Places {
        let inside = |name: &str| data_dir.join(name).display().to_string();
        Places {
            store: match &self.store {
                StoreAt::Inside => inside(STORE_FOLDER),
                store => store.to_string(),
            },
            catalog: self
                .catalog
                .shown()
                .unwrap_or_else(|| format!("sqlite:{}", inside(CATALOG_FILE))),
        }
    }
}

/// The order to move a registry.
#[derive(Clone, Debug)]
pub struct Relocate {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The present home of the registry.
    pub from: Home,
    /// The new home.
    pub to: Home,
}

/// The extent of a relocation.
#[derive(Clone, Debug)]
pub struct RelocationPlan {
    /// The present places.
    pub from: Places,
    /// The new places.
    pub to: Places,
    /// The objects that the target lacks.
    pub to_copy: Amount,
    /// The objects that the target has from an earlier run.
    pub present: Amount,
    /// The number of rows of each table; empty if the catalog stays.
    pub rows: Vec<(&'static str, u64)>,
}

/// The outcome of a relocation.
#[derive(Clone, Debug)]
pub struct Relocated {
    /// The registry.
    pub registry: RegistryId,
    /// The former places.
    pub from: Places,
    /// The new places.
    pub to: Places,
    /// True if an earlier run had done everything.
    pub already_there: bool,
    /// The objects that were copied.
    pub copied: Amount,
    /// The objects that the target had.
    pub present: Amount,
    /// The objects that a check of the target found wrong, and that were copied again.
    pub healed: u64,
    /// The number of rows of each table; empty if the catalog stays.
    pub rows: Vec<(&'static str, u64)>,
    /// The damage of the source, and of the target.
    pub damage: Vec<Damage>,
    /// The place of a former catalog at the target, which was set aside.
    pub aside: Option<String>,
    /// The options of `seawall serve` that name the new home.
    pub options: String,
}

/// Moves a registry.
///
/// # Errors
/// If the source or the target cannot be used, or if the target is in use. The next run goes on.
pub async fn relocate(order: Relocate, watch: Arc<dyn Watch>) -> Result<Relocated, StartError> {
    on_a_thread(move || Journey::begin(&order)?.go(&*watch)).await
}

/// Returns the extent of a relocation. Changes nothing.
///
/// # Errors
/// If the source or the target cannot be used, or if the target is in use.
pub async fn plan_relocation(order: Relocate) -> Result<RelocationPlan, StartError> {
    on_a_thread(move || Journey::begin(&order)?.plan()).await
}

/// Gives up an unfinished relocation: opens the registry in its present home again.
///
/// # Errors
/// If there is none, or it is still running.
pub async fn abort_relocation(data_dir: PathBuf, from: Home) -> Result<(), StartError> {
    on_a_thread(move || {
        let data_dir = absolute(&data_dir);
        let source = Source::open(&data_dir, &from)?;
        block_on(async {
            match source.relocation().await? {
                Some((RelocationState::Moving, _)) => {}
                Some((RelocationState::Moved, to)) => return Err(StartError::Moved { to }),
                _ => return Err(StartError::NotMoving),
            }
            let _claim = claimed(&source.catalog, LOOK_TIME_MAX).await?;
            // Before the catalog opens, so that no crash leaves an open one with a mark.
            markers::arrived(&source.store).await?;
            markers::returned(&source.store).await?;
            source.catalog.reopen(Machine.now_secs()).await.map_err(|e| source.failed(e))?;
            Ok(())
        })?
    })
    .await
}

/// Claims the right to sweep, so that nothing is collected meanwhile.
async fn claimed(catalog: &Catalog, time_max: Duration) -> Result<Claim, StartError> {
    let deadline = Instant::now() + time_max;
    loop {
        let claim = catalog.claim_collecting().await.map_err(AppError::from)?;
        match claim {
            Some(claim) => return Ok(claim),
            None if Instant::now() >= deadline => return Err(StartError::Claimed),
            None => tokio::time::sleep(CLAIM_PAUSE).await,
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
