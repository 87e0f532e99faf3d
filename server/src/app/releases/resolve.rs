//! Resolution of a reference to a release document.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::port::ObjectName;

use super::deletion::gone;
use crate::app::{AppError, Registry};

/// A release document as served.
#[derive(Clone, Debug)]
pub struct ReleaseBytes {
    /// The digest of the release.
    pub digest: ReleaseDigest,
    /// The canonical bytes, which hash to the digest.
    pub bytes: Bytes,
}

impl Registry {
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

    /// Returns the document of the release that a selector currently refers to.
    ///
    /// # Errors
    /// As [`Self::resolve`], and [`AppError::Damaged`] if the document at rest is missing or
    /// altered.
    pub async fn release_bytes(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<ReleaseBytes, AppError> {
        let digest = self.resolve(application, selector).await?;
        let bytes = self.proven_bytes(&ObjectName::Release(digest)).await?;
        Ok(ReleaseBytes { digest, bytes })
    }

    /// Reads and parses the document of the release that a selector currently refers to.
    pub(in crate::app) async fn read_release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, AppError> {
        let digest = self.resolve(application, selector).await?;
        self.read(digest).await
    }
}
