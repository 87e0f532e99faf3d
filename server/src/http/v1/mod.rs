//! The resources of the API, version 1: a folder per subject, a file per resource.
//!
//! Each file lists its routes with the access they require, then its handlers. A handler's
//! arguments are what its operation in the OpenAPI document takes.

use super::frame::Resource;

pub(super) mod answers;
mod audit;
mod content;
mod maintenance;
mod mirrors;
mod openapi;
mod releases;
mod retention;
mod tokens;

pub use openapi::openapi_json;

/// Returns the resources of all subjects.
pub(super) fn resources() -> Vec<Resource> {
    let files = [
        releases::applications::resources(),
        releases::channels::resources(),
        releases::diff::resources(),
        releases::published::resources(),
        retention::hosts::resources(),
        retention::pins::resources(),
        retention::policies::resources(),
        content::chunks::resources(),
        content::descriptors::resources(),
        content::indexes::resources(),
        content::leases::resources(),
        content::packs::resources(),
        audit::log::resources(),
        audit::quotas::resources(),
        audit::webhooks::resources(),
        maintenance::backup::resources(),
        maintenance::collect::resources(),
        maintenance::damage::resources(),
        maintenance::fsck::resources(),
        maintenance::jobs::resources(),
        mirrors::resources(),
        tokens::resources(),
    ];
    files.into_iter().flatten().collect()
}
