//! The registry as the flows see it: a port and its HTTP adapter.
//!
//! Every call is one question to the registry, and no answer is cached.
//!
//! # Invariants
//!
//! 1. A release, index or leaf returned by this module matches the requested digest. A mismatch is
//!    an error ([`RegistryError::WrongBytes`]), never a value.
//! 2. Every answer is bounded by a named limit before it is held in memory ([`http`]).
//! 3. The bearer token goes to the registry's own origin and nowhere else.
//! 4. Ports have no default methods.
//! 5. A request is repeated only if that is harmless, as the port's contract says.

mod context;
mod error;
pub mod http;
mod obstacle;
pub mod pages;
mod ports;

pub use context::RequestContext;
pub use error::RegistryError;
pub use http::{HttpRegistry, InvalidUrl, RetryPolicy, Token, TokenError};
pub use pages::Pages;
pub use ports::audit::AuditFilter;
pub use ports::{
    Audit, Expect, Maintenance, Mirrors, Reading, Registry, Retention, Tokens, Writing, audit,
    retention, tokens,
};
