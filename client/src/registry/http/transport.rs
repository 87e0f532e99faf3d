//! Sends a request and reads its bounded answer, with retries where the request permits them.
//!
//! The transport knows methods, addresses, statuses and time, but not their meaning.
//!
//! A transfer that moves has no time limit. A watchdog ends a transfer that stalls in either
//! direction. `reqwest`'s own read timeout counts from the start of the request and would end a
//! long upload.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode, Url, redirect};
use seawall_api::problem::Problem;

use super::{
    IDLE_CONNECTION_TIME_MAX, IDLE_CONNECTIONS_MAX, JSON_LEN_MAX, PROBLEM_LEN_MAX, REDIRECTS_MAX,
    Timeouts, Token,
};
use crate::registry::{RegistryError, RequestContext};
use retry::Retry;

pub(super) mod retry;

/// The length in bytes of the pieces of an upload, which is the granularity of the watchdog.
const UPLOAD_PIECE_LEN: usize = 128 << 10;
const USER_AGENT: &str = concat!("seawall/", env!("CARGO_PKG_VERSION"));

/// A check of an answer's status and headers, made before the body is read.
type HeadCheck = Box<dyn Fn(&Response) -> Result<(), RegistryError> + Send + Sync>;

/// One request.
pub(super) struct Call {
    /// The purpose, as a phrase with a verb: `read index …`.
    pub(super) what: String,
    method: Method,
    url: Url,
    pub(super) headers: HeaderMap,
    body: Option<Bytes>,
    /// The longest permitted answer in bytes.
    answer_len_max: u64,
    check: Option<HeadCheck>,
    /// True if the request may be sent again after a transient failure, which may have followed its
    /// success.
    is_repeatable: bool,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            answer_len_max: JSON_LEN_MAX,
            check: None,
            is_repeatable: true,
        }
    }

    pub(super) fn get(url: Url, what: impl Into<String>) -> Self {
        Self::new(Method::GET, url, what)
    }

    pub(super) fn with_body(self, body: Bytes) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Limits the answer to `len` bytes instead of [`JSON_LEN_MAX`].
    pub(super) fn answered_within(self, len: u64) -> Self {
        Self { answer_len_max: len, ..self }
    }

    /// Checks the head of each answer before its body is read.
    pub(super) fn checked(
        self,
        check: impl Fn(&Response) -> Result<(), RegistryError> + Send + Sync + 'static,
    ) -> Self {
        Self { check: Some(Box::new(check)), ..self }
    }

    /// Excludes the request from retries: a repeat after a lost answer would do more, or would be
    /// refused.
    pub(super) fn once(self) -> Self {
        Self { is_repeatable: false, ..self }
    }
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Connections to one registry.
pub(super) struct Transport {
    client: Client,
    /// Connections for a redirect from a registry on plain HTTP to HTTPS.
    secure: OnceLock<Client>,
    base: Url,
    address: String,
    token: Option<Token>,
    timeouts: Timeouts,
    pub(super) retry: Retry,
}

