//! Exports a disk of a release to a file or a pipe, or machines as an OVF package.
//!
//! An export reads disks from the registry while it writes the output ([`crate::remote`]), without
//! an intermediate copy. A pull creates a directory for later patches; an export is for other
//! tools.
//!
//! # Invariants
//!
//! 1. A file appears under its name only when complete and durable.
//! 2. Existing files are not overwritten.

mod disk;
mod error;
mod hashing;
mod original;
mod package;

pub use disk::{Export, ExportReport, Output, export};
pub use error::ExportError;
pub use package::{PackageFile, PackageKind, PackageReport, WritePackage, write_package};
