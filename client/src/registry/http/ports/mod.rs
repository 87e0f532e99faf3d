//! The methods of the ports, one request each.

mod audit;
mod maintenance;
mod mirrors;
mod reading;
mod registry;
mod retention;
mod tokens;
mod writing;
