//! The names of errors. They decide on repeats, because the status of throttling is 400.

use crate::error::ErrorKind;

/// Names that mean: the same request will be served later.
const THROTTLED: [&str; 10] = [
    "RequestThrottledException",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "Throttling",
    "RequestLimitExceeded",
    "ConcurrentLimitExceededException",
    "TooManyRequestsException",
    "SnapshotCreationPerVolumeRateExceeded",
    "EC2ThrottledException",
];
/// Names that mean: the service failed, not the request.
const TRANSIENT: [&str; 6] = [
    "InternalServerException",
    "InternalError",
    "InternalFailure",
    "Unavailable",
    "ServiceUnavailable",
    "RequestTimeout",
];
/// Names that mean: not with these credentials, or not at this time.
const DENIED: [&str; 13] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthFailure",
    "Blocked",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredToken",
    "ExpiredTokenException",
    "MissingAuthenticationToken",
];
/// Names that mean: the clocks differ.
const SKEWED: [&str; 4] =
    ["RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException", "RequestInTheFuture"];

/// The consequence of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Send fewer requests, and repeat this one.
    Throttled,
    /// Repeat.
    Transient,
    /// Do not repeat.
    Final,
}

/// Returns what follows from an error's status and name.
pub(super) fn class(status: u16, name: &str) -> Class {
    if THROTTLED.contains(&name) {
        Class::Throttled
    } else if TRANSIENT.contains(&name) || matches!(status, 500 | 502..=504) {
        Class::Transient
    } else if status == 429 {
        Class::Throttled
    } else {
        Class::Final
    }
}

/// Returns the kind of an error, and the next step.
pub(super) fn kind(status: u16, name: &str) -> (ErrorKind, Option<String>) {
    let (kind, remedy) = if SKEWED.contains(&name) {
        (ErrorKind::Denied, "set this host's clock, or renew the credentials, and run again")
    } else if DENIED.contains(&name) {
        (
            ErrorKind::Denied,
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) and the policy in \
             docs/operations/ec2.md",
        )
    } else if class(status, name) != Class::Final {
        (ErrorKind::Unavailable, "run the same command again later: it resumes")
    } else if status == 402 || name.ends_with("LimitExceeded") || name.ends_with("QuotaExceeded") {
        (ErrorKind::StorageFull, "raise the quota in AWS Service Quotas, or remove old images")
    } else if status == 404 || name.ends_with("NotFound") || name.ends_with("NotFoundException") {
        (ErrorKind::NotFound, "`seawall cloud status` shows what the account has")
    } else if name == "InvalidAMIName.Duplicate"
        || name == "OperationNotPermitted"
        || status == 409
        || name.ends_with(".InUse")
    {
        (ErrorKind::Conflict, "`seawall cloud status` shows what the account has")
    } else {
        return (ErrorKind::InvalidInput, None);
    };
    (kind, Some(remedy.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_not_the_status() {
        assert_eq!(class(400, "RequestThrottledException"), Class::Throttled);
        assert_eq!(class(400, "ConcurrentLimitExceededException"), Class::Throttled);
        assert_eq!(class(503, "RequestLimitExceeded"), Class::Throttled);
        assert_eq!(class(500, "InternalError"), Class::Transient);
        assert_eq!(class(503, ""), Class::Transient);
        assert_eq!(class(400, "ValidationException"), Class::Final);
        assert_eq!(kind(403, "RequestExpired").0, ErrorKind::Denied);
        assert_eq!(kind(402, "ServiceQuotaExceededException").0, ErrorKind::StorageFull);
        assert_eq!(kind(400, "InvalidSnapshot.NotFound").0, ErrorKind::NotFound);
    }
}
