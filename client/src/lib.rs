//! Seawall's flows as a library: what the binary `seawall` does, without a terminal.
//!
//! `bin → flow → port`: a flow sees the registry through [`registry::Registry`] alone.

pub mod progress;
pub mod registry;
pub mod spec;

pub use seawall_store::error::ErrorKind;
