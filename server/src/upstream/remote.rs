//! The way to the upstream: requests passed on, and requests of the edge itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::SizedStream;
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use seawall_api::digest::PackDigest;
use seawall_api::problem::{Code, Problem};
use seawall_store::pack::PACK_LEN_MAX;
use seawall_store::read::Freshness;
use tokio::sync::mpsc;
use url::Url;

use super::Upstream;
use crate::http::{ApiError, limits};

/// The maximum time to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The maximum time between two pieces of an answer, and to its first.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// The time for which an upstream that could not be reached is not asked, if something is kept.
const DOWN_TIME: Duration = Duration::from_secs(3);
/// The longest answer that is held in memory, in bytes: the places of the chunks of one question.
pub(super) const ANSWER_LEN_MAX: usize = 32 << 20;
/// The longest problem document that is read, in bytes.
const PROBLEM_LEN_MAX: usize = 64 << 10;
/// The number of pieces of an upload that wait for the upstream.
const PIECES_MAX: usize = 4;
const USER_AGENT: &str = concat!("seawall/", env!("CARGO_PKG_VERSION"), " (edge)");

/// Headers that concern one connection only (RFC 9110, 7.6.1), or that this server makes itself.
const OF_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "date",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An address that is none of an upstream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{url}` is no address of a registry: {why}")]
pub struct InvalidUpstream {
    url: String,
    why: String,
}

/// A client of the upstream.
pub(super) struct Remote {
    base: Url,
    client: Client,
    /// The time of the last failed attempt to reach the upstream, unless one succeeded since.
    failed_at: Mutex<Option<Instant>>,
}

/// A whole answer of the upstream.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) status: u16,
    /// The headers that a client of the edge gets, too.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Remote {
    pub(super) fn new(text: &str) -> Result<Self, InvalidUpstream> {
        let invalid = |why: String| InvalidUpstream { url: text.escape_debug().to_string(), why };
        let mut base: Url =
            text.parse().map_err(|error: url::ParseError| invalid(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(invalid("write it as https://registry.example".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(invalid("it may have a host, a port and a path only".to_owned()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = || {
            Client::builder()
                .user_agent(USER_AGENT)
                // The bytes that a redirect names are for the client that asked.
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIME_MAX)
                .read_timeout(STALL_TIME_MAX)
        };
        // A machine without certificate authorities reaches upstreams without TLS.
        let built = client().build().or_else(|_| client().tls_certs_only([]).build());
        let client = built.map_err(|error| invalid(error.to_string()))?;
        Ok(Self { base, client, failed_at: Mutex::default() })
    }

    /// Returns true if the upstream could not be reached a moment ago. Whoever has another answer
    /// then need not wait for the next attempt.
    pub(super) fn is_down(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < DOWN_TIME)
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    fn url(&self, path_and_query: &str) -> Result<Url, ApiError> {
        let relative = path_and_query.trim_start_matches('/');
        // Relative text could name another host.
        let joined = Url::parse(&format!("{}{relative}", self.base));
        let joined =
            joined.map_err(|error| ApiError::invalid(format!("the path is malformed: {error}")))?;
        // `..` could lead out of the registry, to something else on its host.
        match joined.path().starts_with(self.base.path()) {
            true => Ok(joined),
            false => Err(ApiError::invalid("the path leads out of the registry")),
        }
    }

    /// Sends a request of the edge, and returns the head of the answer.
    async fn send(
        &self,
        (method, path): (Method, &str),
        headers: HeaderMap,
        body: Option<reqwest::Body>,
    ) -> Result<reqwest::Response, ApiError> {
        let mut request = self.client.request(method, self.url(path)?).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(answer)
    }

    /// Returns the whole answer to a request.
    pub(super) async fn whole(
        &self,
        call: (Method, &str),
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Whole, ApiError> {
        let answer = self.send(call, headers, body.map(Into::into)).await?;
        let (status, headers) = (answer.status().as_u16(), passed(answer.headers()));
        let body = self.body(answer, ANSWER_LEN_MAX).await?;
        Ok(Whole { status, headers, body })
    }

    /// Returns bytes of a pack, as a `Range` header names them, and the length of the pack.
    pub(super) async fn pack(
        &self,
        pack: PackDigest,
        range: HeaderValue,
        token: Option<&HeaderValue>,
        freshness: Freshness,
    ) -> Result<(u64, Bytes), ApiError> {
        let mut headers = bearer(token);
        headers.insert(RANGE, range.clone());
        if freshness == Freshness::AtRest {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let path = format!("v1/packs/{pack}");
        let mut answer = self.send((Method::GET, &path), headers, None).await?;
        if answer.status() == StatusCode::TEMPORARY_REDIRECT {
            // To the bucket behind the upstream, which must not see the token.
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| self.base.join(to).ok());
            let to = to.ok_or_else(|| unexpected("a redirect without an address"))?;
            let sent = self.client.get(to).header(RANGE, range).send().await;
            answer = sent.map_err(|error| self.unreachable(&error))?;
        }
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            let (status, headers) = (answer.status().as_u16(), passed(answer.headers()));
            let body = self.body(answer, PROBLEM_LEN_MAX).await?;
            return Err(Whole { status, headers, body }.into_error());
        }
        let total = answer.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
        let total = total.and_then(|it| it.rsplit_once('/')).and_then(|(_, len)| len.parse().ok());
        let total = total.ok_or_else(|| unexpected("a range without the length of its pack"))?;
        Ok((total, self.body(answer, PACK_LEN_MAX).await?))
    }

    async fn body(&self, answer: reqwest::Response, len_max: usize) -> Result<Bytes, ApiError> {
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.try_next().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + piece.len() > len_max {
                return Err(unexpected("an answer that is longer than it may be"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.into())
    }

    /// Returns the error for an upstream that does not answer.
    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        let now = Some(Instant::now());
        let before = {
            let mut failed_at = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *failed_at, now)
        };
        if before.is_none() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, upstream = %self.base, "the upstream cannot be reached");
        }
        let detail = format!("the upstream {} of this edge cannot be reached", self.base);
        ApiError::new(Code::Unavailable, detail)
    }
}

impl Whole {
    /// Returns the refusal of the upstream, as the client of the edge gets it.
    pub(super) fn into_error(self) -> ApiError {
        let Ok(problem) = serde_json::from_slice::<Problem>(&self.body) else {
            return unexpected(&format!("the status {}", self.status));
        };
        let mut error = ApiError::from_upstream(problem);
        for (name, value) in self.headers {
            if name == "www-authenticate" {
                error = error.with_header(WWW_AUTHENTICATE, value);
            }
        }
        error
    }

    /// Returns the answer as the client of the edge gets it.
    pub(super) fn into_response(self) -> Result<HttpResponse, ApiError> {
        if self.status >= 400 {
            // The edge gives each error an instance of its own.
            return Err(self.into_error());
        }
        let status = actix_web::http::StatusCode::from_u16(self.status)
            .map_err(|_| unexpected("a status that is none"))?;
        let mut response = HttpResponse::build(status);
        for (name, value) in &self.headers {
            response.append_header((name.as_str(), value.as_str()));
        }
        Ok(response.body(self.body))
    }
}

/// Returns the error for an answer that no registry gives.
pub(super) fn unexpected(what: &str) -> ApiError {
    ApiError::new(Code::Unavailable, format!("the upstream of this edge answered with {what}"))
}

/// Returns the headers with a token.
pub(super) fn bearer(token: Option<&HeaderValue>) -> HeaderMap {
    token.map(|token| (AUTHORIZATION, token.clone())).into_iter().collect()
}

/// Returns the token of a request.
pub(super) fn token_of(request: &HttpRequest) -> Option<HeaderValue> {
    let value = request.headers().get(actix_web::http::header::AUTHORIZATION)?;
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// Returns the path and query of a request.
pub(super) fn path_of(request: &HttpRequest) -> &str {
    request.uri().path_and_query().map_or("/", |path| path.as_str())
}

/// Returns the headers of an answer that a client of the edge gets, too.
fn passed(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept = headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str()));
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    kept.filter_map(text).collect()
}

/// Returns the headers of a request that the upstream gets, too.
pub(super) fn passed_on(request: &HttpRequest) -> HeaderMap {
    let kept = request.headers().iter().filter(|(name, _)| {
        name.as_str() == "content-length" || !OF_CONNECTION.contains(&name.as_str())
    });
    let convert = |(name, value): (&actix_web::http::header::HeaderName, _)| {
        let value: &actix_web::http::header::HeaderValue = value;
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    kept.filter_map(convert).collect()
}

/// Reads the body of a question.
pub(super) async fn gather(mut payload: web::Payload) -> Result<Bytes, ApiError> {
    let mut body = Vec::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| ApiError::invalid(format!("the body ended: {error}")))?;
        if body.len() + piece.len() > limits::JSON_LEN_MAX {
            let detail = format!("a question may have {} bytes", limits::JSON_LEN_MAX);
            return Err(ApiError::new(Code::TooLarge, detail));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

/// Passes a request on to the upstream, and its answer back, piece by piece.
pub(super) async fn forward(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let method = Method::from_bytes(request.method().as_str().as_bytes())
        .map_err(|_| ApiError::invalid("the method is malformed"))?;
    let headers = passed_on(&request);
    let has_body = headers.get(CONTENT_LENGTH).is_some_and(|len| len != "0")
        || request.headers().contains_key(actix_web::http::header::TRANSFER_ENCODING);
    let body = has_body.then(|| {
        let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(PIECES_MAX);
        actix_web::rt::spawn(async move {
            while let Some(piece) = payload.next().await {
                if send.send(piece.map_err(std::io::Error::other)).await.is_err() {
                    return;
                }
            }
        });
        let pieces = stream::unfold(receive, async |mut receive| {
            receive.recv().await.map(|piece| (piece, receive))
        });
        reqwest::Body::wrap_stream(pieces)
    });
    let answer = upstream.remote.send((method, path_of(&request)), headers, body).await?;
    let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16())
        .map_err(|_| unexpected("a status that is none"))?;
    if status.is_client_error() || status.is_server_error() {
        let (answered, status, headers) = (status, status.as_u16(), passed(answer.headers()));
        if request.method() == actix_web::http::Method::HEAD {
            return Ok(HttpResponse::build(answered).finish());
        }
        let body = upstream.remote.body(answer, PROBLEM_LEN_MAX).await?;
        return Err(Whole { status, headers, body }.into_error());
    }
    let mut response = HttpResponse::build(status);
    for (name, value) in passed(answer.headers()) {
        response.append_header((name, value));
    }
    let len = answer.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    let pieces = answer.bytes_stream();
    Ok(match len {
        Some(len) => response.no_chunking(len).body(SizedStream::new(len, pieces)),
        None => response.streaming(pieces),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_address_of_the_upstream() {
        let remote = Remote::new("http://127.0.0.1:1/registry").unwrap();
        let url = |path: &str| remote.url(path).ok().map(|url| url.to_string());
        let below = Some("http://127.0.0.1:1/registry/v1/packs?a=b".to_owned());
        assert_eq!(url("/v1/packs?a=b"), below);
        assert_eq!(url("//v1/packs?a=b"), below);
        for out in ["/../admin", "/v1/../../admin", "/%2e%2e/admin", "/v1/%2E%2e/.%2e/admin"] {
            assert_eq!(url(out), None, "{out}");
        }
        assert_eq!(url("/@elsewhere").as_deref(), Some("http://127.0.0.1:1/registry/@elsewhere"));
    }

    #[test]
    fn an_upstream_is_an_address_without_secrets() {
        for wrong in ["", "registry", "file:///etc", "http://a:b@registry", "http://registry?q"] {
            assert!(Remote::new(wrong).is_err(), "{wrong}");
        }
    }
}
