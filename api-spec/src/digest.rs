//! Digests: the names of content.
//!
//! Every object in Seawall is named by the BLAKE3-256 digest of its bytes. The role of a digest is
//! part of its type, so that a pack's name cannot be passed for a chunk's.
//!
//! Text form: `blake3:` and 64 lower-case hexadecimal digits. Each digest has one spelling.

use std::fmt;
use std::str::FromStr;

/// The length of a digest, in bytes.
pub const DIGEST_LEN: usize = 32;

const PREFIX: &str = "blake3:";

/// The reason a text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// The text does not start with a known algorithm.
    #[error("a digest begins with `blake3:`")]
    Algorithm,
    /// The text has upper-case digits, a second spelling of the same name.
    #[error("a digest is written in lower case")]
    UpperCase,
    /// The text does not have 64 hexadecimal digits.
    #[error("a digest has 64 hexadecimal digits after `blake3:`")]
    Hex,
}

fn parse(text: &str) -> Result<[u8; DIGEST_LEN], InvalidDigest> {
    let digits = text.strip_prefix(PREFIX).ok_or(InvalidDigest::Algorithm)?;
    parse_hex(digits)
}

fn parse_hex(digits: &str) -> Result<[u8; DIGEST_LEN], InvalidDigest> {
    // One spelling per digest: `AB…` and `ab…` would be two cache keys for one chunk.
    if digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(InvalidDigest::UpperCase);
    }
    let mut bytes = [0; DIGEST_LEN];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidDigest::Hex)?;
    Ok(bytes)
}

macro_rules! digest_role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A value of this type is always well formed; it does not claim that any store holds
        /// the bytes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; DIGEST_LEN]);

        impl $name {
            /// Returns the digest of `bytes`.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self(*blake3::hash(bytes).as_bytes())
            }

            /// Wraps 32 bytes read from a format that defines them as a digest in this role.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; DIGEST_LEN]) -> Self {
                Self(bytes)
            }

            /// Returns the digest's 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; DIGEST_LEN] {
                &self.0
            }

            /// Returns the 64 hexadecimal digits without the prefix, as used in object paths.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }

            /// Parses the output of [`Self::to_hex`].
            ///
            /// # Errors
            /// If the text is not 64 lower-case hexadecimal digits.
            pub fn from_hex(digits: &str) -> Result<Self, InvalidDigest> {
                parse_hex(digits).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidDigest;

            fn from_str(text: &str) -> Result<Self, InvalidDigest> {
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidDigest;

            fn try_from(text: String) -> Result<Self, InvalidDigest> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> String {
                digest.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(PREFIX)?;
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!(stringify!($name), ": a BLAKE3-256 digest")))
                    .pattern(Some("^blake3:[0-9a-f]{64}$"))
                    .examples([concat!(
                        "blake3:af1349b9f5f9a1a6a0404dea36dcc949",
                        "9bcb25c9adc112b7cc9a93cae41f3262"
                    )])
                    .build()
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

digest_role! {
    /// The name of a chunk: the digest of its plain (uncompressed) bytes.
    ChunkDigest
}
digest_role! {
    /// The identity of a disk: the digest of all guest-visible bytes, with holes read as zeros.
    /// `b3sum disk.raw` prints the same digest.
    ContentDigest
}
digest_role! {
    /// The name of a disk index: the digest of its list's bytes ([`crate::index`]).
    IndexDigest
}
digest_role! {
    /// The name of a leaf of a disk index: the digest of the leaf's bytes ([`crate::index`]).
    LeafDigest
}
digest_role! {
    /// The identity of a release: the digest of its canonical document ([`crate::release`]).
    ReleaseDigest
}
digest_role! {
    /// The name of a pack: the digest of its footer (docs/FORMAT.md, section 5).
    PackDigest
}
digest_role! {
    /// The name of a descriptor (such as an OVF document) stored byte for byte.
    DescriptorDigest
}
digest_role! {
    /// The digest of an audit log entry and of every entry before ([`crate::audit`]).
    EntryDigest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_prints_as_it_parses() {
        let digest = ChunkDigest::of(b"seawall");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(ChunkDigest::from_hex(&digest.to_hex()), Ok(digest));
    }

    #[test]
    fn the_digest_of_nothing_is_the_published_vector() {
        // BLAKE3 paper, test vectors, input length 0.
        assert_eq!(
            ContentDigest::of(b"").to_string(),
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn only_one_spelling_is_accepted() {
        let text = ChunkDigest::of(b"seawall").to_string();
        let digits = text.trim_start_matches(PREFIX);
        let cases = [
            (text.to_uppercase(), InvalidDigest::Algorithm),
            (format!("{PREFIX}{}", digits.to_uppercase()), InvalidDigest::UpperCase),
            (digits.to_owned(), InvalidDigest::Algorithm),
            (format!("sha256:{digits}"), InvalidDigest::Algorithm),
            (format!("{text}0"), InvalidDigest::Hex),
            (text[..text.len() - 1].to_owned(), InvalidDigest::Hex),
            (format!("{PREFIX}{}", "g".repeat(64)), InvalidDigest::Hex),
            (String::new(), InvalidDigest::Algorithm),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<ChunkDigest>(), Err(why), "{text}");
        }
    }
}
