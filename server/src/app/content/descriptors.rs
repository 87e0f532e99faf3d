//! Original descriptors, stored and returned byte for byte, never interpreted.
//!
//! The catalog has no rows for descriptors: their presence is known to the store alone, and a
//! release names the few it needs.

use std::collections::BTreeSet;

use bytes::Bytes;
use seawall_api::digest::DescriptorDigest;
use seawall_api::release::Release;
use seawall_store::port::{ObjectName, Put};

use super::Content;
use super::objects::Found;
use crate::app::{AppError, check_digest};
use crate::catalog::LeaseId;
use crate::catalog::collect::Collectable;

impl Content {
    /// Stores a descriptor.
    ///
    /// # Errors
    /// Fails if the lease has ended, the bytes do not match the digest, or a port fails.
    pub async fn put_descriptor(
        &self,
        lease: LeaseId,
        expected: DescriptorDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        check_digest("descriptor", expected, DescriptorDigest::of(&bytes))?;
        self.keep_under(lease, &ObjectName::Descriptor(expected), &bytes, async |stored| {
            Ok(self.catalog.keep_object(Collectable::Descriptor(expected), stored).await?)
        })
        .await
    }

    /// Returns the bytes of a descriptor.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] if the descriptor is altered at rest.
    pub async fn descriptor_bytes(&self, digest: DescriptorDigest) -> Result<Bytes, AppError> {
        let name = ObjectName::Descriptor(digest);
        match self.find_bytes(&name).await? {
            Found::Gone => Err(AppError::not_found(format!("descriptor {digest}"))),
            found => self.expect(&name, found).await,
        }
    }

    /// Returns the first missing descriptor among those named by a release.
    pub(in crate::app) async fn missing_descriptor(
        &self,
        release: &Release,
    ) -> Result<Option<DescriptorDigest>, AppError> {
        for digest in descriptors_of(release) {
            if self.store.len(&ObjectName::Descriptor(digest)).await?.is_none() {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }
}

/// Returns the descriptors named by a release, without duplicates.
pub(in crate::app) fn descriptors_of(release: &Release) -> BTreeSet<DescriptorDigest> {
    let descriptors = release.machines().iter().filter_map(|m| m.descriptor.as_ref());
    descriptors.map(|descriptor| descriptor.digest).collect()
}
