//! Look up: the releases that a push meets in the registry.

use seawall_api::index::DiskIndex;
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::Release;

use super::{Push, PushError};
use crate::progress::Stage;
use crate::registry::RegistryError;
use crate::resolve;

/// Returns the release that the version names already, if any.
pub(super) async fn existing(push: &Push) -> Result<Option<Release>, PushError> {
    let found = release_of(push, &Selector::Version(push.version.clone())).await;
    found.map_err(|source| match source.code() {
        Some(Code::Gone) => PushError::VersionDeleted {
            application: push.application.clone(),
            version: push.version.clone(),
            source: Box::new(source),
        },
        _ => source.into(),
    })
}

/// Returns the named release, if any. A damaged document is treated as missing: publishing again
/// restores it, and the registry still knows the digest that the version names.
async fn release_of(push: &Push, selector: &Selector) -> Result<Option<Release>, RegistryError> {
    match document(push, selector).await {
        Ok(release) => Ok(Some(release)),
        Err(RegistryError::Problem { problem, .. })
            if matches!(problem.code, Code::NotFound | Code::Damaged) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn document(push: &Push, selector: &Selector) -> Result<Release, RegistryError> {
    resolve::document(push.registry.as_ref(), &push.application, selector).await
}

/// Returns the indexes of the parent release, whose leaves are assumed to be present.
pub(super) async fn known_leaves(push: &Push) -> Result<Vec<DiskIndex>, PushError> {
    let parent = match &push.parent {
        Some(selector) => Some(document(push, selector).await?),
        None => match push.registry.application(&push.application).await {
            Ok(application) => match application.newest {
                Some(newest) => match release_of(push, &Selector::Version(newest)).await {
                    // Deleted since the application was read.
                    Err(error) if error.code() == Some(Code::Gone) => None,
                    found => found?,
                },
                None => None,
            },
            Err(RegistryError::Problem { problem, .. }) if problem.code == Code::NotFound => None,
            Err(error) => return Err(error.into()),
        },
    };
    let mut indexes = Vec::new();
    for (_, disk) in parent.iter().flat_map(Release::disks) {
        match push.registry.index(disk.index).await {
            Ok(index) => indexes.push(index),
            // A lost index is of no use, but does no harm either.
            Err(RegistryError::Problem { problem, .. })
                if matches!(problem.code, Code::NotFound | Code::Damaged) => {}
            Err(error) => return Err(error.into()),
        }
    }
    push.progress.begin(Stage::Upload, None);
    Ok(indexes)
}
