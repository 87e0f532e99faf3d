//! The objects that say of a store that its registry is being moved to it, or was moved away.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::catalog::relocation::Places;
use crate::catalog::{Catalog, RegistryId};
use crate::startup::store::{OpenStore, block_on};
use crate::startup::{StartError, StoreAt};
use seawall_store::error::StoreError;

/// The object in a store that its registry has left.
pub(in crate::startup) const MOVED_MARKER: &str = "moved.json";
/// The object in a store at which a registry has not arrived yet.
const ARRIVING_MARKER: &str = "arriving.json";

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "seawall.relocation/1")]
    V1,
}

/// The contents of both objects.
#[derive(Serialize, Deserialize)]
struct Marker {
    catalog: String,
    id: String,
    schema: Schema,
    store: String,
}

/// A registry and the target of its relocation.
pub(super) struct Headed {
    pub(super) registry: RegistryId,
    pub(super) to: Places,
}

impl Headed {
    fn bytes(&self) -> Bytes {
        let Places { store, catalog } = self.to.clone();
        let marker = Marker { catalog, id: self.registry.to_string(), schema: Schema::V1, store };
        Bytes::from(serde_json::to_vec(&marker).unwrap_or_default())
    }

    async fn read(store: &OpenStore, path: &str) -> Result<Option<Self>, StartError> {
        let Some(bytes) = store.marker(path).await? else { return Ok(None) };
        let marker = serde_json::from_slice::<Marker>(&bytes).ok();
        let read = |marker: Marker| {
            let registry = marker.id.parse().ok()?;
            let Marker { store, catalog, .. } = marker;
            Some(Self { registry, to: Places { store, catalog } })
        };
        let damaged = || StoreError::Damaged { object: path.to_owned() };
        Ok(Some(marker.and_then(read).ok_or_else(damaged)?))
    }

    /// Returns the registry that has left a store, if one has.
    pub(super) async fn left(store: &OpenStore) -> Result<Option<Self>, StartError> {
        Self::read(store, MOVED_MARKER).await
    }

    /// Returns the registry that is arriving at a store, if one is.
    pub(super) async fn arriving(store: &OpenStore) -> Result<Option<Self>, StartError> {
        Self::read(store, ARRIVING_MARKER).await
    }

    /// Marks a store as the target.
    pub(super) async fn announce(&self, store: &OpenStore) -> Result<(), StartError> {
        // An earlier relocation to another place may have been given up.
        store.remove_marker(ARRIVING_MARKER).await?;
        Ok(store.put_marker(ARRIVING_MARKER, self.bytes()).await?)
    }

    /// Marks a store as left.
    pub(super) async fn leave(&self, store: &OpenStore) -> Result<(), StartError> {
        store.remove_marker(MOVED_MARKER).await?;
        Ok(store.put_marker(MOVED_MARKER, self.bytes()).await?)
    }
}

/// Removes the mark of a target.
pub(super) async fn arrived(store: &OpenStore) -> Result<(), StartError> {
    Ok(store.remove_marker(ARRIVING_MARKER).await?)
}

/// Removes the mark of a store that its registry has left.
pub(super) async fn returned(store: &OpenStore) -> Result<(), StartError> {
    Ok(store.remove_marker(MOVED_MARKER).await?)
}

/// Fails if no catalog may be made for a store: its registry has left it, or has not arrived.
pub(in crate::startup) async fn check_new(
    store: &OpenStore,
    at: &StoreAt,
) -> Result<(), StartError> {
    if let Some(Headed { to, .. }) = Headed::left(store).await? {
        return Err(StartError::Moved { to });
    }
    match Headed::arriving(store).await? {
        Some(_) => Err(StartError::Arriving { place: at.to_string() }),
        None => Ok(()),
    }
}

/// Fails if the registry of a catalog is being moved, or was moved.
pub(in crate::startup) fn check_open(catalog: &Catalog) -> Result<(), StartError> {
    use crate::catalog::relocation::RelocationState::{Moved, Moving, Open};
    let relocation = block_on(catalog.relocation())?.map_err(crate::app::AppError::from)?;
    match relocation.map(|relocation| (relocation.state, relocation.to)) {
        Some((Moved, to)) => Err(StartError::Moved { to }),
        Some((Moving, to)) => Err(StartError::MovingElsewhere { to }),
        Some((Open, _)) | None => Ok(()),
    }
}

/// Fails if a registry was moved away from this catalog or this store, or has not arrived here. A
/// registry that is being moved may be read.
pub(in crate::startup) fn check(
    catalog: &Catalog,
    store: &OpenStore,
    at: &StoreAt,
) -> Result<(), StartError> {
    use crate::catalog::relocation::RelocationState::{Moved, Moving};
    block_on(async {
        let relocation = catalog.relocation().await.map_err(crate::app::AppError::from)?;
        if let Some(relocation) = &relocation
            && relocation.state == Moved
        {
            return Err(StartError::Moved { to: relocation.to.clone() });
        }
        let identity = catalog.identity().await.map_err(crate::app::AppError::from)?;
        let bound_to = identity.and_then(|identity| identity.store);
        let own = (*at != StoreAt::Inside).then(|| at.to_string());
        if relocation.is_some_and(|relocation| relocation.state == Moving) && bound_to == own {
            return Ok(());
        }
        check_new(store, at).await
    })?
}
