//! The wire: signed requests, repeated where that helps.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::HttpRequestBody;

use super::names::{Class, class, kind};
use super::pace::Pace;
use super::query::error_of_xml;
use super::{CloudError, Settings};
use crate::error::ErrorKind;

/// The time in which a connection is made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The time of one request: a block at 50 kbit/s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);
/// The time for which a throttled request is repeated.
const THROTTLED_TIME_MAX: Duration = Duration::from_secs(600);
/// The time for which a failed request is repeated.
const FAILED_TIME_MAX: Duration = Duration::from_secs(120);
/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// The maximum length of an answer, in bytes.
const ANSWER_LEN_MAX: usize = 32 << 20;

/// The way to the services of a region.
pub(super) struct Wire {
    http: reqwest::Client,
    credentials: AwsCredentialProvider,
    region: String,
    endpoint: Option<String>,
    pace: Pace,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The service, as in the names of hosts.
    pub(super) service: &'static str,
    /// The call and its object, for messages.
    pub(super) name: String,
    pub(super) method: Method,
    /// The path with its query.
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// False for a body that a signed header names the digest of.
    pub(super) is_body_signed: bool,
}

/// An answer of success.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A failed attempt.
enum Attempt {
    Again(Class, CloudError),
    Failed(CloudError),
}

impl Wire {
    pub(super) fn new(settings: &Settings) -> Result<Self, CloudError> {
        let region = settings.region.0.clone();
        let setting =
            |what: String, remedy: &str| CloudError::Setting { what, remedy: remedy.to_owned() };
        let endpoint = settings.endpoint.as_deref().map(|text| {
            checked(text).ok_or_else(|| {
                let what = format!("`{}` is no address of the API", text.escape_debug());
                setting(what, "write https://HOST[:PORT]; http:// is for this host only")
            })
        });
        let endpoint = endpoint.transpose()?;
        let credentials = settings.environment.credentials(&region).map_err(|error| {
            let remedy = "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither";
            setting(format!("the credentials cannot be used: {error}"), remedy)
        })?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("seawall/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(REQUEST_TIME_MAX)
            .tcp_nodelay(true);
        let is_local = endpoint.as_deref().is_some_and(|it| it.starts_with("http://"));
        let http = if is_local { http.no_proxy() } else { http };
        let http = http.build().map_err(|_| CloudError::Defect)?;
        Ok(Self { http, credentials, region, endpoint, pace: Pace::default() })
    }

    /// Sends a request until it is answered.
    ///
    /// # Errors
    /// Fails with the provider's refusal, or once a failure has lasted for too long.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, CloudError> {
        let begun = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            let (class, error) = match self.attempt(call).await {
                Ok(reply) => return Ok(reply),
                Err(Attempt::Failed(error)) => return Err(error),
                Err(Attempt::Again(class, error)) => (class, error),
            };
            let time_max = match class {
                Class::Throttled => THROTTLED_TIME_MAX,
                _ => FAILED_TIME_MAX,
            };
            if begun.elapsed() + pause > time_max {
                return Err(error);
            }
            tracing::info!(call = call.name, %error, "repeats a call");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Reply, Attempt> {
        let is_paced = call.service == "ebs";
        let permit = if is_paced { Some(self.pace.permit().await) } else { None };
        let outcome = self.once(call).await;
        drop(permit);
        match &outcome {
            Ok(_) if is_paced => self.pace.served(),
            Err(Attempt::Again(Class::Throttled, _)) if is_paced => {
                self.pace.throttled(Instant::now());
            }
            _ => {}
        }
        outcome
    }

    async fn once(&self, call: &Call) -> Result<Reply, Attempt> {
        let request = self.signed(call).await.map_err(Attempt::Failed)?;
        let lost = |source: reqwest::Error| {
            let error = CloudError::Unreachable { call: call.name.clone(), source: source.into() };
            Attempt::Again(Class::Transient, error)
        };
        let mut response = self.http.execute(request).await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if body.len() + piece.len() > ANSWER_LEN_MAX {
                let why = format!("it has more than {ANSWER_LEN_MAX} bytes");
                return Err(Attempt::Failed(CloudError::Answer { call: call.name.clone(), why }));
            }
            body.extend_from_slice(&piece);
        }
        let reply = Reply { headers, body: body.freeze() };
        if status.is_success() {
            return Ok(reply);
        }
        let (name, message) = named(call, &reply);
        let class = class(status.as_u16(), &name);
        let error = refused(call, status.as_u16(), (name, message));
        Err(match class {
            Class::Final => Attempt::Failed(error),
            class => Attempt::Again(class, error),
        })
    }

