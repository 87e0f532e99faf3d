//! The commands on disk images and packages that need no registry: `seawall convert` and `inspect`.

pub(super) mod convert;
mod package;
