//! The address of a store in a bucket, `s3://BUCKET[/PREFIX]`.

use std::fmt;
use std::str::FromStr;

/// The scheme of an address.
const SCHEME: &str = "s3://";
/// The maximum length of a prefix, in bytes. S3 limits the whole key to 1,024.
const PREFIX_LEN_MAX: usize = 512;

/// The address of a store in a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketAddress {
    bucket: String,
    prefix: String,
}

/// A text that is not the address of a bucket.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// The scheme is another one.
    #[error("`{0}` is no address of a bucket")]
    Scheme(String),
    /// The bucket cannot have this name.
    #[error("no bucket can have the name `{0}`")]
    Bucket(String),
    /// The prefix is not one that every service takes.
    #[error("`{0}` cannot be the prefix of a store")]
    Prefix(String),
}

impl InvalidAddress {
    /// Returns the next step.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "write s3://BUCKET, s3://BUCKET/PREFIX, or the path of a directory",
            Self::Bucket(_) => {
                "a bucket's name has 3 to 63 characters: small letters, digits, `-` and `.`, with \
                 a letter or digit at both ends"
            }
            Self::Prefix(_) => {
                "write names joined by `/`, of letters, digits, `-`, `_` and `.`, in at most 512 \
                 characters"
            }
        }
    }
}

impl BucketAddress {
    /// Returns the name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the prefix of every object of the store; empty if the store is the bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl FromStr for BucketAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let rest = text.strip_prefix(SCHEME);
        let rest = rest.ok_or_else(|| InvalidAddress::Scheme(text.escape_debug().to_string()))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) {
            return Err(InvalidAddress::Bucket(bucket.escape_debug().to_string()));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && !is_prefix(prefix) {
            return Err(InvalidAddress::Prefix(prefix.escape_debug().to_string()));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// Returns whether S3 permits a bucket of this name.
fn is_bucket(name: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.starts_with(is_alphanumeric)
        && name.ends_with(is_alphanumeric)
        && name.chars().all(|c| is_alphanumeric(c) || matches!(c, '-' | '.'))
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// Returns whether every service takes the keys below this prefix as they are.
fn is_prefix(prefix: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    prefix.len() <= PREFIX_LEN_MAX && prefix.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_perhaps_a_prefix() {
        for (text, bucket, prefix) in [
            ("s3://seawall", "seawall", ""),
            ("s3://seawall/", "seawall", ""),
            ("s3://my.bucket-1/team/vm_images", "my.bucket-1", "team/vm_images"),
            ("s3://abc/team/", "abc", "team"),
        ] {
            let address: BucketAddress = text.parse().unwrap();
            assert_eq!((address.bucket(), address.prefix()), (bucket, prefix), "{text}");
            assert_eq!(address.to_string(), text.strip_suffix('/').unwrap_or(text));
        }
    }

    #[test]
    fn what_no_service_would_take_is_refused_with_a_remedy() {
        let long = format!("s3://abc/{}", "x".repeat(513));
        for (text, what) in [
            ("gs://abc", "no address"),
            ("https://abc", "no address"),
            ("abc", "no address"),
            ("s3://", "no bucket"),
            ("s3://ab", "no bucket"),
            ("s3://Upper", "no bucket"),
            ("s3://a_b_c", "no bucket"),
            ("s3://-abc", "no bucket"),
            ("s3://a..b", "no bucket"),
            ("s3://10.0.0.1", "no bucket"),
            ("s3://user:secret@abc", "no bucket"),
            ("s3://abc//x", "prefix"),
            ("s3://abc/x//y", "prefix"),
            ("s3://abc/../x", "prefix"),
            ("s3://abc/x y", "prefix"),
            ("s3://abc/\u{e4}", "prefix"),
            (&long, "prefix"),
        ] {
            let error = text.parse::<BucketAddress>().unwrap_err();
            assert!(error.to_string().contains(what), "{text}: {error}");
            assert!(!error.remedy().is_empty());
        }
    }
}
