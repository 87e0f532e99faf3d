//! The OpenAPI document, generated from the handlers so that the two cannot disagree.

use seawall_api::problem::Problem;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::audit::{log, quotas, webhooks};
use super::content::{chunks, descriptors, indexes, leases, packs};
use super::maintenance::{backup, collect, damage, fsck, jobs};
use super::mirrors;
use super::releases::{applications, channels, diff, published};
use super::retention::{hosts, pins, policies};
use super::tokens;
use crate::http::meta::{self, pages};
use failures::Failures;

mod failures;

/// The description of the parameter `application`.
pub(super) const APPLICATION: &str = "The application's name, with `/` encoded as `%2F`";
/// The description of the header If-None-Match.
pub(super) const KNOWN_TAGS: &str = "The entity tags of copies the client has";
/// The description of status 304.
pub(super) const NOT_MODIFIED: &str = "The client's copy is current";

#[derive(OpenApi)]
#[openapi(
    info(title = "Seawall registry API", description = "Stores, publishes and serves releases of \
         virtual machine images. Errors are problem documents (RFC 9457) with a closed table of \
         codes."),
    tags(
        (name = "meta", description = "Version, health, metrics and this document"),
        (name = "applications", description = "Applications and their quotas"),
        (name = "releases", description = "Releases: publishing, reading, comparing, pinning and \
             deleting"),
        (name = "channels", description = "Channels: names that move from release to release"),
        (name = "retention", description = "Policies that decide which releases to delete"),
        (name = "hosts", description = "Hosts and the releases they run"),
        (name = "leases", description = "Protection of the objects of a push or pull from \
             collection"),
        (name = "chunks", description = "Chunks: pieces of disks, stored once and located in \
             packs"),
        (name = "packs", description = "Packs: immutable files of compressed chunks"),
        (name = "indexes", description = "Indexes and leaves: the layout of disks in chunks"),
        (name = "descriptors", description = "Original descriptors, such as OVF documents"),
        (name = "collection", description = "Removal of objects that no release needs"),
        (name = "fsck", description = "Checks of the whole registry, known damage, repair and \
             backup"),
        (name = "jobs", description = "The status of long work, the same from every process"),
        (name = "audit", description = "The audit log"),
        (name = "webhooks", description = "Delivery of events to URLs"),
        (name = "mirrors", description = "Standing orders to copy releases from or to another \
             registry"),
        (name = "tokens", description = "Access tokens that the registry keeps")
    ),
    paths(
        meta::version, meta::healthz, meta::readyz, meta::metrics, pages::document,
        applications::list, applications::read,
        published::list, published::publish, published::read, published::delete,
        pins::holders, pins::list, pins::pin, pins::unpin,
        hosts::list, hosts::report, hosts::forget,
        policies::policies, policies::set_policy, policies::set_channel_policy,
        policies::plan, policies::apply,
        channels::list, channels::read, channels::advance, channels::history,
        leases::open, leases::renew, leases::end,
        chunks::missing_chunks, chunks::locate, chunks::missing_leaves,
        indexes::read_leaf, indexes::put_leaf, indexes::read_index, indexes::find_index,
        indexes::put_index,
        descriptors::read, descriptors::put,
        packs::read, packs::upload, diff::diff,
        collect::status, collect::start, collect::stop, collect::plan, collect::usage,
        fsck::read, fsck::begin, fsck::stop, damage::damage, damage::damage_of, damage::put_document,
        backup::backup, jobs::list, jobs::stop,
        log::list, quotas::read, quotas::set,
        webhooks::list, webhooks::add, webhooks::remove, webhooks::deliveries,
        mirrors::list, mirrors::add, mirrors::read, mirrors::remove, mirrors::run,
        tokens::list, tokens::create, tokens::revoke
    ),
    components(schemas(Problem, seawall_api::v1::WebhookMessage)),
    modifiers(&Failures, &Bearer, &Heads),
    security(("token" = []))
)]
struct Api;

/// Returns the OpenAPI document, pretty-printed, with a trailing newline.
#[must_use]
pub fn openapi_json() -> String {
    // Strings and maps: cannot fail.
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// A modifier: adds the security scheme of tokens.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut Document) {
        let description = "A token of the registry: from its token file, or created with `POST /v1/tokens`. Not \
             needed if the registry was started without tokens.";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        let components = api.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// A modifier: adds HEAD operations, as a HEAD is a GET without the body.
struct Heads;

/// The resources with a HEAD operation.
const HEADS: [&str; 5] = [
    "/v1/applications/{application}/releases/{selector}",
    "/v1/leaves/{leaf}",
    "/v1/indexes/{index}",
    "/v1/descriptors/{descriptor}",
    "/v1/packs/{pack}",
];

impl Modify for Heads {
    fn modify(&self, api: &mut Document) {
        for path in HEADS {
            let Some(item) = api.paths.paths.get_mut(path) else { continue };
            let Some(mut head) = item.get.clone() else { continue };
            head.operation_id = head.operation_id.map(|id| format!("head_{id}"));
            for response in head.responses.responses.values_mut() {
                if let utoipa::openapi::RefOr::T(response) = response {
                    response.content.clear();
                }
            }
            item.head = Some(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::frame::Access;
    use crate::http::v1;

    /// The declared access of each operation: the API's own, and those of no version.
    fn declared() -> BTreeMap<(String, String), Access> {
        let resources = v1::resources().into_iter().chain(meta::resources());
        let routes = resources.flat_map(|resource| resource.declared().collect::<Vec<_>>());
        routes.map(|(path, method, access)| ((path, method.to_lowercase()), access)).collect()
    }

    #[test]
    fn every_resource_with_a_head_has_one() {
        let api: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        for path in HEADS {
            assert!(api["paths"][path]["head"].is_object(), "{path}");
        }
    }

    #[test]
    fn operations_are_the_routes_and_say_which_are_open() {
        let api: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        let mut declared = declared();
        for (path, item) in api["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let access = declared.remove(&(path.clone(), method.clone()));
                let access = access.unwrap_or_else(|| panic!("no route for {method} {path}"));
                let is_open = operation["security"] == serde_json::json!([{}]);
                assert_eq!(is_open, access == Access::Open, "{method} {path}");
            }
        }
        let pages =
            ["/", "/docs", "/docs/{file:.*}"].map(|path| (path.to_owned(), "get".to_owned()));
        assert_eq!(declared.into_keys().collect::<Vec<_>>(), pages, "only pages are no operations");
    }
}
