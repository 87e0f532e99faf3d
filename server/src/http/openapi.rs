//! The OpenAPI document, generated from the handlers so that the two cannot disagree.

use seawall_api::problem::{Code, MEDIA_TYPE, Problem};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{
    applications, audit, backup, channels, chunks, collect, descriptors, diff, fsck, hosts,
    indexes, leases, meta, packs, pins, quotas, releases, retention, webhooks,
};

/// The description of the parameter `application`.
pub(super) const APPLICATION: &str = "The application's name, with `/` encoded as `%2F`";
/// The description of the parameter `selector`.
pub(super) const SELECTOR: &str = "A version, a channel or a digest (`blake3:…`)";
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
        (name = "audit", description = "The audit log"),
        (name = "webhooks", description = "Delivery of events to URLs")
    ),
    paths(
        meta::version, meta::healthz, meta::readyz, meta::metrics, meta::document,
        applications::list, applications::read,
        releases::list, releases::publish, releases::read, releases::delete,
        pins::holders, pins::list, pins::pin, pins::unpin,
        hosts::list, hosts::report, hosts::forget,
        retention::policies, retention::set_policy, retention::set_channel_policy,
        retention::plan, retention::apply,
        channels::list, channels::read, channels::advance, channels::history,
        leases::open, leases::renew, leases::end,
        chunks::missing_chunks, chunks::locate, chunks::missing_leaves,
        indexes::read_leaf, indexes::put_leaf, indexes::read_index, indexes::find_index,
        indexes::put_index,
        descriptors::read, descriptors::put,
        packs::read, packs::upload, diff::diff,
        collect::status, collect::start, collect::stop, collect::plan, collect::usage,
        fsck::read, fsck::begin, fsck::stop, fsck::damage, fsck::damage_of, fsck::put_document,
        backup::backup,
        audit::list, quotas::read, quotas::set,
        webhooks::list, webhooks::add, webhooks::remove, webhooks::deliveries
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
        let description =
            "A token from the registry's token file. Not needed if the registry has no token file.";
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

/// A modifier: adds the error responses of each operation, the common ones and its own.
struct Failures;

/// The error codes of every authenticated operation.
const ANY: [Code; 7] = [
    Code::InvalidInput,
    Code::Unauthenticated,
    Code::Denied,
    Code::TooLarge,
    Code::RateLimited,
    Code::Internal,
    Code::Unavailable,
];

/// The further error codes of each operation, by method and path.
const OWN: [(&str, &str, &[Code]); 28] = [
    ("get", "/readyz", &[Code::Unavailable]),
    ("get", "/v1/applications/{application}", &[Code::NotFound]),
    ("get", "/v1/applications/{application}/releases", &[Code::NotFound]),
    (
        "post",
        "/v1/applications/{application}/releases",
        &[
            Code::VersionTaken,
            Code::Incomplete,
            Code::LeaseEnded,
            Code::QuotaExceeded,
            Code::StorageFull,
        ],
    ),
    (
        "get",
        "/v1/applications/{application}/releases/{selector}",
        &[Code::NotFound, Code::Gone, Code::Damaged],
    ),
    ("get", "/v1/applications/{application}/channels", &[Code::NotFound]),
    ("get", "/v1/applications/{application}/channels/{channel}", &[Code::NotFound]),
    (
        "put",
        "/v1/applications/{application}/channels/{channel}",
        &[Code::NotFound, Code::PreconditionFailed, Code::PreconditionRequired, Code::StorageFull],
    ),
    ("get", "/v1/applications/{application}/channels/{channel}/history", &[Code::NotFound]),
    ("post", "/v1/leases", &[Code::QuotaExceeded, Code::LimitReached, Code::StorageFull]),
    ("put", "/v1/leases/{lease}", &[Code::LeaseEnded]),
    ("post", "/v1/chunks/missing", &[Code::LeaseEnded]),
    ("post", "/v1/chunks/locate", &[Code::NotFound]),
    ("post", "/v1/leaves/missing", &[Code::LeaseEnded]),
    ("get", "/v1/leaves/{leaf}", &[Code::NotFound, Code::Damaged]),
    ("put", "/v1/leaves/{leaf}", UPLOAD),
    ("get", "/v1/indexes/{index}", &[Code::NotFound, Code::Damaged]),
    ("put", "/v1/indexes/{index}", UPLOAD),
    ("get", "/v1/descriptors/{descriptor}", &[Code::NotFound, Code::Damaged]),
    (
        "put",
        "/v1/descriptors/{descriptor}",
        &[Code::LeaseEnded, Code::DigestMismatch, Code::StorageFull],
    ),
    ("get", "/v1/diff", &[Code::NotFound, Code::Damaged]),
    ("get", "/v1/collection/plan", &[Code::Damaged]),
    ("get", "/v1/usage", &[Code::Damaged]),
    ("post", "/v1/fsck", &[Code::CheckRuns, Code::StorageFull]),
    ("delete", "/v1/fsck", &[Code::StorageFull]),
    ("get", "/v1/applications/{application}/releases/{selector}/damage", &[Code::NotFound]),
    (
        "put",
        "/v1/releases/{release}",
        &[Code::NotFound, Code::LeaseEnded, Code::DigestMismatch, Code::StorageFull],
    ),
    ("post", "/v1/backup", &[Code::Damaged, Code::StorageFull]),
];
const UPLOAD: &[Code] =
    &[Code::Incomplete, Code::LeaseEnded, Code::DigestMismatch, Code::StorageFull];
/// The further error codes for packs (an upload needs no other objects, reads have ranges), quotas
/// and webhooks.
const PACK: [(&str, &str, &[Code]); 6] = [
    ("get", "/v1/packs/{pack}", &[Code::NotFound, Code::RangeNotSatisfiable, Code::Damaged]),
    (
        "put",
        "/v1/packs/{pack}",
        &[Code::LeaseEnded, Code::DigestMismatch, Code::QuotaExceeded, Code::StorageFull],
    ),
    ("put", "/v1/applications/{application}/quota", &[Code::StorageFull]),
    ("post", "/v1/webhooks", &[Code::StorageFull]),
    ("delete", "/v1/webhooks/{webhook}", &[Code::NotFound, Code::StorageFull]),
    ("get", "/v1/webhooks/{webhook}/deliveries", &[Code::NotFound]),
];

/// The further error codes for the retention and deletion of releases.
const FLEET: [(&str, &str, &[Code]); 13] = [
    (
        "delete",
        "/v1/applications/{application}/releases/{selector}",
        &[Code::NotFound, Code::Gone, Code::Held, Code::StorageFull],
    ),
    ("get", "/v1/applications/{application}/releases/{selector}/holders", FIND),
    ("get", "/v1/applications/{application}/releases/{selector}/pins", FIND),
    ("put", "/v1/applications/{application}/releases/{selector}/pins/{pin}", KEEP),
    ("delete", "/v1/applications/{application}/releases/{selector}/pins/{pin}", FIND),
    ("get", "/v1/hosts", &[Code::NotFound]),
    (
        "put",
        "/v1/hosts/{host}",
        &[Code::NotFound, Code::Gone, Code::LimitReached, Code::StorageFull],
    ),
    ("delete", "/v1/hosts/{host}", &[Code::NotFound]),
    ("get", "/v1/applications/{application}/policy", &[Code::NotFound]),
    ("put", "/v1/applications/{application}/policy", &[Code::NotFound, Code::StorageFull]),
    (
        "put",
        "/v1/applications/{application}/channels/{channel}/policy",
        &[Code::NotFound, Code::StorageFull],
    ),
    ("get", "/v1/applications/{application}/retention", &[Code::NotFound]),
    ("post", "/v1/applications/{application}/retention", &[Code::NotFound, Code::StorageFull]),
];
const FIND: &[Code] = &[Code::NotFound, Code::Gone];
const KEEP: &[Code] = &[Code::NotFound, Code::Gone, Code::StorageFull];

impl Modify for Failures {
    fn modify(&self, api: &mut Document) {
        for (path, item) in &mut api.paths.paths {
            let operations = [
                ("get", &mut item.get),
                ("put", &mut item.put),
                ("post", &mut item.post),
                ("delete", &mut item.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let is_open = operation.security.is_some();
                let own = OWN
                    .iter()
                    .chain(&PACK)
                    .chain(&FLEET)
                    .find(|own| (own.0, own.1) == (method, path));
                let own = own.map_or(&[][..], |own| own.2);
                let any = ANY.iter().filter(|_| !is_open);
                add(operation, any.chain(own));
            }
        }
    }
}

fn add<'a>(operation: &mut Operation, codes: impl Iterator<Item = &'a Code>) {
    let mut by_status = std::collections::BTreeMap::<u16, Vec<&Code>>::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let texts = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title()));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(texts.collect::<Vec<_>>().join("; "))
            .content(MEDIA_TYPE, content)
            .build();
        operation.responses.responses.insert(status.to_string(), response.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_row_is_an_operation() {
        let api: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        for (method, path, _) in OWN.iter().chain(&PACK).chain(&FLEET) {
            assert!(api["paths"][path][method].is_object(), "{method} {path}");
        }
        for path in HEADS {
            assert!(api["paths"][path]["head"].is_object(), "{path}");
        }
    }
}
