//! Original descriptors: kept and given back byte for byte, never interpreted.
//!
//! The catalog has no row for them: the store alone says which are there, and a release names
//! the few that it needs.

use std::collections::BTreeSet;

use bytes::Bytes;
use seawall_api::digest::DescriptorDigest;
use seawall_api::release::Release;
use seawall_store::port::{ObjectName, Put};

use super::{AppError, Registry, check_name};
use crate::catalog::LeaseId;
use crate::catalog::collect::Collectable;

impl Registry {
    /// Keeps a descriptor.
    ///
    /// # Errors
    /// When the lease has ended, the bytes are not that descriptor, or a port fails.
    pub async fn put_descriptor(
        &self,
        lease: LeaseId,
        expected: DescriptorDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        check_name("descriptor", expected, DescriptorDigest::of(&bytes))?;
        self.keep_under(lease, &ObjectName::Descriptor(expected), &bytes, async |grip| {
            Ok(self.catalog.revive(Collectable::Descriptor(expected), grip).await?)
        })
        .await
    }

    /// The bytes of a descriptor.
    ///
    /// # Errors
    /// [`AppError::NotFound`], or [`AppError::Damaged`] when they are not what they were.
    pub async fn descriptor_bytes(&self, digest: DescriptorDigest) -> Result<Bytes, AppError> {
        let name = ObjectName::Descriptor(digest);
        if self.store.len(&name).await?.is_none() {
            return Err(AppError::not_found(format!("descriptor {digest}")));
        }
        self.proven_bytes(&name, |b| DescriptorDigest::of(b) == digest).await
    }

    /// The first descriptor that a release names and that is not here.
    pub(super) async fn missing_descriptor(
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

/// The descriptors that a release names, each once.
pub(super) fn descriptors_of(release: &Release) -> BTreeSet<DescriptorDigest> {
    let descriptors = release.machines().iter().filter_map(|m| m.descriptor.as_ref());
    descriptors.map(|descriptor| descriptor.digest).collect()
}
