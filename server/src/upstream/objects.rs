//! Objects that are named by their hash: kept, and proven before they are served.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use reqwest::Method;
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest};
use seawall_store::port::ObjectName;

use super::Upstream;
use super::answers::Key;
use super::remote::{self, path_of, token_of, unexpected};
use crate::http::{Access, ApiError, Known, Resource, at, immutable};

pub(super) fn resources() -> Vec<Resource> {
    let resource = |path: &str| {
        at(path).head(Access::Reader, remote::forward).put(Access::Reader, remote::forward)
    };
    vec![
        resource("/v1/leaves/{leaf}").get(Access::Reader, leaf),
        resource("/v1/indexes/{index}").get(Access::Reader, index),
        resource("/v1/descriptors/{descriptor}").get(Access::Reader, descriptor),
    ]
}

async fn leaf(
    upstream: web::Data<Upstream>,
    leaf: web::Path<LeafDigest>,
    request: HttpRequest,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    let bytes = object(&upstream, &ObjectName::Leaf(*leaf), &request).await?;
    Ok(immutable(&known, *leaf, bytes))
}

async fn index(
    upstream: web::Data<Upstream>,
    index: web::Path<IndexDigest>,
    request: HttpRequest,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    let bytes = object(&upstream, &ObjectName::Index(*index), &request).await?;
    Ok(immutable(&known, *index, bytes))
}

async fn descriptor(
    upstream: web::Data<Upstream>,
    descriptor: web::Path<DescriptorDigest>,
    request: HttpRequest,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    let bytes = object(&upstream, &ObjectName::Descriptor(*descriptor), &request).await?;
    Ok(immutable(&known, *descriptor, bytes))
}

/// Returns the proven bytes of an object.
async fn object(
    upstream: &Arc<Upstream>,
    name: &ObjectName,
    request: &HttpRequest,
) -> Result<Bytes, ApiError> {
    let token = token_of(request);
    upstream.admit(token.as_ref()).await?;
    let turn = upstream.flights.turn(Key::of([name.path().as_bytes()]));
    let _turn = turn.lock().await;
    if let Some(bytes) = upstream.cache.object(name).await {
        return Ok(bytes);
    }
    let call = (Method::GET, path_of(request));
    let answer = upstream.remote.whole(call, remote::bearer(token.as_ref()), None).await?;
    if answer.status != 200 {
        return Err(answer.into_error());
    }
    if !name.is_of(&answer.body) {
        return Err(unexpected(&format!("other bytes than those of {}", name.path())));
    }
    upstream.cache.keep_object(name, answer.body.clone()).await;
    Ok(answer.body)
}
