//! Background jobs: use cases that take minutes.

pub(crate) mod collect;
pub(crate) mod deliver;
