//! What runs beside requests, on threads of its own: use cases that take minutes.

pub(crate) mod collect;
pub(crate) mod deliver;
