//! Deletions of the source, followed in the target where that was asked for.
//!
//! Only a release that the source says it deleted is deleted. One that is merely absent, because
//! the source is another registry than before, lost its catalog, or answers nothing, stays.

use seawall_api::names::{ApplicationName, ApplicationPattern, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;

use super::CopyError;
use super::present::listed;
use super::select::applications;
use crate::registry::{Reading, Registry, RegistryError};
use crate::resolve;

/// The deletions that were followed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Followed {
    /// The number of releases deleted in the target.
    pub deleted: u64,
    /// The releases that stay because something in the target holds them, each with the reason.
    pub left_alone: Vec<String>,
}

/// Deletes the releases of the target that the source deleted and that nothing in the target holds.
///
/// # Errors
/// Fails if the source or the target fails. Earlier deletions stay.
pub async fn follow_deletions(
    from: &dyn Reading,
    to: &dyn Registry,
    patterns: &[ApplicationPattern],
) -> Result<Followed, CopyError> {
    let mut followed = Followed::default();
    for pattern in patterns {
        let found = match applications(to, pattern).await {
            Err(CopyError::NoApplication { .. }) => continue,
            found => found?,
        };
        for application in found {
            let source = listed(from, &application).await?;
            for version in listed(to, &application).await?.keys() {
                let is_absent = !source.contains_key(version);
                if is_absent && is_deleted(from, &application, version).await? {
                    delete(to, (&application, version), &mut followed).await?;
                }
            }
        }
    }
    Ok(followed)
}

/// Returns true if a place says that it deleted a release.
async fn is_deleted(
    place: &dyn Reading,
    application: &ApplicationName,
    version: &Version,
) -> Result<bool, RegistryError> {
    match resolve::document(place, application, &Selector::Version(version.clone())).await {
        Ok(_) => Ok(false),
        Err(error) => match error.code() {
            Some(Code::Gone) => Ok(true),
            Some(Code::NotFound | Code::Damaged) => Ok(false),
            _ => Err(error),
        },
    }
}

async fn delete(
    to: &dyn Registry,
    (application, version): (&ApplicationName, &Version),
    followed: &mut Followed,
) -> Result<(), RegistryError> {
    match to.delete_release(application, version).await {
        Ok(_) => followed.deleted += 1,
        Err(error) => match error.code() {
            Some(Code::Held) => {
                let why = format!("{application}:{version} was deleted in the source, and stays");
                followed.left_alone.push(format!("{why}: {error}"));
            }
            // Somebody else deleted it.
            Some(Code::Gone | Code::NotFound) => {}
            _ => return Err(error),
        },
    }
    Ok(())
}
