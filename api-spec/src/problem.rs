//! Errors over HTTP: RFC 9457 problem documents with a closed table of codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem document (RFC 9457, section 6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $title:literal;)+) => {
        /// What went wrong, for programs. The table is closed: a client may match on all of it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// Its text in a problem document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// What it says to a person, the same for every occurrence.
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
    /// No token, or one the registry does not know.
    Unauthenticated = 401, "unauthenticated", "The request needs a valid token";
    /// The token does not permit this.
    Denied = 403, "denied", "The token does not permit this";
    /// No such application, release, channel, index or pack.
    NotFound = 404, "not-found", "There is no such object";
    /// The path exists, the method does not.
    MethodNotAllowed = 405, "method-not-allowed", "This resource has no such method";
    /// The version names another release already.
    VersionTaken = 409, "version-taken", "The version names another release";
    /// A channel, a pin or a host needs the release: it cannot be deleted.
    Held = 409, "held", "The release is in use";
    /// The release was deleted.
    Gone = 410, "gone", "The release was deleted";
    /// The release needs chunks or leaves that the registry does not hold.
    Incomplete = 409, "incomplete", "The release needs what the registry does not hold";
    /// The lease ended or never was: nothing that relied on it may be published.
    LeaseEnded = 409, "lease-ended", "The lease has ended";
    /// A check is to begin anew while one runs.
    CheckRuns = 409, "check-runs", "A check of the registry runs";
    /// The application would have more than its quota.
    QuotaExceeded = 409, "quota-exceeded", "The application's quota does not permit this";
    /// A token, a host or the registry has as many leases or hosts as it may have.
    LimitReached = 409, "limit-reached", "There are as many of these as there may be";
    /// The channel moved since it was read.
    PreconditionFailed = 412, "precondition-failed", "The object changed since it was read";
    /// The body is over its limit.
    TooLarge = 413, "too-large", "The request is larger than the limit";
    /// The bytes are not what their name says.
    DigestMismatch = 422, "digest-mismatch", "The bytes are not what their name says";
    /// The range lies outside the object.
    RangeNotSatisfiable = 416, "range-not-satisfiable", "The range lies outside the object";
    /// A change of a channel must say what it replaces.
    PreconditionRequired = 428, "precondition-required", "The request must say what it replaces";
    /// Too many requests in too short a time.
    RateLimited = 429, "rate-limited", "There are too many requests";
    /// A defect; the log has it under the request's id.
    Internal = 500, "internal", "The registry failed";
    /// Bytes at rest do not match their digest.
    Damaged = 500, "damaged", "An object at rest is damaged";
    /// The store or the catalog cannot be reached; try again.
    Unavailable = 503, "unavailable", "The registry cannot serve this now";
    /// The store has no room.
    StorageFull = 507, "storage-full", "The store is full";
}

crate::schema::of_texts!(Code, "What went wrong, for programs. The table is closed.");

/// The body of every error (RFC 9457, section 3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:seawall:problem:` and the code; docs/API.md explains each.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The code's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The code itself.
    pub code: Code,
    /// What happened, on which object, and why.
    pub detail: String,
    /// What to do next, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The request's id, as the registry's log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// A problem of one kind with its particulars.
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

    /// The same with a next step.
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
