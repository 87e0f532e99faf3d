//! The commands on hosts and the releases they run: `seawall status`, `report` and `hosts`.

mod list;
pub(super) mod report;
pub(super) mod status;

pub(super) use list::{forget, list};
