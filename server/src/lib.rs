//! Seawall's registry: releases of virtual machine images over HTTP.
//!
//! `http → app → ports (catalog, store)`, joined by [`start`]. A registry serves one data
//! directory: `store/` holds packs, indexes and release documents as plain objects, and
//! `catalog.sqlite` holds names and state.

pub mod app;
pub mod catalog;
pub mod config;
pub mod courier;
pub mod host;
mod http;
mod jobs;
mod metrics;
mod own_file;
mod startup;
pub mod telemetry;
pub mod tokens;
mod upstream;

pub use app::maintenance::rebuild::{Damage, Rebuilt};
pub use app::maintenance::relocate::{Amount, Stage, Watch};
pub use app::room::MinFree;
pub use config::{Access, Config, Rate, Rates};
pub use http::{limits, openapi_json};
pub use startup::{
    CatalogAt, Home, Recovered, Relocate, Relocated, RelocationPlan, Running, StartError, StoreAt,
    abort_relocation, drill, plan_relocation, recover, relocate, start, start_with,
};
pub use upstream::{InvalidUpstream, UpstreamAt};
