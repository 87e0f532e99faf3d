//! The HTTP edge: translates between HTTP and use cases.
//!
//! Decisions do not belong here. A handler parses, calls one use case and picks a status.
//!
//! | folder | is |
//! |---|---|
//! | `frame/` | the layers that every request passes, for any protocol |
//! | `voice/` | the form of errors in a protocol: problem documents |
//! | `extract/` | typed arguments of handlers: bodies, uploads, paths, preconditions |
//! | `v1/` | the resources of the API, a folder per subject, and the OpenAPI document |
//! | `meta/` | health, metrics and pages, which belong to no version of the API |
//!
//! # Invariants
//!
//! 1. Every error answer is a problem document with the request's id (`voice`).
//! 2. Every body, header, count and wait has a named limit ([`limits`]).
//! 3. Every route declares the access it requires (`frame/route`).
//! 4. No answer is held in memory as a whole, except documents with limits of their own.

use actix_web::web;

mod extract;
mod frame;
mod meta;
mod v1;
mod voice;

pub(crate) use extract::{Known, Ranged, Selected, configure};
pub use frame::limits;
pub(crate) use frame::{Access, Edge, Resource, Timed, at, edge, unmatched};
pub(crate) use meta::{OPENMETRICS, healthz};
pub(crate) use v1::answers::{IMMUTABLE, OCTETS, immutable};
pub use v1::openapi_json;
pub(crate) use voice::{ApiError, Problems};

/// Registers every route of the registry.
pub(crate) fn routes(cfg: &mut web::ServiceConfig) {
    extract::configure(cfg);
    for resource in meta::resources().into_iter().chain(v1::resources()) {
        resource.register(cfg);
    }
    cfg.default_service(frame::unmatched(meta::no_such_route));
}
