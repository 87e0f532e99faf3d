//! Export: a disk of a release as one file or down a pipe, or machines as an OVF package.
//!
//! Disks are read from the registry as they are written ([`crate::remote`]); there is no copy in
//! between. A pull keeps a directory that can be patched; what this makes is for other tools.
//!
//! # Invariants
//!
//! 1. A file appears under its name when it is whole and durable.
//! 2. What lies there already is not overwritten.

mod disk;
mod error;
mod original;
mod package;

pub use disk::{Export, ExportReport, Output, export};
pub use error::ExportError;
pub use package::{PackageFile, PackageKind, PackageReport, WritePackage, write_package};
