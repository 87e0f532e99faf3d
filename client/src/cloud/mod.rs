//! Clouds: releases as images that a provider of virtual machines starts, and back.
//!
//! ```text
//! release → plan (blocks that differ from a volume there) → send → register → ledger
//! ```
//!
//! A *volume* holds the bytes of one disk at a provider (an EBS snapshot), an *image* starts one
//! machine (an AMI). The flows here know no provider: they reach it through [`Cloud`]. A provider
//! is a folder with an implementation of that trait; [`ec2`] is the first.
//!
//! # Invariants
//!
//! 1. A volume or an image is looked for before it is made, by the tags in [`Origin`]. A lost
//!    answer makes no second one.
//! 2. An image is registered once all of its volumes are complete.
//! 3. Every step may be repeated. A flow that was killed goes on where it was.
//! 4. Only objects with our tags are changed or removed.

mod blocks;
pub mod ec2;
mod error;
mod manage;
mod origin;
mod plan;
mod port;
mod publish;
mod report;
mod send;

pub use error::CloudError;
pub use manage::{ChangeReport, StatusReport, change, remove, status};
pub use origin::Origin;
pub use port::{Change, Cloud, Image, ImageSpec, Place, State, Volume, VolumeSpec};
pub use publish::{Publish, publish};
pub use report::{Cost, DiskReport, ImageReport, PublishReport};
