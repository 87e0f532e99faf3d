//! Seawall's flows as a library: the functions of the binary `seawall`, without a terminal.
//!
//! `bin → flow → port`: a flow accesses the registry only through [`registry::Registry`].

pub mod audit;
pub mod bundle;
pub mod cloud;
pub mod convert;
pub mod copy;
pub mod deploy;
pub mod depot;
pub mod describe;
pub mod directory;
pub mod disk;
pub mod error;
pub mod export;
pub mod fetch;
pub mod folder;
mod hold;
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
pub mod resolve;
pub mod room;
pub mod spec;
#[cfg(test)]
mod testing;
pub mod verify;
