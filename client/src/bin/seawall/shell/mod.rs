//! The commands for your shell: completion, and the man pages.

pub(crate) mod complete;
pub(crate) mod generate;
