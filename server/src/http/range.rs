//! Ranges, entity tags and caching (RFC 9110, sections 8.8, 13 and 14; RFC 9111).

use std::ops::Range;

use actix_web::http::header::HeaderValue;

/// The caching of objects named by digest, which never change. Private, because a shared cache
/// knows no tokens and must not serve the object to others.
pub(super) const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// The caching of names that may change their meaning. A cached copy is revalidated before use.
pub(super) const CHECKED: &str = "private, no-cache";

/// The part of an object selected by a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Selected {
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
pub(super) fn select(header: Option<&str>, len: u64) -> Selected {
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

/// Returns true if an `If-None-Match` header matches `etag`, by weak comparison as the standard
/// requires. Several lines form one list (RFC 9110, 5.3).
pub(super) fn matches_any<'a>(
    lines: impl IntoIterator<Item = &'a HeaderValue>,
    etag: &str,
) -> bool {
    let lines = lines.into_iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Returns true if a range applies under an `If-Range` header, by strong comparison. A date never
/// matches, as objects named by digest have none.
pub(super) fn range_applies(header: Option<&HeaderValue>, etag: &str) -> bool {
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
    fn tags_compare_weakly_and_ranges_strongly() {
        let value = HeaderValue::from_static;
        assert!(matches_any([&value("\"a\", W/\"b\"")], "\"b\""));
        assert!(matches_any([&value("\"a\""), &value("\"b\"")], "\"b\""));
        assert!(matches_any([&value("*")], "\"b\""));
        assert!(!matches_any([&value("\"a\"")], "\"b\""));
        assert!(!matches_any([], "\"b\""));
        assert!(range_applies(None, "\"b\""));
        assert!(range_applies(Some(&value("\"b\"")), "\"b\""));
        assert!(!range_applies(Some(&value("W/\"b\"")), "\"b\""));
        assert!(!range_applies(Some(&value("Sun, 22 Nov 2026 00:00:00 GMT")), "\"b\""));
    }
}
