//! The methods of the port [`Registry`], one request each.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH, RANGE};
use reqwest::{Method, StatusCode, Url};
use seawall_api::digest::{
    ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::{DiskIndex, INDEX_LEN_MAX, LEAF_LEN_MAX, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX, Release};
use seawall_api::v1::{
    Application, ApplicationPage, CHUNKS_PER_QUESTION_MAX, Channel, ChannelHistory, ChannelMove,
    ChannelPage, Collection, CollectionPlan, LEAVES_PER_QUESTION_MAX, Lease, LeasePurpose,
    LocateChunks, LocatedChunks, MissingChunks, MissingLeaves, MissingPositions, MoveChannel,
    OpenLease, Published, ReleaseDiff, ReleasePage, ServerVersion, StartCollection, Usage,
};
use seawall_store::read::{Freshness, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::transport::Call;
use super::{HttpRegistry, path, proof};
use crate::registry::{Expect, Registry, RegistryError};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl HttpRegistry {
    pub(super) fn v1<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        path::v1(self.transport.base(), segments)
    }

    async fn bytes(&self, call: Call, limit: usize) -> Result<Bytes, RegistryError> {
        Ok(self.transport.send(&call.answered_within(limit as u64)).await?.body)
    }

    /// Sends a call whose answer says nothing but success.
    pub(super) async fn done(&self, call: Call) -> Result<(), RegistryError> {
        self.transport.send(&call).await.map(drop)
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, RegistryError> {
        let body = self.transport.send(&call).await?.body;
        serde_json::from_slice(&body).map_err(|error| RegistryError::Protocol {
            what: call.what,
            why: format!("its answer is not what this version expects: {error}"),
        })
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        mut call: Call,
        question: &(impl Serialize + Sync),
    ) -> Result<T, RegistryError> {
        let body = serde_json::to_vec(question).map_err(|error| RegistryError::Protocol {
            what: call.what.clone(),
            why: format!("the request cannot be encoded: {error}"),
        })?;
        call.headers.insert(CONTENT_TYPE, JSON);
        self.json(call.with_body(body.into())).await
    }

    /// Stores an object under its digest. Succeeds if the object is there already.
    pub(super) async fn put(
        &self,
        kind: &str,
        digest: &str,
        lease: &Lease,
        body: Bytes,
    ) -> Result<(), RegistryError> {
        let url = path::with_query(self.v1([kind, digest]), [("lease", Some(&*lease.id))]);
        let what = format!("store {kind}/{digest}");
        let mut call = Call::new(Method::PUT, url, what).with_body(body);
        call.headers.insert(CONTENT_TYPE, OCTETS);
        self.done(call).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Registry for HttpRegistry {
    async fn server_version(&self) -> Result<ServerVersion, RegistryError> {
        self.json(Call::get(self.v1(["version"]), "report its version")).await
    }

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

    async fn publish(&self, release: &Release, lease: &Lease) -> Result<Published, RegistryError> {
        let (application, version) = (release.application(), release.version());
        let url = path::releases(self.transport.base(), application);
        let url = path::with_query(url, [("lease", Some(&*lease.id))]);
        let what = format!("publish {application}:{version}");
        let mut call = Call::new(Method::POST, url, what.clone());
        call.headers.insert(CONTENT_TYPE, JSON);
        let body = Bytes::copy_from_slice(release.bytes());
        let published: Published = self.json(call.with_body(body)).await?;
        if published.digest != release.digest() {
            let why = format!("it published {}, not {}", published.digest, release.digest());
            return Err(RegistryError::Protocol { what, why });
        }
        Ok(published)
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

    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError> {
        let url = path::channel(self.transport.base(), application, channel);
        let what = format!("move channel {application}:{channel}");
        let mut call = Call::new(Method::PUT, url, what.clone()).once();
        match expect {
            Expect::New => call.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*")),
            Expect::Sequence(sequence) => {
                let etag = HeaderValue::from_str(&format!("\"{sequence}\""));
                let etag = etag.map_err(|error| RegistryError::Protocol {
                    what: what.clone(),
                    why: error.to_string(),
                })?;
                call.headers.insert(IF_MATCH, etag)
            }
        };
        let moved: Channel = self.ask(call, &MoveChannel { release }).await?;
        if moved.release != release {
            let why = format!("it points at {} now, not {release}", moved.release);
            return Err(RegistryError::Protocol { what, why });
        }
        Ok(moved)
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

    async fn missing_chunks(
        &self,
        lease: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        const WHAT: &str = "find missing chunks";
        let mut missing = Vec::with_capacity(chunks.len());
        for batch in chunks.chunks(CHUNKS_PER_QUESTION_MAX) {
            let question = MissingChunks { lease: lease.id.clone(), chunks: batch.to_vec() };
            let call = Call::new(Method::POST, self.v1(["chunks", "missing"]), WHAT);
            let answer: MissingPositions = self.ask(call, &question).await?;
            missing.extend(proof::missing(WHAT, batch.len(), &answer.missing)?);
        }
        Ok(missing)
    }

    async fn missing_leaves(
        &self,
        lease: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        const WHAT: &str = "find missing leaves";
        let mut missing = Vec::with_capacity(leaves.len());
        for batch in leaves.chunks(LEAVES_PER_QUESTION_MAX) {
            let question = MissingLeaves { lease: lease.id.clone(), leaves: batch.to_vec() };
            let call = Call::new(Method::POST, self.v1(["leaves", "missing"]), WHAT);
            let answer: MissingPositions = self.ask(call, &question).await?;
            missing.extend(proof::missing(WHAT, batch.len(), &answer.missing)?);
        }
        Ok(missing)
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

    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError> {
        let url = self.v1(["indexes", &index.to_string()]);
        match self.done(Call::new(Method::HEAD, url, format!("find index {index}"))).await {
            Ok(()) => Ok(true),
            // The answer to HEAD has no body, hence no problem code.
            Err(RegistryError::Status { status, .. }) if status == StatusCode::NOT_FOUND => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
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

    async fn put_leaf(&self, lease: &Lease, leaf: &Leaf) -> Result<(), RegistryError> {
        let bytes = leaf.encode();
        let digest = LeafDigest::of(&bytes);
        self.put("leaves", &digest.to_string(), lease, bytes.into()).await
    }

    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError> {
        let bytes = index.encode();
        let digest = IndexDigest::of(&bytes);
        self.put("indexes", &digest.to_string(), lease, bytes.into()).await
    }

    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError> {
        let url = self.v1(["descriptors", &descriptor.to_string()]);
        let call = Call::get(url, format!("read descriptor {descriptor}"));
        let bytes = self.bytes(call, DESCRIPTOR_LEN_MAX).await?;
        proof::descriptor(descriptor, &bytes)?;
        Ok(bytes)
    }

    async fn put_descriptor(&self, lease: &Lease, bytes: Bytes) -> Result<(), RegistryError> {
        let digest = DescriptorDigest::of(&bytes);
        self.put("descriptors", &digest.to_string(), lease, bytes).await
    }

    async fn put_pack(
        &self,
        lease: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        self.put("packs", &pack.to_string(), lease, bytes).await
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

    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError> {
        let (from, to) = (path::side(from), path::side(to));
        let pairs = [("from", Some(&*from)), ("to", Some(&*to))];
        let url = path::with_query(self.v1(["diff"]), pairs);
        self.json(Call::get(url, format!("compare {from} with {to}"))).await
    }

    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError> {
        let call = Call::new(Method::POST, self.v1(["collection"]), "start a collection");
        self.ask(call, &order).await
    }

    async fn collection(&self) -> Result<Collection, RegistryError> {
        self.json(Call::get(self.v1(["collection"]), "report the progress of its collection")).await
    }

    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError> {
        let percent = live_percent_min.map(|percent| percent.to_string());
        let url = self.v1(["collection", "plan"]);
        let url = path::with_query(url, [("livePercentMin", percent.as_deref())]);
        self.json(Call::get(url, "plan a collection")).await
    }

    async fn usage(&self) -> Result<Usage, RegistryError> {
        self.json(Call::get(self.v1(["usage"]), "report the storage of its releases")).await
    }
}
