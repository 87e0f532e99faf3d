//! The methods of the port [`Writing`], one request each.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use seawall_api::digest::{
    ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::release::Release;
use seawall_api::v1::{
    CHUNKS_PER_QUESTION_MAX, Channel, LEAVES_PER_QUESTION_MAX, Lease, MissingChunks, MissingLeaves,
    MissingPositions, MoveChannel, Published,
};

use crate::registry::http::calls::JSON;
use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path, proof};
use crate::registry::{Expect, RegistryError, Writing};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Writing for HttpRegistry {
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
}
