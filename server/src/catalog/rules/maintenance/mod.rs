//! Checks of the registry: progress, damage, and the rows to compare with the store.

pub(in crate::catalog) mod checks;
pub(in crate::catalog) mod damage;
pub(in crate::catalog) mod identity;
pub(in crate::catalog) mod jobs;
pub(in crate::catalog) mod needs;
pub(in crate::catalog) mod relocation;
pub(in crate::catalog) mod rows;
