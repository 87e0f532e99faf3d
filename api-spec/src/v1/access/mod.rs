//! Access to a registry: tokens.

pub(super) mod tokens;
