//! The forms that most calls have.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use seawall_api::v1::Lease;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::transport::Call;
use super::{HttpRegistry, path};
use crate::registry::RegistryError;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl HttpRegistry {
    pub(super) fn v1<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        path::v1(self.transport.base(), segments)
    }

    pub(super) async fn bytes(&self, call: Call, limit: usize) -> Result<Bytes, RegistryError> {
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
