//! The harness of the black-box tests: real processes, real disks, real peers.
//!
//! The product does not use this crate, and the crate uses the binary only as a person at a shell
//! does. A test creates a [`World`], builds disks in it, runs `seawall`, and compares bytes with
//! independent tools (`cmp`, `b3sum`, `qemu-img`).
//!
//! # Invariants
//!
//! 1. A test touches its own [`World`] only: home, configuration, state, registry and port.
//! 2. Random data has a fixed seed, so that a failure is reproducible.
//! 3. No process outlives the test that started it, and every process has a time limit.

// A harness fails by panicking, and it is the composition root of every test.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::missing_panics_doc)]

mod balancer;
mod binary;
mod bucket;
mod bytes;
mod disk;
pub mod ec2;
mod fault;
mod gate;
mod port;
mod postgres;
mod proxy;
mod receiver;
mod referee;
mod registry;
mod relay;
mod run;
mod terminal;
mod tool;
mod web;
mod world;

pub use balancer::{Balancer, InRotation, in_rotation};
pub use binary::binary;
pub use bucket::CephBucket;
pub use bytes::{Noise, b3sum, flip_bit, holds_bytes, same_bytes, truncate};
pub use disk::{Tree, dos63, ext4, gpt, qcow2, raw};
pub use fault::can_mount;
pub use gate::{Gate, Harm};
pub use port::free_ports;
pub use postgres::Postgres;
pub use proxy::{Answer, Proxy, ProxyRequest};
pub use receiver::{Received, Receiver};
pub use registry::{Registry, object_files};
pub use relay::Relay;
pub use run::{Done, Run, Started, peak_memory_kib};
/// A signal for [`Started::signal`].
pub use rustix::process::Signal;
pub use terminal::Drawn;
pub use tool::{exists, tool};
pub use web::WebServer;
pub use world::World;

/// Bytes of a MiB.
pub const MIB: u64 = 1 << 20;
/// Bytes of a KiB.
pub const KIB: u64 = 1 << 10;
