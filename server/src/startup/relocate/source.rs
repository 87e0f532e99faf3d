//! The registry that is to be moved, opened without changing it.

use std::path::{Path, PathBuf};

use super::Home;
use super::markers::Headed;
use crate::catalog::relocation::{Places, RelocationState};
use crate::catalog::{Catalog, CatalogError, Identity};
use crate::startup::store::{OpenStore, block_on, open_any};
use crate::startup::{STORE_FOLDER, StartError, StoreAt, catalog, claim, folder};

/// The registry that is to be moved.
pub(super) struct Source {
    pub(super) store: OpenStore,
    pub(super) catalog: Catalog,
    pub(super) identity: Option<Identity>,
    pub(super) home: Home,
    pub(super) data_dir: PathBuf,
}

impl Source {
    /// Opens the registry, and makes nothing.
    pub(super) fn open(data_dir: &Path, home: &Home) -> Result<Self, StartError> {
        let missing = || StartError::NoRegistry { path: data_dir.to_owned() };
        let folder = match &home.store {
            StoreAt::Inside => Some(data_dir.join(STORE_FOLDER)),
            StoreAt::Directory(path) => Some(path.clone()),
            StoreAt::Bucket(_) => None,
        };
        if let Some(path) = folder.filter(|path| !path.is_dir()) {
            return Err(StartError::NoRegistry { path });
        }
        if data_dir.is_dir() {
            folder::check(data_dir)?;
        }
        let store = open_any(data_dir, &home.store)?;
        let Some(catalog) = catalog::peek(data_dir, &home.catalog)? else {
            catalog::check_place(data_dir, &home.catalog)?;
            return Err(missing());
        };
        let identity = block_on(catalog.identity())?;
        let identity =
            identity.map_err(|error| catalog::unusable(data_dir, &home.catalog, error))?;
        let (home, data_dir) = (home.clone(), data_dir.to_owned());
        let source = Self { store, catalog, identity, home, data_dir };
        block_on(source.check_bond())??;
        Ok(source)
    }

    /// Fails unless catalog and store belong together.
    async fn check_bond(&self) -> Result<(), StartError> {
        let bound_to = self.identity.as_ref().and_then(|identity| identity.store.clone());
        if self.home.store == StoreAt::Inside {
            return match bound_to {
                None => Ok(()),
                // A relocation of the store alone ended, and its last steps are left to do.
                Some(_) if Headed::left(&self.store).await?.is_some() => Ok(()),
                Some(store) => Err(StartError::StoreElsewhere { store }),
            };
        }
        let store = self.home.store.to_string();
        let own = self.identity.as_ref().map(|identity| identity.registry);
        match (claim::owner(&self.store).await?, own) {
            (Some(owner), Some(own)) if owner == own => Ok(()),
            (Some(owner), own) => Err(StartError::Foreign { store, owner, own }),
            (None, Some(own)) => Err(StartError::Unclaimed { store, own }),
            (None, None) => Err(StartError::NoRegistry { path: self.data_dir.clone() }),
        }
    }

    /// Returns the state and the target of the last relocation.
    pub(super) async fn relocation(&self) -> Result<Option<(RelocationState, Places)>, StartError> {
        let found = self.catalog.relocation().await.map_err(|error| self.failed(error))?;
        Ok(found.map(|found| (found.state, found.to)))
    }

    /// Makes the error of a failed operation of the catalog.
    pub(super) fn failed(&self, error: CatalogError) -> StartError {
        catalog::unusable(&self.data_dir, &self.home.catalog, error)
    }
}
