//! The commands that show what a registry has, and `seawall promote`, which shares the channels.

pub(super) mod channels;
pub(super) mod diff;
pub(super) mod list;
pub(super) mod show;