    /// Signs a request, anew for each attempt because a signature holds the time.
    async fn signed(&self, call: &Call) -> Result<reqwest::Request, CloudError> {
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => host(call.service, &self.region),
        };
        let invalid = |why: String| CloudError::Answer { call: call.name.clone(), why };
        let mut request = http::Request::new(HttpRequestBody::from(call.body.clone()));
        *request.method_mut() = call.method.clone();
        let address = format!("{base}{}", call.target);
        *request.uri_mut() = address.parse().map_err(|_| invalid("a bad address".into()))?;
        for (name, value) in &call.headers {
            let value = HeaderValue::from_str(value).map_err(|_| invalid((*name).into()))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let credential =
            self.credentials.get_credential().await.map_err(|source| CloudError::Refused {
                call: call.name.clone(),
                name: "NoCredentials".to_owned(),
                message: source.to_string(),
                kind: ErrorKind::Denied,
                remedy: kind(403, "AccessDenied").1,
            })?;
        AwsAuthorizer::new(&credential, call.service, &self.region)
            .with_sign_payload(call.is_body_signed)
            .try_authorize(&mut request, None)
            .map_err(|error| invalid(error.to_string()))?;
        let (parts, _) = request.into_parts();
        let request = self.http.request(parts.method, address).headers(parts.headers);
        request.body(call.body.clone()).build().map_err(|error| invalid(error.to_string()))
    }
}

/// Returns the address of a service.
fn host(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

/// Returns an address without a path; in the clear only on this host.
fn checked(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let is_local =
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    let is_bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    (is_safe && is_bare).then(|| text.trim_end_matches('/').to_owned())
}

/// Returns a pause of half to all of its length, so that requests do not repeat together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1000;
    pause / 2 + pause / 2 * u32::try_from(random).unwrap_or(0) / 1000
}

/// Returns the name and the message of a refusal, in either protocol.
fn named(call: &Call, reply: &Reply) -> (String, String) {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    if let Some(found) = error_of_xml(&text) {
        return found;
    }
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let header = reply.headers.get("x-amzn-errortype").and_then(|it| it.to_str().ok());
    let of_body = ["__type", "code", "Code"].iter().find_map(|name| body[*name].as_str());
    // As in `ValidationException:http://…` and `com.amazon.ebs#ValidationException`.
    let name = header.or(of_body).unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().to_owned();
    let of_body = ["message", "Message"].iter().find_map(|name| body[*name].as_str());
    let mut message = of_body.unwrap_or_default().to_owned();
    if let Some(reason) = body["Reason"].as_str().filter(|it| !it.is_empty()) {
        message.push_str(&format!(" ({reason})"));
    }
    if message.is_empty() {
        message = format!("{} failed", call.name);
    }
    (name, message)
}

fn refused(call: &Call, status: u16, (name, message): (String, String)) -> CloudError {
    let (kind, remedy) = kind(status, &name);
    let name = if name.is_empty() { format!("status {status}") } else { name };
    CloudError::Refused { call: call.name.clone(), name, message, kind, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_encrypted_or_on_this_host() {
        for text in ["http://example.org", "ftp://x", "https://x/path", "https://u@x", "x", ""] {
            assert_eq!(checked(text), None, "{text}");
        }
        for text in ["https://example.org", "http://127.0.0.1:5000/", "http://[::1]:1"] {
            assert_eq!(checked(text).as_deref(), Some(text.trim_end_matches('/')), "{text}");
        }
    }
}
