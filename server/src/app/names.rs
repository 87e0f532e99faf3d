//! Lookups of applications, releases and channels by name.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::reference::Selector;

use super::AppError;
use crate::catalog::collect::Tombstone;
use crate::catalog::{Application, Catalog, Channel};

/// The number of previous moves of a channel whose releases are held for a rollback. A mistaken
/// promotion is often noticed only after the next one.
pub(super) const MOVES_HELD: u32 = 2;

/// The names in the catalog.
#[derive(Clone)]
pub struct Names {
    pub(super) catalog: Catalog,
}

impl Names {
    /// Returns an application.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no application of this name.
    pub async fn application(&self, name: &ApplicationName) -> Result<Application, AppError> {
        let found = self.catalog.application(name.clone()).await?;
        found.ok_or_else(|| no_application(name))
    }

    /// Fails unless the application exists.
    pub(super) async fn find_application(&self, name: &ApplicationName) -> Result<(), AppError> {
        if self.catalog.has_application(name.clone()).await? {
            return Ok(());
        }
        Err(no_application(name))
    }

    /// Returns a channel.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such channel.
    pub async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Channel, AppError> {
        let found = self.catalog.channel(application.clone(), channel.clone()).await?;
        found.ok_or_else(|| AppError::not_found(format!("channel {application}:{channel}")))
    }

    /// Returns the digest of the release that a selector currently refers to.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such release, [`AppError::Gone`] if it was deleted.
    pub async fn resolve(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<ReleaseDigest, AppError> {
        let digest = self.catalog.resolve(application.clone(), selector.clone()).await?;
        if let Some(digest) = digest {
            return Ok(digest);
        }
        let buried = self.catalog.deleted(application.clone(), selector.clone()).await?;
        Err(match (buried, selector) {
            (Some(tombstone), _) => gone(&tombstone),
            (None, Selector::Version(version)) => {
                AppError::not_found(format!("release {application}:{version}"))
            }
            (None, Selector::Channel(channel)) => {
                AppError::not_found(format!("channel {application}:{channel}"))
            }
            (None, Selector::Digest(digest)) => {
                AppError::not_found(format!("release {application}@{digest}"))
            }
        })
    }
}

fn no_application(name: &ApplicationName) -> AppError {
    AppError::not_found(format!("application {name}"))
}

/// Returns the error for a deleted release.
pub(super) fn gone(tombstone: &Tombstone) -> AppError {
    let Tombstone { release, deleted_at_secs, deleted_by } = tombstone;
    let by = match deleted_by.as_str() {
        "" => "a client without a token".to_owned(),
        token => format!("`{token}`"),
    };
    AppError::Gone {
        version: format!("{}:{}", release.application, release.version),
        by,
        at_secs: *deleted_at_secs,
    }
}
