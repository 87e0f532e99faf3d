//! The registry as the flows see it: a port, its HTTP adapter and a wrapper that retries.
//!
//! Every call is one question to the registry, and no answer is cached.
//!
//! # Invariants
//!
//! 1. A release, index or leaf returned by this module matches the requested digest. A mismatch is
//!    an error ([`RegistryError::WrongBytes`]), never a value.
//! 2. Every answer is bounded by a named limit before it is held in memory ([`http`]).
//! 3. The bearer token goes to the registry's own origin and nowhere else.
//! 4. Ports have no default methods, and [`retry`] forwards each method by name.

mod asked;
mod error;
pub mod fleet;
pub mod http;
mod obstacle;
pub mod pages;
mod port;
pub mod retry;
mod upkeep;
pub mod watch;

pub use asked::Asked;
pub use error::RegistryError;
pub use fleet::Fleet;
pub use http::{HttpRegistry, InvalidUrl, Token, TokenError};
pub use pages::Pages;
pub use port::{Expect, Located, Registry};
pub use retry::{Retry, RetryPolicy};
pub use upkeep::Upkeep;
pub use watch::{AuditFilter, Watching};
