//! Errors over HTTP: RFC 9457 problem documents with a closed table of codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem document (RFC 9457, section 6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $title:literal;)+) => {
        /// The machine-readable error code. The table is closed: a client may match on all codes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// The codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code's HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// Returns the code's text in a problem document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns the code's title for people, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    /// A name, digest, parameter or body is malformed.
    InvalidInput = 400, "invalid-input", "The request is malformed";
    /// The token is missing or unknown.
    Unauthenticated = 401, "unauthenticated", "The request needs a valid token";
    /// The token does not permit this request.
    Denied = 403, "denied", "The token does not permit this request";
    /// There is no such application, release, channel, index or pack.
    NotFound = 404, "not-found", "The object does not exist";
    /// The path exists, but does not support the method.
    MethodNotAllowed = 405, "method-not-allowed", "The resource does not support this method";
    /// The version already names another release.
    VersionTaken = 409, "version-taken", "The version already names another release";
    /// A token of this name exists or existed.
    NameTaken = 409, "name-taken", "The name is or was in use";
    /// A channel, pin or host needs the release, so the release cannot be deleted.
    Held = 409, "held", "The release is in use";
    /// The release was deleted.
    Gone = 410, "gone", "The release was deleted";
    /// The release needs chunks or leaves that the registry does not hold.
    Incomplete = 409, "incomplete", "The registry lacks objects that the release needs";
    /// The lease has ended or never existed. Uploads that relied on it may not be published.
    LeaseEnded = 409, "lease-ended", "The lease has ended";
    /// A restart of a check was requested while one is running.
    CheckRuns = 409, "check-runs", "A check is already running";
    /// The request would exceed the application's quota.
    QuotaExceeded = 409, "quota-exceeded", "The request would exceed the application's quota";
    /// A token, a host or the registry has reached its limit of leases or hosts.
    LimitReached = 409, "limit-reached", "A limit on the number of leases or hosts is reached";
    /// The channel moved since it was read.
    PreconditionFailed = 412, "precondition-failed", "The object changed since it was read";
    /// The body is over its limit.
    TooLarge = 413, "too-large", "The request is larger than the limit";
    /// The bytes do not match their name.
    DigestMismatch = 422, "digest-mismatch", "The bytes do not match their digest";
    /// The range lies outside the object.
    RangeNotSatisfiable = 416, "range-not-satisfiable", "The range lies outside the object";
    /// A change of a channel must name the state to replace.
    PreconditionRequired = 428, "precondition-required", "The request must name the state to replace";
    /// The client sent too many requests in a short time.
    RateLimited = 429, "rate-limited", "Too many requests";
    /// A defect. The log has the cause under the request's id.
    Internal = 500, "internal", "Internal error";
    /// The stored bytes do not match their digest.
    Damaged = 500, "damaged", "A stored object is damaged";
    /// The store or the catalog cannot be reached. Retry later.
    Unavailable = 503, "unavailable", "The registry is temporarily unavailable";
    /// The store has no room.
    StorageFull = 507, "storage-full", "The store is full";
}

crate::schema::of_texts!(Code, "The machine-readable error code. The table is closed.");

/// The body of every error response (RFC 9457, section 3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:seawall:problem:` and the code. docs/API.md explains each code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The code's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub code: Code,
    /// The event, the object and the cause, in words.
    pub detail: String,
    /// The next step, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The request's id, as in the registry's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// Returns a problem with a code and details.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("urn:seawall:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            remedy: None,
            instance: None,
        }
    }

    /// Returns the problem with a next step.
    #[must_use]
    pub fn with_remedy(self, remedy: Option<String>) -> Self {
        Self { remedy, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_print_as_they_are_written() {
        for (i, code) in Code::ALL.iter().enumerate() {
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert!(Code::ALL[..i].iter().all(|other| other.as_str() != code.as_str()));
            assert!((400..600).contains(&code.status()));
        }
    }
}
