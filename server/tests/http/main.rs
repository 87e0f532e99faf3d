//! The registry over HTTP: each test starts a real registry on its own port and directory.
#![allow(unreachable_pub)] // one binary: nothing here is used elsewhere
#![allow(clippy::unwrap_used)] // tests and their helpers fail by panicking
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
mod tokens;
mod world;
