//! Resolution of a reference to a release document.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::port::ObjectName;

use super::Releases;
use crate::app::AppError;

impl Releases {
    /// Returns the document of a release that the catalog lists.
    ///
    /// # Errors
    /// [`AppError::Damaged`] if the document at rest is missing or altered, or the error of the
    /// store.
    pub async fn bytes(&self, digest: ReleaseDigest) -> Result<Bytes, AppError> {
        self.content.proven_bytes(&ObjectName::Release(digest)).await
    }

    /// Returns the document of the release that a selector currently refers to.
    #[cfg(test)]
    pub(in crate::app) async fn document(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Bytes, AppError> {
        self.bytes(self.names.resolve(application, selector).await?).await
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
