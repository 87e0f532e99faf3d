//! Seawall's flows as a library: what the binary `seawall` does, without a terminal.
//!
//! `bin → flow → port`: a flow sees the registry through [`registry::Registry`] alone.

pub mod error;
pub mod fetch;
pub mod host;
pub mod progress;
pub mod push;
pub mod registry;
pub mod spec;
