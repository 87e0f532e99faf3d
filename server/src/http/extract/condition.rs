//! Preconditions and cached copies (RFC 9110, sections 8.8 and 13).

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest};
use seawall_api::problem::Code;

use crate::app::model::Expected;
use crate::http::voice::ApiError;

/// The entity tags of the copies that a client has.
#[derive(Debug)]
pub(crate) struct Known(Vec<HeaderValue>);

impl Known {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self(request.headers().get_all(IF_NONE_MATCH).cloned().collect())
    }

    /// Returns true if the client has the copy with this tag, by weak comparison as the standard
    /// requires. Several lines form one list (RFC 9110, 5.3).
    pub(crate) fn has(&self, etag: &str) -> bool {
        let lines = self.0.iter().filter_map(|line| line.to_str().ok());
        let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}

impl FromRequest for Known {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// The state of a channel that a request expects to replace, as text. A handler parses the text
/// after its body was received.
#[derive(Debug)]
pub(crate) struct Precondition {
    matches: Option<String>,
    matches_none: Option<String>,
}

impl Precondition {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            let value: &HeaderValue = headers.get(name)?;
            Some(value.to_str().unwrap_or_default().trim().to_owned())
        };
        Self { matches: text(IF_MATCH), matches_none: text(IF_NONE_MATCH) }
    }

    /// Parses the expected state.
    pub(crate) fn expected(&self) -> Result<Expected, ApiError> {
        let malformed = |what: &str| Err(ApiError::invalid(what.to_owned()));
        match (self.matches.as_deref(), self.matches_none.as_deref()) {
            (Some(tag), None) => {
                let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                match digits.and_then(|digits| digits.parse().ok()) {
                    Some(sequence) => Ok(Expected::Sequence(sequence)),
                    None => malformed(
                        "If-Match must be the channel's sequence number in quotes, such as \
                         `\"3\"`",
                    ),
                }
            }
            (None, Some("*")) => Ok(Expected::Absent),
            (None, Some(_)) => malformed("If-None-Match can only be `*`, which creates a channel"),
            (Some(_), Some(_)) => malformed("use either If-Match or If-None-Match, not both"),
            (None, None) => {
                let detail = "a change of a channel must name the state it replaces";
                let remedy =
                    "send `If-Match: \"SEQUENCE\"`, or `If-None-Match: *` for a new channel";
                Err(ApiError::new(Code::PreconditionRequired, detail)
                    .with_remedy(remedy.to_owned()))
            }
        }
    }
}

impl FromRequest for Precondition {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.headers())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_weakly() {
        let known = |lines: &[&'static str]| {
            Known(lines.iter().map(|line| HeaderValue::from_static(line)).collect())
        };
        assert!(known(&["\"a\", W/\"b\""]).has("\"b\""));
        assert!(known(&["\"a\"", "\"b\""]).has("\"b\""));
        assert!(known(&["*"]).has("\"b\""));
        assert!(!known(&["\"a\""]).has("\"b\""));
        assert!(!known(&[]).has("\"b\""));
    }
}
