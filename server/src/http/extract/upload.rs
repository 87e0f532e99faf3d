//! Uploads: bytes that a push sends under its lease.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::ApplicationName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::path::lease_id;
use crate::app::Registry;
use crate::app::model::LeaseId;
use crate::app::room::Reserved;
use crate::http::frame::{Edge, body, limits};
use crate::http::voice::ApiError;

/// The lease of a request.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UnderLease {
    /// The lease's id.
    lease: String,
}

/// The target of an upload, which the path names: an object by its digest, or an application that a
/// release is published to.
pub(crate) trait Target: DeserializeOwned + 'static {
    /// The maximum length of the bytes.
    const LEN_MAX: usize;
    /// True if the upload reserves disk space. Documents are published while uploads are refused.
    const RESERVES: bool;
}

macro_rules! targets {
    ($($target:ty: $len_max:expr, $reserves:expr;)*) => {$(
        impl Target for $target {
            const LEN_MAX: usize = $len_max;
            const RESERVES: bool = $reserves;
        }
    )*};
}

targets! {
    PackDigest: limits::PACK_LEN_MAX, true;
    LeafDigest: limits::LEAF_BODY_LEN_MAX, true;
    IndexDigest: limits::INDEX_BODY_LEN_MAX, true;
    DescriptorDigest: limits::DESCRIPTOR_BODY_LEN_MAX, true;
    ReleaseDigest: limits::DOCUMENT_LEN_MAX, false;
    ApplicationName: limits::DOCUMENT_LEN_MAX, false;
}

/// The received bytes of an upload, with their target and their lease.
pub(crate) struct Upload<T> {
    /// The target, from the path.
    pub(crate) target: T,
    /// The lease, from the query.
    pub(crate) lease: LeaseId,
    /// The bytes, which hold their share of memory.
    pub(crate) bytes: Bytes,
    /// The reserved disk space, held until the handler has finished.
    _reserved: Option<Reserved>,
}

impl<T: Target> FromRequest for Upload<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let target = web::Path::<T>::extract(&request).await?.into_inner();
            let query = web::Query::<UnderLease>::extract(&request).await?;
            let lease = lease_id(&query.lease)?;
            let reserved =
                if T::RESERVES { reserve(&request, &mut payload, T::LEN_MAX).await? } else { None };
            let bytes = body::upload(&request, &mut payload, T::LEN_MAX).await;
            let bytes = bytes.map_err(ApiError::from)?;
            Ok(Self { target, lease, bytes, _reserved: reserved })
        })
    }
}

/// Reserves disk space for a body of at most `limit` bytes.
async fn reserve(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<Option<Reserved>, actix_web::Error> {
    let registry = web::Data::<Registry>::extract(request).await?;
    let edge = web::Data::<Edge>::extract(request).await?;
    let declared = body::content_len(request.headers()).unwrap_or(limit as u64);
    match registry.reserve(declared.min(limit as u64)) {
        Ok(reserved) => Ok(reserved),
        Err(error) => {
            body::drain(request, payload, &edge.metrics).await;
            Err(ApiError::from(error).into())
        }
    }
}
