//! Tokens: who may do what.
//!
//! A token file has one `NAME ROLE TOKEN` per line; `#` begins a comment line. A `reader` may
//! read, a `publisher` may do everything.

mod book;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) use book::TokenBook;

/// The longest token file, in bytes.
const FILE_LEN_MAX: u64 = 1 << 20;
/// The shortest secret: 128 bits when it is random hexadecimal digits, and far from guessable
/// over a network in any case.
const SECRET_LEN_MIN: usize = 16;

/// What a token permits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// May read.
    Reader,
    /// May do everything.
    Publisher,
}

/// Why a token file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTokens {
    /// It cannot be read.
    #[error("cannot read token file {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others on this machine may read it.
    #[error("token file {} can be read by other users", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// It is longer than any token file.
    #[error("token file {} has more than {FILE_LEN_MAX} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// A line breaks a rule.
    #[error("line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// The rule.
        why: &'static str,
    },
    /// Nobody could do anything.
    #[error("the token file has no token")]
    Empty,
}

impl InvalidTokens {
    /// The operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Exposed { path } => Some(format!("chmod 600 {}", path.display())),
            Self::Line { .. } | Self::Empty => Some(
                "write one `NAME ROLE TOKEN` per line, where ROLE is reader or publisher; \
                 `openssl rand -hex 32` makes a token"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::TooLong { .. } => None,
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Token {
    name: String,
    role: Role,
    /// Of the secret; compared in constant time, as `blake3::Hash` does.
    digest: blake3::Hash,
}

/// The tokens a registry knows. Secrets are not kept, only their digests.
#[derive(PartialEq, Eq, Debug)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// One token that may do everything, for a registry hosted inside another process.
    #[must_use]
    pub fn single(name: &str, secret: &str) -> Self {
        let digest = blake3::hash(secret.as_bytes());
        Self(vec![Token { name: name.to_owned(), role: Role::Publisher, digest }])
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// When it cannot be read, is open to others, or breaks a rule.
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

    /// Reads the text of a token file.
    ///
    /// # Errors
    /// When a line breaks a rule; the error names the line, never the token.
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
                return Err(bad("it is not NAME ROLE TOKEN"));
            };
            let role = match role {
                "reader" => Role::Reader,
                "publisher" => Role::Publisher,
                _ => return Err(bad("its role is neither reader nor publisher")),
            };
            if secret.len() < SECRET_LEN_MIN || !secret.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(bad("its token has fewer than 16 characters, or strange ones"));
            }
            let digest = blake3::hash(secret.as_bytes());
            if !names.insert(name) || !digests.insert(*digest.as_bytes()) {
                return Err(bad("its name or token is that of an earlier line"));
            }
            tokens.push(Token { name: name.to_owned(), role, digest });
        }
        if tokens.is_empty() { Err(InvalidTokens::Empty) } else { Ok(Self(tokens)) }
    }

    /// Whose secret this is.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<(&str, Role)> {
        let digest = blake3::hash(secret.as_bytes());
        // All of them are compared: the time tells nothing of which one matched.
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
