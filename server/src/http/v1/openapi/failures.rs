//! The error responses of the operations.

use seawall_api::problem::{Code, MEDIA_TYPE};
use utoipa::Modify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::{ContentBuilder, OpenApi as Document, ResponseBuilder};

/// A modifier: adds the error responses of each operation, the common ones and its own.
pub(super) struct Failures;

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
const OWN: [(&str, &str, &[Code]); 29] = [
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
    ("delete", "/v1/jobs/{kind}", &[Code::NotFound, Code::StorageFull]),
];
const UPLOAD: &[Code] =
    &[Code::Incomplete, Code::LeaseEnded, Code::DigestMismatch, Code::StorageFull];
/// The further error codes for packs (an upload needs no other objects, reads have ranges), quotas,
/// webhooks, tokens and mirrors.
const PACK: [(&str, &str, &[Code]); 12] = [
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
    ("post", "/v1/tokens", &[Code::NameTaken, Code::LimitReached, Code::StorageFull]),
    ("delete", "/v1/tokens/{token}", &[Code::NotFound, Code::StorageFull]),
    ("post", "/v1/mirrors", &[Code::LimitReached, Code::StorageFull]),
    ("get", "/v1/mirrors/{mirror}", &[Code::NotFound]),
    ("delete", "/v1/mirrors/{mirror}", &[Code::NotFound, Code::StorageFull]),
    ("post", "/v1/mirrors/{mirror}/runs", &[Code::NotFound, Code::StorageFull]),
];

/// The further error codes for the retention and deletion of releases.
const RETENTION: [(&str, &str, &[Code]); 13] = [
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
                    .chain(&RETENTION)
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
    use crate::http::v1::openapi_json;

    #[test]
    fn every_table_row_is_an_operation() {
        let api: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        for (method, path, _) in OWN.iter().chain(&PACK).chain(&RETENTION) {
            assert!(api["paths"][path][method].is_object(), "{method} {path}");
        }
    }
}
