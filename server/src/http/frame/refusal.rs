//! Refusals of the frame, and the port to the protocol that renders them.

use std::fmt;
use std::io;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use seawall_api::names::ApplicationName;

use crate::tokens::Unidentified;

/// The reason why the frame refuses a request.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A part of the head is longer than its limit, in bytes.
    HeadTooLong { part: &'static str, limit: usize },
    /// A registry without tokens is addressed by a name that is not a loopback name.
    NotLoopback,
    /// The request has no token.
    NoToken,
    /// The request's token identifies nobody.
    Unidentified(Unidentified),
    /// The token's role does not permit the request.
    OnlyReads { token: String },
    /// The token is limited to applications, and the request is about another one, or about the
    /// registry itself if `application` is `None`.
    OutOfScope { token: String, application: Option<ApplicationName> },
    /// The rate of a token or an application is exceeded. A request after `wait` succeeds.
    RateExceeded { whose: String, per_sec: u32, wait: Duration },
    /// The body is longer than its limit, in bytes.
    BodyTooLong { limit: usize },
    /// The body arrives below the minimum pace.
    BodyTooSlow,
    /// The body ended early.
    BodyIncomplete { why: String },
    /// No memory for the body became free in time.
    NoMemory { waited: Duration },
    /// The registry is stopping.
    Stopping,
    /// The file of a slow body cannot be written or read.
    Spool(io::Error),
    /// The process has no edge.
    Unconfigured,
}

/// The form of errors in a protocol.
///
/// The frame is the same for every protocol. A protocol brings its voice.
pub(crate) trait Voice: fmt::Debug + Send + Sync {
    /// Returns the error that answers a refused request.
    fn refuse(&self, refusal: Refusal) -> actix_web::Error;
    /// Returns the error that answers a request whose handler failed without an answer.
    fn fail(&self, request_id: &str) -> actix_web::Error;
    /// Gives an error answer its final form and logs its cause. Returns the error's code, for the
    /// metrics, as well.
    fn complete(
        &self,
        answer: ServiceResponse<BoxBody>,
        request_id: &str,
    ) -> (ServiceResponse<BoxBody>, &'static str);
}
