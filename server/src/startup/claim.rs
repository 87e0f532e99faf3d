//! The bond between a catalog and a store outside the data directory.
//!
//! Two catalogs over one store would collect each other's objects. The store therefore bears the id
//! of its registry, and the catalog the address of its store.
//!
//! | the store bears ↓ / the catalog is → | new | bound to a store | of a registry with a store inside |
//! |---|---|---|---|
//! | no id | claims it | refused: another store, or one that was emptied | refused |
//! | the catalog's id | — | opens it | — |
//! | another id | refused, unless it is recovered | refused | refused |

use std::path::Path;

use seawall_store::error::StoreError;
use serde::{Deserialize, Serialize};

use super::store::OpenStore;
use super::{CatalogAt, Machine, StartError, StoreAt, catalog};
use crate::catalog::{Catalog, CatalogError, Identity, RegistryId};
use crate::host::Host as _;

/// The object that bears the id.
const MARKER: &str = "registry.json";

#[derive(Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "seawall.registry/1")]
    V1,
}

/// The object's contents.
#[derive(Serialize, Deserialize)]
struct Marker {
    id: String,
    schema: Schema,
}

/// Writes the id of a registry into a store.
///
/// # Errors
/// If the store cannot be written.
pub(super) async fn mark(store: &OpenStore, own: RegistryId) -> Result<(), StartError> {
    let marker = Marker { id: own.to_string(), schema: Schema::V1 };
    let bytes = serde_json::to_vec(&marker).unwrap_or_default();
    Ok(store.put_marker(MARKER, bytes.into()).await?)
}

/// Returns the id of the registry that a store belongs to.
///
/// # Errors
/// If the store cannot be read, or bears something else.
pub(super) async fn owner(store: &OpenStore) -> Result<Option<RegistryId>, StartError> {
    let Some(bytes) = store.marker(MARKER).await? else { return Ok(None) };
    let marker = serde_json::from_slice::<Marker>(&bytes).ok();
    let id = marker.and_then(|marker| marker.id.parse().ok());
    let damaged = || StoreError::Damaged { object: MARKER.to_owned() };
    Ok(Some(id.ok_or_else(damaged)?))
}

/// Checks that a catalog may be made for a store: nobody else has claimed it.
///
/// # Errors
/// [`StartError::Foreign`] if it bears an id.
pub(super) async fn check_unclaimed(store: &OpenStore, at: &StoreAt) -> Result<(), StartError> {
    if *at == StoreAt::Inside {
        return Ok(());
    }
    match owner(store).await? {
        None => Ok(()),
        Some(owner) => Err(StartError::Foreign { store: at.to_string(), owner, own: None }),
    }
}

/// A catalog and the store that it is used with.
pub(super) struct Bond<'a> {
    /// The catalog.
    pub(super) catalog: &'a Catalog,
    /// The data directory, and the place of the catalog.
    pub(super) place: (&'a Path, &'a CatalogAt),
    /// The store.
    pub(super) store: &'a OpenStore,
    /// The place of the store.
    pub(super) at: &'a StoreAt,
}

impl Bond<'_> {
    /// Checks that catalog and store belong together. Binds them to each other if neither is bound.
    ///
    /// # Errors
    /// If one of them is bound to another, or cannot be used.
    pub(super) async fn confirm(&self) -> Result<(), StartError> {
        if *self.at == StoreAt::Inside {
            return match self.identity().await?.and_then(|identity| identity.store) {
                None => Ok(()),
                Some(store) => Err(StartError::StoreElsewhere { store }),
            };
        }
        // Another registry may bind both at the same time: it writes its id into the catalog, then
        // into the store, then the address into the catalog. These reads go the other way.
        let mut owner = owner(self.store).await?;
        let known = self.identity().await?;
        let bound_to = known.as_ref().and_then(|identity| identity.store.clone());
        if owner.is_none() && bound_to.is_some() {
            owner = self::owner(self.store).await?;
        }
        let own = known.map(|identity| identity.registry);
        let store = self.at.to_string();
        match (owner, own) {
            (Some(owner), Some(own)) if owner == own => {}
            (Some(owner), own) => return Err(StartError::Foreign { store, owner, own }),
            (None, Some(own)) if bound_to.is_some() => {
                return Err(StartError::Unclaimed { store, own });
            }
            // Nothing can be bound.
            (None, _) if self.catalog.barrier().is_some() => return Ok(()),
            (None, _) => self.claim().await?,
        }
        if bound_to.as_ref() != Some(&store) && self.catalog.barrier().is_none() {
            let bound = self.catalog.bind_store(store).await;
            bound.map_err(|error| self.unusable(error))?;
        }
        Ok(())
    }

    async fn identity(&self) -> Result<Option<Identity>, StartError> {
        self.catalog.identity().await.map_err(|error| self.unusable(error))
    }

    /// Writes the id of the registry into the store.
    async fn claim(&self) -> Result<(), StartError> {
        let random = Machine.random();
        let random = random.ok_or(StartError::Machine("the system provides no random bytes"))?;
        let identity = self.catalog.identify(RegistryId::from_bytes(random)).await;
        let own = identity.map_err(|error| self.unusable(error))?.registry;
        mark(self.store, own).await?;
        let store = self.at.to_string();
        // Of two registries that claim a store at once, one finds the other's id.
        match owner(self.store).await? {
            Some(owner) if owner == own => Ok(()),
            Some(owner) => Err(StartError::Foreign { store, owner, own: Some(own) }),
            None => Err(StartError::Unclaimed { store, own }),
        }
    }

    /// Gives a recovered catalog the id that its store bears.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(super) async fn adopt(&self) -> Result<(), StartError> {
        if *self.at != StoreAt::Inside
            && let Some(owner) = owner(self.store).await?
        {
            let identity = self.catalog.identify(owner).await;
            identity.map_err(|error| self.unusable(error))?;
        }
        Ok(())
    }

    fn unusable(&self, source: CatalogError) -> StartError {
        let (data_dir, at) = self.place;
        catalog::unusable(data_dir, at, source)
    }
}
