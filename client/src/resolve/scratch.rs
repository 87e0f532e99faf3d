//! A folder for the indexes of a flow that keeps none.

use seawall_store::unfinished::Unfinished;

use crate::directory::IndexCache;
use crate::folder::Folder;
use crate::host::{HostError, HostState};

/// A folder for the indexes of a plan or an export, removed on drop.
pub(crate) struct Scratch {
    folder: Folder,
    /// Also removes the folder on a signal, when nothing is dropped.
    _unfinished: Unfinished,
}

impl Scratch {
    pub(crate) fn new(state: &HostState) -> Result<Self, HostError> {
        let path = state.scratch_path();
        let make = || state.make_scratch().map_err(|error| error.source);
        let (unfinished, folder) =
            Unfinished::make(&path, make).map_err(|e| HostError::new("create", &path, e))?;
        Ok(Self { folder, _unfinished: unfinished })
    }

    pub(crate) fn indexes(&self) -> IndexCache {
        IndexCache::new(self.folder.clone())
    }
}
