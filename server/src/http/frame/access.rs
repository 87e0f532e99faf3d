//! Authentication of requests, and the access that routes require.

use std::cell::OnceCell;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use seawall_api::names::{ApplicationName, ApplicationPattern, InvalidName};

use super::body::drain;
use super::{Edge, Refusal};
use crate::app::model::Role;
use crate::tokens::{Identity, Unidentified};

/// The access that a route requires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Access {
    /// No token, and no rate limit: for endpoints of load balancers, and for the API's own
    /// description, which reveals nothing about this registry.
    Open,
    /// A token of any role: for reads, queries with a body, leases and reports of hosts. Handlers
    /// that decide by the request's contents call [`Actor::publishes`] and [`Actor::check`].
    Reader,
    /// A token of any role that is not limited to applications: for reads about the whole registry.
    Auditor,
    /// A publisher's token.
    Publisher,
    /// A publisher's token that is not limited to applications: for changes of the registry itself.
    Operator,
}

/// The holder of a request's token. The name is empty without authentication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    pub(crate) name: String,
    role: Option<Role>,
    /// The applications that the token is limited to; empty for no limit.
    applications: Vec<ApplicationPattern>,
}

impl Actor {
    /// Fails for a reader.
    pub(crate) fn publishes(&self) -> Result<(), Refusal> {
        match self.role {
            Some(Role::Reader) => Err(Refusal::OnlyReads { token: self.name.clone() }),
            Some(Role::Publisher) | None => Ok(()),
        }
    }

    /// Returns true if the token covers an application.
    pub(crate) fn covers(&self, application: &ApplicationName) -> bool {
        ApplicationPattern::permit(&self.applications, application)
    }

    /// Fails unless the token covers an application; `None` stands for the registry itself.
    pub(crate) fn check(&self, application: Option<&ApplicationName>) -> Result<(), Refusal> {
        let is_covered = match application {
            Some(application) => self.covers(application),
            None => self.applications.is_empty(),
        };
        if is_covered {
            return Ok(());
        }
        let application = application.cloned();
        Err(Refusal::OutOfScope { token: self.name.clone(), application })
    }

    /// Returns the actor of a request. `None` before the request is admitted.
    pub(super) fn of(request: &impl HttpMessage) -> Option<Self> {
        request.extensions().get::<Admitted>()?.0.get().cloned()
    }
}

/// A place for the actor, filled when the request is admitted. The frame reads the place after the
/// answer, for the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted(Rc<OnceCell<Actor>>);

impl Admitted {
    /// Returns the actor's name, empty if the request was not admitted.
    pub(super) fn name(&self) -> &str {
        self.0.get().map_or("", |actor| &actor.name)
    }
}

impl FromRequest for Actor {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let unknown = || ErrorInternalServerError("the request was not authenticated");
        ready(Self::of(request).ok_or_else(unknown))
    }
}

/// Runs a handler if the request has the required access and is within the rates.
pub(super) async fn admitted(
    access: Access,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let edge = request.app_data::<web::Data<Edge>>().cloned();
    let edge = edge.ok_or_else(|| ErrorInternalServerError("the registry is not configured"))?;
    let admitted = match authorize(access, &request, &edge).await {
        Ok(actor) if access == Access::Open => Ok(actor),
        Ok(actor) => edge.limiter.admit(&request, &actor.name).map(|()| actor),
        Err(refusal) => Err(edge.limiter.refuse(&request, refusal)),
    };
    match admitted {
        Ok(actor) => {
            if let Some(Admitted(place)) = request.extensions().get() {
                let _ = place.set(actor);
            }
            next.call(request).await
        }
        Err(refusal) => Ok(refuse(request, refusal, &edge).await),
    }
}

/// Answers a request with a refusal, after reading what its body may have.
pub(super) async fn refuse(
    request: ServiceRequest,
    refusal: Refusal,
    edge: &Edge,
) -> ServiceResponse<BoxBody> {
    let (request, mut payload) = request.into_parts();
    drain(&request, &mut payload, &edge.metrics).await;
    let response = HttpResponse::from_error(edge.voice.refuse(refusal));
    ServiceResponse::new(request, response)
}

/// Authenticates a request and checks its permission.
async fn authorize(
    access: Access,
    request: &ServiceRequest,
    edge: &Edge,
) -> Result<Actor, Refusal> {
    let value = request.headers().get(header::AUTHORIZATION);
    let secret = value.and_then(|value| value.to_str().ok()?.split_once(' '));
    let secret = secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = secret.map(|(_, secret)| secret.trim());
    if let Some(name) = secret.and_then(|secret| edge.grants.actor(secret)) {
        return Ok(Actor { name, role: Some(Role::Publisher), applications: Vec::new() });
    }
    let Some(tokens) = edge.authentication.as_ref().filter(|_| access != Access::Open) else {
        return Ok(Actor::default());
    };
    let secret = secret.ok_or(match value {
        None => Refusal::NoToken,
        Some(_) => Refusal::Unidentified(Unidentified::Unknown),
    })?;
    if !tokens.knows(secret) {
        edge.limiter.check_refused(request)?;
    }
    let Identity { name, role, applications } =
        tokens.identify(secret).await.map_err(Refusal::Unidentified)?;
    let actor = Actor { name, role: Some(role), applications };
    if matches!(access, Access::Publisher | Access::Operator) {
        actor.publishes()?;
    }
    if matches!(access, Access::Auditor | Access::Operator) {
        actor.check(None)?;
    }
    if let Some(segment) = request.match_info().get(APPLICATION) {
        // A name that does not parse belongs to no application. The handler refuses it.
        actor.check(parsed(segment).ok().as_ref())?;
    }
    Ok(actor)
}

/// The parameter of routes that are about one application.
const APPLICATION: &str = "application";

/// Parses the name of an application as it stands in a path.
fn parsed(segment: &str) -> Result<ApplicationName, InvalidName> {
    // The only character of a name that a path encodes.
    segment.replace("%2F", "/").replace("%2f", "/").parse()
}
