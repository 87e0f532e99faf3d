//! The port [`Reading`]: names from the documents, content from maps and packs.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX, Release};
use seawall_api::v1::{
    Application, ApplicationPage, Channel, ChannelMove, Lease, LeasePurpose, ReleasePage,
};
use seawall_store::port::ObjectName;
use seawall_store::read::{Freshness, Place};

use super::documents::Releases;
use super::map::LEFT_OUT;
use super::{Depot, DepotError};
use crate::error::ErrorKind;
use crate::registry::http::proof;
use crate::registry::{Reading, RegistryError};

/// The duration of a lease in seconds. A depot keeps no leases: the grace period of its mirror
/// protects readers.
const LEASE_TTL_SECS: u64 = 3600;

impl Depot {
    async fn releases_of(&self, application: &ApplicationName) -> Result<Releases, RegistryError> {
        let listed = self.current(application).await?;
        let listed = listed.ok_or_else(|| self.no_such(&format!("application {application}")));
        Ok(listed?.content)
    }

    /// Fails if the mirror has not confirmed the channels for too long.
    fn check_expiry(&self, listed: &Releases) -> Result<(), RegistryError> {
        let now = (self.now)();
        match listed.channels_expire_at_secs {
            Some(at) if at < now => Err(DepotError::Expired {
                address: self.address().to_owned(),
                application: listed.application.clone(),
                ago_secs: now - at,
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn digest_of(
        &self,
        listed: &Releases,
        selector: &Selector,
    ) -> Result<ReleaseDigest, RegistryError> {
        let mut releases = listed.releases.iter().map(|it| &it.summary);
        let found = match selector {
            Selector::Version(version) => releases.find(|it| it.version == *version),
            Selector::Digest(digest) => releases.find(|it| it.digest == *digest),
            Selector::Channel(channel) => {
                self.check_expiry(listed)?;
                let mut channels = listed.channels.iter().map(|it| &it.channel);
                let release = channels.find(|it| it.name == *channel).map(|it| it.release);
                releases.find(|it| Some(it.digest) == release)
            }
        };
        let what = || format!("release {} {selector}", listed.application);
        found.map(|it| it.digest).ok_or_else(|| self.no_such(&what()))
    }

    async fn object(&self, name: &ObjectName, len_max: usize) -> Result<Bytes, RegistryError> {
        let object = name.path();
        let read = self.medium.read(&object, len_max as u64).await?;
        let gone = || DepotError::Gone { address: self.address().to_owned(), object };
        Ok(read.ok_or_else(gone)?)
    }
}

/// Returns whether an object is gone or damaged.
fn is_lost(error: &RegistryError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Reading for Depot {
    async fn applications(
        &self,
        after: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError> {
        let listed = self.listed_applications().await?;
        let applications = listed.map(|it| it.content.applications).unwrap_or_default();
        let is_later = |it: &Application| after.is_none_or(|after| it.name > *after);
        let applications = applications.into_iter().filter(is_later).collect();
        Ok(ApplicationPage { applications, next: None })
    }

    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError> {
        Ok(self.releases_of(name).await?.summary())
    }

    async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError> {
        let listed = self.releases_of(application).await?;
        let begin = after.and_then(|after| {
            listed.releases.iter().position(|it| it.summary.version == *after).map(|at| at + 1)
        });
        let mut releases = Vec::new();
        for release in listed.releases.into_iter().skip(begin.unwrap_or(0)) {
            let mut summary = release.summary;
            let here = listed.channels.iter().filter(|it| it.channel.release == summary.digest);
            summary.channels = here.map(|it| it.channel.name.clone()).collect();
            releases.push(summary);
        }
        Ok(ReleasePage { releases, next: None })
    }

    async fn release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError> {
        let listed = self.releases_of(application).await?;
        let digest = self.digest_of(&listed, selector)?;
        let read = self.object(&ObjectName::Release(digest), RELEASE_LEN_MAX).await;
        let proven = |bytes: Bytes| proof::document((application, selector), digest, &bytes);
        let release = match read.and_then(proven) {
            // A mirror writes the document again.
            Err(error) if self.writer.is_some() && is_lost(&error) => {
                return Err(self.no_such(&format!("sound document of {application} {selector}")));
            }
            release => release?,
        };
        let mut maps = self.maps.lock().await;
        release.disks().for_each(|(_, disk)| maps.remember(disk.index));
        Ok(release)
    }

    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError> {
        let listed = self.releases_of(application).await?;
        if !listed.channels.is_empty() {
            self.check_expiry(&listed)?;
        }
        Ok(listed.channels.into_iter().map(|it| it.channel).collect())
    }

    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError> {
        let Some(listed) = self.current(application).await? else { return Ok(None) };
        let found = listed.content.channels.iter().find(|it| it.channel.name == *channel);
        let Some(found) = found else { return Ok(None) };
        self.check_expiry(&listed.content)?;
        Ok(Some(found.channel.clone()))
    }

    async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError> {
        let listed = self.releases_of(application).await?;
        let found = listed.channels.into_iter().find(|it| it.channel.name == *channel);
        let what = || format!("channel {application}:{channel}");
        Ok(found.ok_or_else(|| self.no_such(&what()))?.moves)
    }

    async fn open_lease(
        &self,
        application: &ApplicationName,
        purpose: LeasePurpose,
        _: Option<&Version>,
    ) -> Result<Lease, RegistryError> {
        if purpose == LeasePurpose::Push {
            self.writer("take a push; `seawall copy` writes to it")?;
        }
        // The id tells the writer which application's content the questions are about.
        Ok(Lease { id: application.to_string(), ttl_secs: LEASE_TTL_SECS })
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<Lease, RegistryError> {
        Ok(lease.clone())
    }

    async fn end_lease(&self, _: &Lease) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, RegistryError> {
        let places = self.maps.lock().await.locate(self.medium.as_ref(), chunks).await?;
        let lacks = |chunk: &ChunkDigest| DepotError::Gone {
            address: self.address().to_owned(),
            object: format!("chunk {chunk}"),
        };
        let place = |(place, chunk): (Option<Place>, &ChunkDigest)| match place {
            Some(place) if place.encoding == LEFT_OUT => {
                let (address, chunk) = (self.address().to_owned(), *chunk);
                Err(DepotError::LeftOut { address, chunk }.into())
            }
            place => Ok(place.ok_or_else(|| lacks(chunk))?),
        };
        places.into_iter().zip(chunks).map(place).collect()
    }

    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError> {
        let list = self.maps.lock().await.list(self.medium.as_ref(), index).await?;
        proof::index(index, &list)
    }

    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError> {
        let found = self.maps.lock().await.leaf(self.medium.as_ref(), leaf).await?;
        let (address, object) = (self.address().to_owned(), format!("leaf {leaf}"));
        proof::leaf(leaf, span_len, &found.ok_or(DepotError::Gone { address, object })?)
    }

    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError> {
        let bytes = self.object(&ObjectName::Descriptor(descriptor), DESCRIPTOR_LEN_MAX).await?;
        proof::descriptor(descriptor, &bytes)?;
        Ok(bytes)
    }

    async fn pack_range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        _: Freshness,
    ) -> Result<Bytes, RegistryError> {
        self.medium.range(&ObjectName::Pack(pack).path(), range).await
    }
}
