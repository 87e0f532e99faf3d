//! The failures of a bucket's service, told apart by their remedy.

use super::ErrorKind;

/// The maximum length of a quoted message of a service, in bytes.
const MESSAGE_LEN_MAX: usize = 200;

/// The fault of a failed request to a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The service limits the rate of requests.
    Throttled,
    /// The service does not accept the credentials, or there are none.
    Unauthenticated,
    /// The clocks of this machine and of the service differ.
    Clock,
    /// The credentials do not permit the request.
    Forbidden,
    /// The bucket does not exist.
    NoBucket,
    /// The bucket is in another region.
    Region,
    /// The bucket is full.
    Full,
    /// The service cannot be reached, or stopped answering.
    Unreachable,
    /// The service failed in another way.
    Failed,
}

impl Fault {
    /// Returns the class of the error.
    pub(super) fn kind(self) -> ErrorKind {
        match self {
            Self::Unauthenticated | Self::Clock | Self::Forbidden => ErrorKind::Denied,
            Self::Full => ErrorKind::StorageFull,
            // Without its bucket, nothing is known of an object: it is not said to be missing.
            Self::Throttled | Self::NoBucket | Self::Region | Self::Unreachable | Self::Failed => {
                ErrorKind::Unavailable
            }
        }
    }

    /// Returns the operator's next step.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Throttled => {
                "wait and try again; if this repeats, raise the service's limit of requests"
            }
            Self::Unauthenticated => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine; \
                 renew credentials that have expired"
            }
            Self::Clock => "set the clock of this machine: `timedatectl status` shows it",
            Self::Forbidden => {
                "permit s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket's objects and \
                 s3:ListBucket on the bucket"
            }
            Self::NoBucket => "create the bucket, or correct --store and --s3-endpoint",
            Self::Region => "name the bucket's region in --s3-region",
            Self::Full => "raise the bucket's quota, then run the same command again",
            Self::Unreachable => {
                "check --s3-endpoint and that the service runs: `curl -i ENDPOINT` answers"
            }
            Self::Failed => "look into the log of the service, then try again",
        }
    }

    /// Returns whether an answer refuses the credentials of its request.
    pub(crate) fn is_of_credentials(status: u16, body: &[u8]) -> bool {
        if !matches!(status, 400 | 401 | 403) {
            return false;
        }
        let text = std::str::from_utf8(body).unwrap_or_default();
        let answer = Answer { status: Some(status), ..Answer::of(text) };
        answer.fault(text) == Self::Unauthenticated
    }

    /// Classifies the error of a request, and shortens its text. Returns `None` for errors of local
    /// backends and for answers about an object.
    pub(crate) fn of(error: &object_store::Error) -> Option<(Self, String)> {
        use object_store::Error as Backend;
        let text = error.to_string();
        let answer = Answer::of(&text);
        let is_of_service = answer.status.is_some() || text.contains("Error performing ");
        match error {
            Backend::NotFound { .. } if answer.code == Some("NoSuchBucket") => {}
            Backend::Unauthenticated { .. } => {}
            Backend::Generic { store: "S3", .. } => {}
            Backend::PermissionDenied { .. } if is_of_service => {}
            _ => return None,
        }
        let fault = match error {
            Backend::Unauthenticated { .. } => Self::Unauthenticated,
            _ => answer.fault(&text),
        };
        let why = match answer.status {
            Some(_) => answer.to_string(),
            None => root_of(error),
        };
        Some((fault, why))
    }
}

/// The answer of a service, as parts of the text of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Answer<'a> {
    status: Option<u16>,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn of(text: &'a str) -> Self {
        let status =
            text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
        let element = |begin, end| {
            let (_, rest) = text.split_once(begin)?;
            rest.split_once(end).map(|(text, _): (&str, &str)| text).filter(|text| !text.is_empty())
        };
        Self {
            status,
            code: element("<Code>", "</Code>"),
            message: element("<Message>", "</Message>"),
        }
    }

    fn fault(self, text: &str) -> Fault {
        match (self.code.unwrap_or_default(), self.status) {
            (
                "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" | "ThrottlingException",
                _,
            ) => Fault::Throttled,
            ("RequestTimeTooSkewed", _) => Fault::Clock,
            ("NoSuchBucket", _) => Fault::NoBucket,
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "AuthorizationHeaderMalformed"
                | "InvalidSecurity",
                _,
            ) => Fault::Unauthenticated,
            (
                "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException",
                _,
            ) => Fault::Region,
            ("QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull", _) => Fault::Full,
            (_, Some(429)) => Fault::Throttled,
            (_, Some(401)) => Fault::Unauthenticated,
            // Garage has one code for both.
            (_, Some(403)) if self.message.is_some_and(|text| text.contains("signature")) => {
                Fault::Unauthenticated
            }
            (_, Some(403)) => Fault::Forbidden,
            (_, Some(507)) => Fault::Full,
            (_, Some(300..=399)) => Fault::Region,
            (_, Some(_)) => Fault::Failed,
            // A service answers with the region when the request named another one.
            (_, None) if text.contains("configured region") => Fault::Region,
            (_, None) if text.contains("/latest/api/token") || text.contains("169.254.") => {
                Fault::Unauthenticated
            }
            (_, None) => Fault::Unreachable,
        }
    }
}

