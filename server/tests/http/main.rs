//! The registry over HTTP: each test starts a real one on a port and a directory of its own.
#![allow(unreachable_pub)] // one binary: nothing here is reachable from anywhere
#![allow(clippy::unwrap_used)] // a test that fails may panic, its helpers too
#![allow(clippy::cast_possible_truncation)] // of constants

mod audit;
mod channels;
mod descriptors;
mod diff;
mod edge;
mod fixture;
mod lifecycle;
mod openapi;
mod openapi_answers;
mod packs;
mod pipeline;
mod rebuild;
mod releases;
mod retention;
mod roles;
mod world;
