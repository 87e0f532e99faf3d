//! Catalogs made from a store alone: for a new directory, a recovery or a drill.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::audit::Action;
use seawall_store::layer::ReadOnly;
use seawall_store::port::ObjectStore;

use super::catalog::New;
use super::claim::Bond;
use super::relocate::{self, Home};
use super::store::OpenStore;
use super::{
    CATALOG_FILE, Machine, Running, STORE_FOLDER, StartError, StoreAt, catalog, folder,
    on_a_thread, serve_on, settings, store,
};
use crate::app::maintenance::rebuild::{Rebuilt, rebuild};
use crate::app::{AppError, Registry};
use crate::catalog::sqlite::{self, Found};
use crate::catalog::{Catalog, Entry};
use crate::config::{Absent, Config};
use crate::host::Host as _;

/// Fills a new catalog from the store: with nothing in a new directory, with everything if the
/// catalog was lost.
pub(super) fn fill(store: Arc<dyn ObjectStore>, catalog: &Catalog) -> Result<Rebuilt, StartError> {
    store::block_on(async {
        let rebuilt = rebuild(store, catalog, Machine.now_secs()).await?;
        if rebuilt == Rebuilt::default() {
            return Ok(rebuilt);
        }
        // The old audit log is lost with its catalog. This entry tells why the new log starts here.
        let entry = Entry::new(Action::Recover, "", Machine.now_secs())
            .with("releaseCount", rebuilt.releases)
            .with("channelCount", rebuilt.channels)
            .with("damagedObjectCount", rebuilt.damage.len());
        catalog.log(entry).await.map_err(AppError::from)?;
        Ok(rebuilt)
    })?
}

/// The outcome of a recovery.
#[derive(Debug)]
pub struct Recovered {
    /// The contents of the store, and the damage found.
    pub found: Rebuilt,
    /// The new place of the previous catalog, if there was one: a path, or a schema.
    pub aside: Option<String>,
}

/// Makes a new catalog for a registry from its store alone, and sets the old catalog aside.
///
/// # Errors
/// If a registry serves the directory, if the store cannot be read, or if the registry was moved.
/// Nothing has changed then.
pub async fn recover(data_dir: PathBuf, home: Home) -> Result<Recovered, StartError> {
    on_a_thread(move || {
        let Home { store: store_at, catalog: catalog_at } = home;
        if store_at != StoreAt::Inside {
            folder::prepare(&data_dir, Absent::Create, &store_at)?;
        }
        let store = opened_store(&data_dir, &store_at)?;
        folder::check(&data_dir)?;
        catalog::check_place(&data_dir, &catalog_at)?;
        store::block_on(relocate::check_new(&store, &store_at))??;
        // A catalog that cannot be opened has nothing to say.
        if let Ok(Some(present)) = catalog::peek(&data_dir, &catalog_at) {
            relocate::check_open(&present)?;
        }
        let new = New::begin(&data_dir, &catalog_at)?;
        let found = fill(store.port(), new.catalog())?;
        let place = (&*data_dir, &catalog_at);
        let bond = Bond { catalog: new.catalog(), place, store: &store, at: &store_at };
        store::block_on(bond.adopt())??;
        let unusable = |source| catalog::unusable(&data_dir, &catalog_at, source);
        let aside = new.finish().map_err(unusable)?;
        catalog::record_place(&data_dir, &catalog_at)?;
        Ok(Recovered { found, aside })
    })
    .await
}

/// Makes a catalog in `scratch_dir` from the store of `data_dir`, and serves both to this process.
///
/// Nothing below `data_dir` is written. Other registries may serve the directory meanwhile.
///
/// # Errors
/// If the store cannot be read, or if `scratch_dir` already has a catalog.
pub async fn drill(
    data_dir: PathBuf,
    store_at: StoreAt,
    scratch_dir: PathBuf,
) -> Result<(Running, Rebuilt), StartError> {
    let config = Config::in_process(&scratch_dir);
    let settings = settings(&config);
    let opened = on_a_thread(move || {
        let store = opened_store(&data_dir, &store_at)?.port();
        let store: Arc<dyn ObjectStore> = Arc::new(ReadOnly::new(store));
        folder::check(&scratch_dir)?;
        let path = scratch_dir.join(CATALOG_FILE);
        let unusable = |source| StartError::Catalog { path: path.clone(), source };
        let Found::Nothing(scratch) = sqlite::find(&path).map_err(unusable)? else {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "it already has a catalog");
            return Err(StartError::DataDir { path: scratch_dir, source });
        };
        let found = fill(Arc::clone(&store), scratch.catalog())?;
        let catalog = scratch.finish().map_err(unusable)?;
        Ok((Registry::new(store, catalog, Arc::new(Machine), settings), found))
    });
    let (registry, found) = opened.await?;
    Ok((serve_on(registry, config, None).await?, found))
}

/// Opens the existing store of a registry.
fn opened_store(data_dir: &Path, store_at: &StoreAt) -> Result<OpenStore, StartError> {
    if *store_at == StoreAt::Inside && !data_dir.join(STORE_FOLDER).is_dir() {
        let source = io::Error::new(io::ErrorKind::NotFound, "it has no folder `store`");
        return Err(StartError::DataDir { path: data_dir.to_owned(), source });
    }
    store::open(data_dir, store_at)
}
