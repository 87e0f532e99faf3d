//! The commands that make and use releases, from `seawall push` to `export`.

pub(super) mod copy;
pub(super) mod describe;
pub(super) mod export;
mod following;
pub(super) mod patch;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod verify;
