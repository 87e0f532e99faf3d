//! Resolution of a reference to a release document.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::port::ObjectName;

use super::Releases;
use crate::app::AppError;

/// A release document as served.
#[derive(Clone, Debug)]
pub struct ReleaseBytes {
    /// The digest of the release.
    pub digest: ReleaseDigest,
    /// The canonical bytes, which hash to the digest.
    pub bytes: Bytes,
}

impl Releases {
    /// Returns the document of the release that a selector currently refers to.
    ///
    /// # Errors
    /// As [`Names::resolve`](crate::app::names::Names::resolve), and
    /// [`AppError::Damaged`] if the document at rest is missing or altered.
    pub async fn document(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<ReleaseBytes, AppError> {
        let digest = self.names.resolve(application, selector).await?;
        let bytes = self.content.proven_bytes(&ObjectName::Release(digest)).await?;
        Ok(ReleaseBytes { digest, bytes })
    }

    /// Reads and parses the document of the release that a selector currently refers to.
    pub(in crate::app) async fn read(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, AppError> {
        let digest = self.names.resolve(application, selector).await?;
        self.content.read(digest).await
    }
}
