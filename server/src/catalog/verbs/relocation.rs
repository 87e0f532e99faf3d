//! Verbs of relocations. They pass the gate that they open and close.

use seawall_store::error::ErrorKind;

use crate::catalog::engine::{Access, Export};
use crate::catalog::error::Barrier;
use crate::catalog::model::relocation::{Closing, Places, Relocation, RelocationState};
use crate::catalog::rules::maintenance::relocation as rules;
use crate::catalog::{Catalog, CatalogError, RegistryId};

impl Catalog {
    /// Returns the last relocation of the registry, if there was one, and heeds it from now on.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn relocation(&self) -> Result<Option<Relocation>, CatalogError> {
        let found = self.read("read its relocation", |tx| rules::get(tx)).await?;
        let barrier = found.as_ref().and_then(|found| match found.state {
            RelocationState::Open => None,
            RelocationState::Moving => Some(Barrier::Moving),
            RelocationState::Moved => Some(Barrier::Moved),
        });
        self.heed(barrier);
        Ok(found)
    }

    /// Closes the registry for its relocation to `to`. Gives it the id `random` if it has none.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn close(
        &self,
        to: Places,
        random: RegistryId,
        now_secs: u64,
    ) -> Result<Closing, CatalogError> {
        self.run(Access::Gate, "be closed", move |tx| rules::close(tx, &to, random, now_secs)).await
    }

    /// Opens a registry that an unfinished relocation closed. Returns false if there is none.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn reopen(&self, now_secs: u64) -> Result<bool, CatalogError> {
        let opened = self
            .run(Access::Gate, "be opened", move |tx| {
                rules::end(tx, RelocationState::Open, now_secs)
            })
            .await?;
        self.heed(None);
        Ok(opened)
    }

    /// Records that the registry has moved.
    ///
    /// # Errors
    /// If the engine fails, or the relocation was abandoned meanwhile.
    pub async fn leave(&self, now_secs: u64) -> Result<(), CatalogError> {
        let done = self
            .run(Access::Gate, "be left", move |tx| {
                rules::end(tx, RelocationState::Moved, now_secs)
            })
            .await?;
        if done { Ok(()) } else { Err(abandoned("be left")) }
    }

    /// Binds the registry to the store at another address, `None` for the data directory, and opens
    /// it in a new epoch.
    ///
    /// # Errors
    /// If the engine fails, or the relocation was abandoned meanwhile.
    pub async fn rebind(&self, store: Option<String>, now_secs: u64) -> Result<(), CatalogError> {
        let done = self
            .run(Access::Gate, "be bound to its store", move |tx| {
                rules::rebind(tx, store.as_deref(), now_secs)
            })
            .await?;
        if done { Ok(()) } else { Err(abandoned("be bound to its store")) }
    }

    /// Returns a reader of all rows at one moment.
    ///
    /// # Errors
    /// If the engine cannot be read.
    pub fn export(&self) -> Result<Export, CatalogError> {
        self.engine().export()
    }
}

fn abandoned(action: &'static str) -> CatalogError {
    CatalogError::new(ErrorKind::Conflict, action, "its relocation was abandoned meanwhile")
}
