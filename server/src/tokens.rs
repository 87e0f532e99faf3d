//! Access tokens and their roles.
//!
//! A token file has one `NAME ROLE TOKEN` per line. `#` starts a comment line. A `reader` may read,
//! a `publisher` may do everything.

mod authentication;
mod book;
mod grants;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use crate::app::model::Role;
pub(crate) use authentication::{Authentication, Identity, Unidentified};
pub(crate) use book::TokenBook;
pub use grants::{Grant, Grants};

/// The maximum length of a token file, in bytes.
const FILE_LEN_MAX: u64 = 1 << 20;
/// The minimum length of a secret, in bytes. Even 16 random hexadecimal digits (64 bits) are too
/// many to guess over a network.
const SECRET_LEN_MIN: usize = 16;

/// The reason a token file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTokens {
    /// The file cannot be read.
    #[error("cannot read token file {}", path.display())]
    Io {
        /// The token file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users of this machine can read the file.
    #[error("token file {} can be read by other users", path.display())]
    Exposed {
        /// The token file.
        path: PathBuf,
    },
    /// The file is longer than 1 MiB.
    #[error("token file {} is longer than {FILE_LEN_MAX} bytes", path.display())]
    TooLong {
        /// The token file.
        path: PathBuf,
    },
    /// A line breaks a rule.
    #[error("line {line}: {why}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The broken rule.
        why: &'static str,
    },
    /// The file has no token, so nobody could do anything.
    #[error("the token file has no token")]
    Empty,
}

impl InvalidTokens {
    /// Returns the operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Exposed { path } => Some(format!("chmod 600 {}", path.display())),
            Self::Line { .. } | Self::Empty => Some(
                "write one `NAME ROLE TOKEN` per line, where ROLE is reader or publisher; \
                 `openssl rand -hex 32` makes a token"
                    .to_owned(),
            ),
            Self::Io { path, .. } => Some(format!(
                "write a `NAME ROLE TOKEN` into {}, mode 600: `openssl rand -hex 32` makes a token",
                path.display()
            )),
            Self::TooLong { .. } => None,
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Token {
    name: String,
    role: Role,
    /// The digest of the secret. `blake3::Hash` compares in constant time.
    digest: blake3::Hash,
}

/// The tokens of a registry. Only the digests of secrets are kept.
#[derive(PartialEq, Eq, Debug)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Returns a single token with all permissions, for a registry hosted inside another process.
    #[must_use]
    pub fn single(name: &str, secret: &str) -> Self {
        let digest = blake3::hash(secret.as_bytes());
        Self(vec![Token { name: name.to_owned(), role: Role::Publisher, digest }])
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// If the file cannot be read, is readable by other users, or breaks a rule.
    pub fn read(path: &Path) -> Result<Self, InvalidTokens> {
        let io = |source| InvalidTokens::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(InvalidTokens::Exposed { path: path.to_owned() });
        }
        let mut text = String::new();
        (&mut file).take(FILE_LEN_MAX + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > FILE_LEN_MAX {
            return Err(InvalidTokens::TooLong { path: path.to_owned() });
        }
        Self::parse(&text)
    }

    /// Parses the text of a token file.
    ///
    /// # Errors
    /// If a line breaks a rule. The error names the line, never the token.
    pub fn parse(text: &str) -> Result<Self, InvalidTokens> {
        let mut tokens: Vec<Token> = Vec::new();
        let (mut names, mut digests) = (HashSet::new(), HashSet::new());
        for (line, text) in (1..).zip(text.lines()) {
            let bad = |why| InvalidTokens::Line { line, why };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut words = text.split_ascii_whitespace();
            let (Some(name), Some(role), Some(secret), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(bad("expected NAME ROLE TOKEN"));
            };
            let role = match role {
                "reader" => Role::Reader,
                "publisher" => Role::Publisher,
                _ => return Err(bad("the role is neither reader nor publisher")),
            };
            if secret.len() < SECRET_LEN_MIN || !secret.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(bad(
                    "the token has fewer than 16 characters, or some are not printable ASCII",
                ));
            }
            let digest = blake3::hash(secret.as_bytes());
            if !names.insert(name) || !digests.insert(*digest.as_bytes()) {
                return Err(bad("an earlier line has the same name or token"));
            }
            tokens.push(Token { name: name.to_owned(), role, digest });
        }
        if tokens.is_empty() { Err(InvalidTokens::Empty) } else { Ok(Self(tokens)) }
    }

    /// Returns true if there is a token of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|token| token.name == name)
    }

    /// Returns the name and the role of the token with a secret.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<(&str, Role)> {
        let digest = blake3::hash(secret.as_bytes());
        // All tokens are compared, so that the time does not reveal which one matched.
        let matching = self
            .0
            .iter()
            .fold(None, |found, token| if token.digest == digest { Some(token) } else { found });
        matching.map(|token| (token.name.as_str(), token.role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_read_line_by_line() {
        let text =
            "# build farm\nci publisher 0123456789abcdef0\n\nhost reader fedcba98765432100\n";
        let tokens = Tokens::parse(text).unwrap();
        assert_eq!(tokens.find("0123456789abcdef0"), Some(("ci", Role::Publisher)));
        assert_eq!(tokens.find("fedcba98765432100"), Some(("host", Role::Reader)));
        assert_eq!(tokens.find("fedcba9876543210"), None);
        assert_eq!(tokens.find(""), None);
    }

    #[test]
    fn a_bad_line_is_named_and_its_token_is_not() {
        for text in [
            "ci publisher",
            "ci admin 0123456789abcdef0",
            "ci reader short-secret",
            "ci reader 0123456789abcdef0 more",
            "ci reader 0123456789abcdef0\nci reader 0123456789abcdef1",
            "a reader 0123456789abcdef0\nb publisher 0123456789abcdef0",
        ] {
            let error = Tokens::parse(text).unwrap_err();
            assert!(matches!(error, InvalidTokens::Line { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("0123"), "{error}");
        }
        assert!(matches!(Tokens::parse("# nobody\n"), Err(InvalidTokens::Empty)));
    }
}
