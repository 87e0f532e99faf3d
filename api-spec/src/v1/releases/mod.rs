//! Applications, their releases, and the channels that name them.

pub(super) mod applications;
pub(super) mod channels;
pub(super) mod diff;
pub(super) mod published;
