//! JSON bodies.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::http::frame::body::question;
use crate::http::voice::ApiError;

/// A JSON body, bounded in length and pace, that follows the schema of `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = question(&request, &mut payload).await?;
            parse(request.content_type(), &bytes).map(Self)
        })
    }
}

fn parse<T: DeserializeOwned>(content_type: &str, bytes: &[u8]) -> Result<T, ApiError> {
    // A page of another site can make a browser send any type but this one without a preflight.
    if content_type != "application/json" {
        return Err(ApiError::invalid("the body is not declared as JSON")
            .with_remedy("send `content-type: application/json`".to_owned()));
    }
    // Serde would also accept an array with the fields in order. The API does not.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("the body does not follow its schema: it is not an object"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid(format!("the body does not follow its schema: {error}")))
}
