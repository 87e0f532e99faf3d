//! Seawall's flows as a library: what the binary `seawall` does, without a terminal.
//!
//! `bin → flow → port`: a flow sees the registry through [`registry::Registry`] alone.

pub mod audit;
pub mod convert;
pub mod deploy;
pub mod describe;
pub mod directory;
pub mod disk;
pub mod error;
pub mod export;
pub mod fetch;
pub mod folder;
pub mod hold;
pub mod host;
pub mod inspect;
pub mod ovf;
pub mod patch;
pub mod plain;
pub mod progress;
pub mod pull;
pub mod push;
pub mod registry;
pub mod remote;
pub mod repair;
pub mod room;
pub mod spec;
pub mod verify;
