//! Authentication and authorization of requests.

use actix_web::dev::ServiceRequest;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use seawall_api::problem::Code;
use std::future::{Ready, ready};

use super::Edge;
use super::problem::ApiError;
use crate::tokens::Role;

/// Paths open without a token: the endpoints of load balancers, and the API's own description,
/// which reveals nothing about this registry.
const OPEN: [&str; 4] = ["/", "/healthz", "/readyz", "/v1/openapi.json"];
const OPEN_FOLDER: &str = "/docs";
/// Paths where a reader may use writing methods: queries with a body, leases to pull
/// ([`Actor::publishes`] refuses leases to push), and reports of hosts.
const OPEN_TO_READERS: [&str; 3] = ["/v1/chunks/locate", "/v1/leases", "/v1/hosts"];

/// The name and the role of a request's token. The name is empty without authentication.
#[derive(Clone, Debug, Default)]
pub(super) struct Actor(pub(super) String, Option<Role>);

impl Actor {
    /// Fails for a reader. For handlers that decide by the request's contents.
    pub(super) fn publishes(&self) -> Result<(), ApiError> {
        match self.1 {
            Some(Role::Reader) => Err(only_reads(&self.0)),
            Some(Role::Publisher) | None => Ok(()),
        }
    }
}

fn only_reads(name: &str) -> ApiError {
    let remedy = "use a token whose role is publisher".to_owned();
    ApiError::new(Code::Denied, format!("token `{name}` may only read")).with_remedy(remedy)
}

/// Returns true if `path` is, or lies below, a path in [`OPEN_TO_READERS`].
fn is_open_to_readers(path: &str) -> bool {
    OPEN_TO_READERS.iter().any(|open| {
        path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl FromRequest for Actor {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().cloned().unwrap_or_default()))
    }
}

/// The name of a publisher's token. A handler with this extractor never runs for a reader, even if
/// the path was spelled to evade [`admit`].
#[derive(Clone, Debug)]
pub(super) struct Publishing(pub(super) String);

impl FromRequest for Publishing {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let actor = request.extensions().get::<Actor>().cloned();
        let unknown = || ApiError::new(Code::Internal, "the request was not authenticated");
        let admitted = actor.ok_or_else(unknown).and_then(|actor| {
            actor.publishes()?;
            Ok(Self(actor.0))
        });
        ready(admitted.map_err(Into::into))
    }
}

/// Returns the path that a request is routed by, with the escapes of plain letters decoded.
///
/// Checks must compare this path, as the client controls the raw spelling.
pub(super) fn routed_path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
        || path
            .strip_prefix(OPEN_FOLDER)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Authenticates a request and checks its permission.
pub(super) fn admit(request: &ServiceRequest, edge: &Edge) -> Result<Actor, ApiError> {
    let Some(tokens) = &edge.tokens else { return Ok(Actor::default()) };
    let tokens = tokens.now();
    let path = routed_path(request);
    if is_open(path) {
        return Ok(Actor::default());
    }
    let unknown = |detail| {
        ApiError::new(Code::Unauthenticated, detail)
            .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"seawall\"".to_owned())
            .with_remedy("send `Authorization: Bearer TOKEN`".to_owned())
    };
    let value = request.headers().get(header::AUTHORIZATION);
    let Some(value) = value else { return Err(unknown("the request has no token")) };
    let secret = value.to_str().ok().and_then(|text| text.split_once(' '));
    let secret = secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((name, role)) = secret.and_then(|(_, secret)| tokens.find(secret.trim())) else {
        return Err(unknown("the request's token is unknown"));
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) || is_open_to_readers(path);
    if role == Role::Reader && !reads {
        return Err(only_reads(name));
    }
    Ok(Actor(name.to_owned(), Some(role)))
}
