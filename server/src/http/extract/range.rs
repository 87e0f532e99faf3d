//! Byte ranges (RFC 9110, section 14).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::Range;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, IF_RANGE, RANGE};
use actix_web::{FromRequest, HttpRequest};

use super::Known;

/// The part of an object that a GET or a HEAD asks for.
#[derive(Debug)]
pub(crate) struct Ranged {
    /// The copies that the client has.
    pub(crate) known: Known,
    /// True for a HEAD, whose answer has no body.
    pub(crate) is_head: bool,
    /// True if the client wants no bytes of a cache (RFC 9111, 5.2.1.4).
    pub(crate) is_past_caches: bool,
    range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
}

impl Ranged {
    /// Returns the requested part of an object of `len` bytes.
    pub(crate) fn select(&self, len: u64, etag: &str) -> Selected {
        // Ranges apply to GET only (RFC 9110, 14.2).
        let range = self.range.as_ref().filter(|_| !self.is_head);
        let range = range.and_then(|value| value.to_str().ok());
        select(range.filter(|_| range_applies(self.if_range.as_ref(), etag)), len)
    }
}

impl FromRequest for Ranged {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self {
            known: Known::of(request),
            is_head: request.method() == Method::HEAD,
            is_past_caches: is_past_caches(request),
            range: request.headers().get(RANGE).cloned(),
            if_range: request.headers().get(IF_RANGE).cloned(),
        }))
    }
}

/// Returns whether a request says `Cache-Control: no-cache`.
fn is_past_caches(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(CACHE_CONTROL);
    let mut words = values.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("no-cache"))
}

/// The part of an object selected by a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selected {
    /// The whole object: there is no range, or one that may be ignored (RFC 9110, 14.2).
    Whole,
    /// A byte range, never empty.
    Part(Range<u64>),
    /// A range outside the object.
    Outside,
}

/// Parses a `Range` header for an object of `len` bytes.
///
/// Several ranges select the whole object, as the standard permits. Seawall's clients merge ranges
/// and request one at a time.
fn select(header: Option<&str>, len: u64) -> Selected {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Selected::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Selected::Whole };
    let number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number too large to parse is beyond the end of any object.
        is_digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            None => Selected::Whole,
            Some(0) => Selected::Outside,
            Some(_) if len == 0 => Selected::Outside,
            Some(suffix) => Selected::Part(len.saturating_sub(suffix)..len),
        },
        (first, "") => match number(first) {
            None => Selected::Whole,
            Some(first) if first < len => Selected::Part(first..len),
            Some(_) => Selected::Outside,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                if first >= len {
                    return Selected::Outside;
                }
                Selected::Part(first..last.saturating_add(1).min(len))
            }
            _ => Selected::Whole,
        },
    }
}

/// Returns true if a range applies under an `If-Range` header, by strong comparison. A date never
/// matches, as objects named by digest have none.
fn range_applies(header: Option<&HeaderValue>, etag: &str) -> bool {
    header.is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        use Selected::{Outside, Part, Whole};
        let cases = [
            (None, Whole),
            (Some("bytes=0-0"), Part(0..1)),
            (Some("bytes=0-99"), Part(0..10)),
            (Some("bytes=3-"), Part(3..10)),
            (Some("bytes=-4"), Part(6..10)),
            (Some("bytes=-99"), Part(0..10)),
            (Some("bytes= 2 - 4 "), Part(2..5)),
            (Some("bytes=9-18446744073709551616"), Part(9..10)),
            (Some("bytes=10-"), Outside),
            (Some("bytes=10-12"), Outside),
            (Some("bytes=-0"), Outside),
            (Some("bytes=99999999999999999999-"), Outside),
            (Some("bytes=5-3"), Whole),
            (Some("bytes=0-1,4-5"), Whole),
            (Some("bytes=a-b"), Whole),
            (Some("bytes=-"), Whole),
            (Some("bytes=+1-2"), Whole),
            (Some("items=0-1"), Whole),
            (Some(""), Whole),
        ];
        for (header, want) in cases {
            assert_eq!(select(header, 10), want, "{header:?}");
        }
        assert_eq!(select(Some("bytes=0-"), 0), Outside);
        assert_eq!(select(Some("bytes=-1"), 0), Outside);
    }

    #[test]
    fn ranges_apply_by_strong_comparison() {
        let value = HeaderValue::from_static;
        assert!(range_applies(None, "\"b\""));
        assert!(range_applies(Some(&value("\"b\"")), "\"b\""));
        assert!(!range_applies(Some(&value("W/\"b\"")), "\"b\""));
        assert!(!range_applies(Some(&value("Sun, 22 Nov 2026 00:00:00 GMT")), "\"b\""));
    }
}
