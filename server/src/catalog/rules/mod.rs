//! The rules of the registry over the statements of a transaction ([`Tx`](super::tx::Tx)).
//!
//! A function here is a part of a transaction, never a whole one: `verbs` compose them. No file of
//! this folder names a database.

pub(super) mod access;
pub(super) mod audit;
pub(super) mod collect;
pub(super) mod content;
pub(super) mod maintenance;
pub(super) mod mirrors;
pub(super) mod releases;
pub(super) mod retention;
