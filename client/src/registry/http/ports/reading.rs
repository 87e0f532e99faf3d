//! The methods of the port [`Reading`], one request each.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, INDEX_LEN_MAX, LEAF_LEN_MAX, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX, Release};
use seawall_api::v1::{
    Application, ApplicationPage, CHUNKS_PER_QUESTION_MAX, Channel, ChannelHistory, ChannelMove,
    ChannelPage, Lease, LeasePurpose, LocateChunks, LocatedChunks, OpenLease, ReleasePage,
};
use seawall_store::read::{Freshness, Place};

use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path, proof};
use crate::registry::{Reading, RegistryError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Reading for HttpRegistry {
    async fn applications(
        &self,
        after: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError> {
        let after = after.map(ApplicationName::as_str);
        let url = path::with_query(self.v1(["applications"]), [("after", after)]);
        self.json(Call::get(url, "list applications")).await
    }

    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError> {
        let url = path::application(self.transport.base(), name);
        self.json(Call::get(url, format!("show application {name}"))).await
    }

    async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError> {
        let url = path::releases(self.transport.base(), application);
        let url = path::with_query(url, [("after", after.map(Version::as_str))]);
        self.json(Call::get(url, format!("list releases of {application}"))).await
    }

    async fn release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError> {
        let url = path::release(self.transport.base(), application, selector);
        let what = format!("read release {application} {selector}");
        let call = Call::get(url, what).answered_within(RELEASE_LEN_MAX as u64);
        let answer = self.transport.send(&call).await?;
        proof::release((application, selector), &answer.headers, &answer.body)
    }

    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError> {
        let url = path::channels(self.transport.base(), application);
        let what = format!("list channels of {application}");
        Ok(self.json::<ChannelPage>(Call::get(url, what)).await?.channels)
    }

    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError> {
        let url = path::channel(self.transport.base(), application, channel);
        let call = Call::get(url, format!("read channel {application}:{channel}"));
        match self.json(call).await {
            Ok(channel) => Ok(Some(channel)),
            Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError> {
        let url = path::history(self.transport.base(), application, channel);
        let what = format!("list the moves of channel {application}:{channel}");
        Ok(self.json::<ChannelHistory>(Call::get(url, what)).await?.moves)
    }

    async fn open_lease(
        &self,
        application: &ApplicationName,
        purpose: LeasePurpose,
        version: Option<&Version>,
    ) -> Result<Lease, RegistryError> {
        let what = format!("open a lease for {application}");
        let call = Call::new(Method::POST, self.v1(["leases"]), what);
        let (application, version) = (application.clone(), version.cloned());
        self.ask(call, &OpenLease { application, version, purpose }).await
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<Lease, RegistryError> {
        self.json(Call::new(Method::PUT, self.v1(["leases", &lease.id]), "renew a lease")).await
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), RegistryError> {
        let call = Call::new(Method::DELETE, self.v1(["leases", &lease.id]), "end a lease");
        match self.done(call).await {
            // An earlier attempt or a publish ended the lease: the outcome is the same.
            Err(error) if matches!(error.code(), Some(Code::NotFound | Code::LeaseEnded)) => Ok(()),
            outcome => outcome,
        }
    }

    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, RegistryError> {
        let mut places = Vec::with_capacity(chunks.len());
        for batch in chunks.chunks(CHUNKS_PER_QUESTION_MAX) {
            let call = Call::new(Method::POST, self.v1(["chunks", "locate"]), "locate chunks");
            let question = LocateChunks { chunks: batch.to_vec() };
            let answer: LocatedChunks = self.ask(call, &question).await?;
            places.extend(proof::places(batch.len(), &answer)?);
        }
        Ok(places)
    }

    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError> {
        let url = self.v1(["indexes", &index.to_string()]);
        let bytes = self.bytes(Call::get(url, format!("read index {index}")), INDEX_LEN_MAX);
        proof::index(index, &bytes.await?)
    }

    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError> {
        let url = self.v1(["leaves", &leaf.to_string()]);
        let bytes = self.bytes(Call::get(url, format!("read leaf {leaf}")), LEAF_LEN_MAX).await?;
        proof::leaf(leaf, span_len, &bytes)
    }

    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError> {
        let url = self.v1(["descriptors", &descriptor.to_string()]);
        let call = Call::get(url, format!("read descriptor {descriptor}"));
        let bytes = self.bytes(call, DESCRIPTOR_LEN_MAX).await?;
        proof::descriptor(descriptor, &bytes)?;
        Ok(bytes)
    }

    async fn pack_range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, RegistryError> {
        let len = range.end.saturating_sub(range.start);
        if len == 0 {
            return Ok(Bytes::new());
        }
        let what = format!("read a range of pack {pack}");
        let call = Call::get(self.v1(["packs", &pack.to_string()]), what.clone());
        let bad = move |why: String| RegistryError::Protocol { what: what.clone(), why };
        let header = HeaderValue::from_str(&format!("bytes={}-{}", range.start, range.end - 1));
        let header = header.map_err(|error| bad(error.to_string()))?;
        let check = bad.clone();
        let mut call = call.answered_within(len).checked(move |head| {
            if head.status() != StatusCode::PARTIAL_CONTENT {
                return Err(check(format!("it answered {} instead of 206", head.status())));
            }
            proof::range(pack, &range, head.headers())
        });
        call.headers.insert(RANGE, header);
        if freshness == Freshness::AtRest {
            call.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let bytes = self.transport.send(&call).await?.body;
        if bytes.len() as u64 != len {
            return Err(bad(format!("{} bytes arrived of a range of {len}", bytes.len())));
        }
        Ok(bytes)
    }
}