impl std::fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the service answered {}", self.status.unwrap_or_default())?;
        if let Some(code) = self.code {
            write!(f, " {}", code.escape_debug())?;
        }
        if let Some(message) =
            self.message.and_then(|message| message.get(..MESSAGE_LEN_MAX).or(Some(message)))
        {
            write!(f, ": {}", message.escape_debug())?;
        }
        Ok(())
    }
}

/// Returns the text of the last error in the chain of sources.
fn root_of(error: &object_store::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::Error as Backend;

    fn text(status: &str, code: &str) -> String {
        format!(
            "Error performing PUT http://h/b/packs/ab in 1s - Server returned non-2xx status code: \
             {status}: <Error><Code>{code}</Code><Message>why</Message><StringToSign>long</StringToSign></Error>"
        )
    }

    #[test]
    fn answers_of_services_are_told_apart() {
        for (status, code, fault, kind) in [
            ("503 Service Unavailable", "SlowDown", Fault::Throttled, ErrorKind::Unavailable),
            ("429 Too Many Requests", "", Fault::Throttled, ErrorKind::Unavailable),
            (
                "503 Service Unavailable",
                "ServiceUnavailable",
                Fault::Failed,
                ErrorKind::Unavailable,
            ),
            ("400 Bad Request", "ExpiredToken", Fault::Unauthenticated, ErrorKind::Denied),
            ("301 Moved Permanently", "PermanentRedirect", Fault::Region, ErrorKind::Unavailable),
            ("507 Insufficient Storage", "", Fault::Full, ErrorKind::StorageFull),
            ("403 Forbidden", "QuotaExceeded", Fault::Full, ErrorKind::StorageFull),
        ] {
            let source = text(status, code).into();
            let error = Backend::Generic { store: "S3", source };
            let (found, why) = Fault::of(&error).unwrap();
            assert_eq!((found, found.kind()), (fault, kind), "{status} {code}");
            assert!(why.contains(&status[..3]) && !why.contains("StringToSign"), "{why}");
        }
        let forbidden = |code| {
            let source = text("403 Forbidden", code).into();
            Fault::of(&Backend::PermissionDenied { path: "x".to_owned(), source }).unwrap().0
        };
        assert_eq!(forbidden("AccessDenied"), Fault::Forbidden);
        assert_eq!(forbidden("InvalidAccessKeyId"), Fault::Unauthenticated);
        assert_eq!(forbidden("SignatureDoesNotMatch"), Fault::Unauthenticated);
        assert_eq!(forbidden("RequestTimeTooSkewed"), Fault::Clock);
        let garage = text("403 Forbidden", "AccessDenied").replace("why", "Invalid signature");
        let error = Backend::PermissionDenied { path: "x".to_owned(), source: garage.into() };
        assert_eq!(Fault::of(&error).unwrap().0, Fault::Unauthenticated);
    }

    #[test]
    fn an_object_is_missing_only_if_its_bucket_is_there() {
        let missing = |code| {
            let source = text("404 Not Found", code).into();
            Fault::of(&Backend::NotFound { path: "x".to_owned(), source }).map(|(fault, _)| fault)
        };
        assert_eq!(missing("NoSuchKey"), None);
        assert_eq!(missing("NoSuchBucket"), Some(Fault::NoBucket));
    }

    #[test]
    fn a_service_that_cannot_be_reached_is_told_from_missing_credentials() {
        let of = |text: &str| {
            let source = text.to_owned().into();
            Fault::of(&Backend::Generic { store: "S3", source }).unwrap().0
        };
        assert_eq!(of("Error performing PUT http://h/b - HTTP error: refused"), Fault::Unreachable);
        let metadata = "Error performing PUT http://169.254.169.254/latest/api/token in 3s";
        assert_eq!(of(metadata), Fault::Unauthenticated);
        let local = Backend::Generic { store: "LocalFileSystem", source: "x".into() };
        assert_eq!(Fault::of(&local), None);
    }
}