impl Transport {
    pub(super) fn new(
        base: Url,
        token: Option<Token>,
        timeouts: Timeouts,
    ) -> Result<Self, reqwest::Error> {
        let mut client = client(&base, &timeouts);
        // Reading this machine's certificate authorities takes longer than most calls.
        if base.scheme() == "http" {
            client = client.tls_certs_only([]);
        }
        let client = client.build()?;
        let address = base.as_str().trim_end_matches('/').to_owned();
        let (secure, retry) = (OnceLock::new(), Retry::default());
        Ok(Self { client, secure, base, address, token, timeouts, retry })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and reads its answer. Retries after a transient failure of either if the
    /// request is repeatable. Every status other than success is an error.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, RegistryError> {
        if call.is_repeatable {
            self.retry.run(|| self.exchange(call)).await
        } else {
            self.exchange(call).await
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, RegistryError> {
        let response = self.open(call).await?;
        if let Some(check) = &call.check {
            check(&response)?;
        }
        let headers = response.headers().clone();
        let body = self.read(&call.what, response, call.answer_len_max).await?;
        Ok(Answer { headers, body })
    }

    /// Sends a request, once, and returns its answer with an unread body.
    pub(super) async fn open(&self, call: &Call) -> Result<Response, RegistryError> {
        let Call { what, method, headers, body, .. } = call;
        let mut url = call.url.clone();
        let may_redirect = body.is_none() && (method == Method::GET || method == Method::HEAD);
        let mut hops = 0;
        while hops <= REDIRECTS_MAX {
            let client = self.client_to(what, &url)?;
            let mut request = client.request(method.clone(), url.clone());
            request = request.headers(headers.clone());
            let token = self.token.as_ref().filter(|_| is_same_origin(&self.base, &url));
            let sent = token.map(Token::header);
            if let Some(sent) = &sent {
                request = request.header(AUTHORIZATION, sent);
            }
            let moved = Arc::new(AtomicU64::new(0));
            if let Some(body) = body {
                request = request.header(CONTENT_LENGTH, body.len());
                request = request.body(watched(body.clone(), moved.clone()));
            }
            let response = self.watch(what, &moved, request.send()).await?;
            let status = response.status();
            if status.is_redirection() && may_redirect {
                url = self.next_hop(what, &url, &response)?;
                hops += 1;
                continue;
            }
            if status.is_success() {
                return Ok(response);
            }
            if status == StatusCode::UNAUTHORIZED {
                match (token, &sent) {
                    // At most once per change of the file.
                    (Some(token), Some(sent)) if token.has_changed(sent) => {
                        hops += 1;
                        continue;
                    }
                    (None, _) if self.token.is_none() => {
                        return Err(RegistryError::NoToken { url: self.address.clone() });
                    }
                    _ => {}
                }
            }
            return Err(self.refusal(what, RequestContext::of(&url), response).await);
        }
        let why = format!("more than {REDIRECTS_MAX} redirects");
        Err(RegistryError::Protocol { what: what.clone(), why })
    }

    /// Reads an answer of at most `limit` bytes.
    async fn read(
        &self,
        what: &str,
        mut response: Response,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let too_large = || RegistryError::TooLarge { what: what.to_owned(), limit };
        let announced = response.content_length().unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
        let still = AtomicU64::new(0);
        while let Some(piece) = self.watch(what, &still, response.chunk()).await? {
            if (body.len() + piece.len()) as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// Returns the next piece of an answer, or `None` at its end.
    pub(super) async fn piece(
        &self,
        what: &str,
        response: &mut Response,
    ) -> Result<Option<Bytes>, RegistryError> {
        self.watch(what, &AtomicU64::new(0), response.chunk()).await
    }

    /// Waits for `work`. Fails if `moved` does not change within the idle limit.
    async fn watch<T>(
        &self,
        what: &str,
        moved: &AtomicU64,
        work: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, RegistryError> {
        let mut work = std::pin::pin!(work);
        let mut seen = moved.load(Ordering::Relaxed);
        loop {
            match tokio::time::timeout(self.timeouts.idle, work.as_mut()).await {
                Ok(Ok(done)) => return Ok(done),
                // Without the address: its query may hold a lease, and `url` names the registry.
                Ok(Err(error)) => return Err(self.broken(what, error.without_url())),
                Err(_) => {}
            }
            let now = moved.load(Ordering::Relaxed);
            if now == seen {
                return Err(RegistryError::Stalled {
                    url: self.address.clone(),
                    what: what.to_owned(),
                    idle: self.timeouts.idle,
                });
            }
            seen = now;
        }
    }

    /// Returns the client for an address.
    fn client_to(&self, what: &str, url: &Url) -> Result<&Client, RegistryError> {
        if url.scheme() == self.base.scheme() {
            return Ok(&self.client);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = client(url, &self.timeouts).build();
        let client = client.map_err(|error| self.broken(what, error))?;
        Ok(self.secure.get_or_init(|| client))
    }

    fn broken(&self, what: &str, source: reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { url: self.address.clone(), what: what.to_owned(), source }
    }

    fn next_hop(&self, what: &str, from: &Url, answer: &Response) -> Result<Url, RegistryError> {
        let bad = |why: &str| RegistryError::Protocol { what: what.into(), why: why.into() };
        let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = to.and_then(|to| from.join(to).ok());
        let to = to.ok_or_else(|| bad("a redirect without a valid address"))?;
        match (from.scheme(), to.scheme()) {
            (_, "https") | ("http", "http") => Ok(to),
            _ => Err(bad("a redirect to an address that is not encrypted")),
        }
    }

    /// Returns the error of a refusal, read from the problem document if there is one.
    async fn refusal(
        &self,
        what: &str,
        asked: RequestContext,
        response: Response,
    ) -> RegistryError {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = self.read(what, response, PROBLEM_LEN_MAX).await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => {
                RegistryError::Problem { problem: Box::new(problem), asked, retry_after }
            }
            Err(_) => RegistryError::Status {
                url: self.address.clone(),
                what: what.to_owned(),
                status,
                retry_after,
            },
        }
    }
}

/// Streams the body in pieces, counting each piece as it is taken.
fn watched(body: Bytes, moved: Arc<AtomicU64>) -> reqwest::Body {
    let pieces = futures::stream::unfold((body, moved), |(mut rest, moved)| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(UPLOAD_PIECE_LEN));
        moved.fetch_add(1, Ordering::Relaxed);
        Some((Ok::<_, std::convert::Infallible>(piece), (rest, moved)))
    });
    reqwest::Body::wrap_stream(pieces)
}

/// Parses `Retry-After` in seconds. A date would need a clock that agrees with the registry's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn is_same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Prepares a client for the registry at `base`.
fn client(base: &Url, timeouts: &Timeouts) -> ClientBuilder {
    let client = Client::builder()
        .user_agent(USER_AGENT)
        .http1_only() // HTTP/2 is far slower: packs would share the window of one connection
        .redirect(redirect::Policy::none()) // `send` follows redirects of GET, and drops the token
        .connect_timeout(timeouts.connect)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        // Sooner than the server: a request sent while the server closes would be lost.
        .pool_idle_timeout(IDLE_CONNECTION_TIME_MAX)
        .tcp_nodelay(true);
    if is_loopback(base) { client.no_proxy() } else { client }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
