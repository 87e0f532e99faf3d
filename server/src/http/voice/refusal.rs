//! Refusals of the frame as problem documents.

use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use seawall_api::problem::Code;

use super::ApiError;
use crate::app::AppError;
use crate::http::frame::{Refusal, limits};
use crate::tokens::Unidentified;

fn too_long(what: &str, limit: usize) -> ApiError {
    ApiError::new(Code::TooLarge, format!("{what} is longer than the limit of {limit} bytes"))
}

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(Code::Unauthenticated, detail)
        .with_header(WWW_AUTHENTICATE, "Bearer realm=\"seawall\"".to_owned())
        .with_remedy("send `Authorization: Bearer TOKEN`".to_owned())
}

fn unavailable(detail: String, remedy: &str) -> ApiError {
    ApiError::new(Code::Unavailable, detail).with_remedy(remedy.to_owned())
}

impl From<Unidentified> for ApiError {
    fn from(why: Unidentified) -> Self {
        match why {
            Unidentified::Unknown => {
                unauthenticated("the request's token is unknown, revoked or expired")
            }
            Unidentified::Ambiguous { name } => {
                let detail = format!(
                    "token `{name}` has the name of another one in the registry's token file"
                );
                let remedy = "use another token, and have this one revoked: \
                              `seawall token revoke`; or have the one in the file renamed";
                Self::new(Code::Denied, detail).with_remedy(remedy.to_owned())
            }
            Unidentified::LookupFailed(error) if error.code() == Code::Damaged => {
                let remedy = "use another token, and have this one revoked and made anew: \
                              `seawall token revoke`, `seawall token create`";
                let detail = "the registry cannot read its record of this token";
                unavailable(detail.to_owned(), remedy).caused_by(error)
            }
            Unidentified::LookupFailed(error) => error.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::HeadTooLong { part, limit } => too_long(part, limit),
            Refusal::NotLoopback => {
                let detail =
                    "a registry without tokens serves only `localhost` and loopback addresses";
                let remedy = "connect to `localhost` or `127.0.0.1`, or start the registry with \
                              --tokens or --token-file";
                Self::new(Code::Denied, detail).with_remedy(remedy.to_owned())
            }
            Refusal::NoToken => unauthenticated("the request has no token"),
            Refusal::Unidentified(why) => why.into(),
            Refusal::OnlyReads { token } => {
                let remedy = "use a token whose role is publisher".to_owned();
                Self::new(Code::Denied, format!("token `{token}` may only read"))
                    .with_remedy(remedy)
            }
            Refusal::OutOfScope { token, application } => {
                let detail = match application {
                    Some(name) => format!("token `{token}` is not for application {name}"),
                    None => format!("token `{token}` is limited to applications"),
                };
                let remedy = "use a token for it: `seawall token list` shows the tokens to a \
                              publisher without limits";
                Self::new(Code::Denied, detail).with_remedy(remedy.to_owned())
            }
            Refusal::RateExceeded { whose, per_sec, wait } => {
                // Rounded up, so that a retry after that many seconds succeeds.
                let secs = wait.as_millis().div_ceil(1000).max(1);
                let plural = if per_sec == 1 { "" } else { "s" };
                let detail = format!("{whose} may send {per_sec} request{plural} per second");
                Self::new(Code::RateLimited, detail)
                    .with_header(RETRY_AFTER, secs.to_string())
                    .with_remedy(format!(
                        "run the command again in {secs} s with fewer parallel requests"
                    ))
            }
            Refusal::BodyTooLong { limit } => too_long("the body", limit),
            Refusal::BodyTooSlow => {
                let (len, secs) = (limits::PACE_LEN_MIN >> 10, limits::PACE_WINDOW.as_secs());
                let detail = format!("less than {len} KiB of the body arrived in {secs} s");
                unavailable(detail, "try again with fewer parallel uploads or a faster connection")
            }
            Refusal::BodyIncomplete { why } => {
                Self::invalid(format!("the body is incomplete: {why}"))
            }
            Refusal::NoMemory { waited } => {
                let secs = waited.as_secs();
                let detail = format!("no memory for the body became free within {secs} s");
                unavailable(detail, "run the command again with fewer parallel uploads")
            }
            Refusal::Stopping => Self::new(Code::Unavailable, "the registry is stopping"),
            Refusal::Spool(source) => AppError::spool(source).into(),
            Refusal::Unconfigured => Self::new(Code::Internal, "the registry is not configured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_that_passes_is_told_to_come_back() {
        let waited = Duration::from_secs(10);
        for refusal in [Refusal::NoMemory { waited }, Refusal::BodyTooSlow] {
            let error = ApiError::from(refusal);
            assert_eq!(error.problem().code, Code::Unavailable);
            assert!(error.problem().remedy.as_ref().unwrap().contains("again"));
        }
    }
}
