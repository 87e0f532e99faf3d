//! The bearer token: a secret that is sent and never printed.
//!
//! A token from a file is read again when the registry refuses it, because a flow of several hours
//! outlives a rotated token.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderValue;

/// The longest token in bytes.
pub(super) const TOKEN_LEN_MAX: usize = 4096;

/// The error of a text that is not a token. The text is not shown: it may be a mistyped token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is one line of 1 to {TOKEN_LEN_MAX} printable ASCII characters without spaces")]
pub struct InvalidToken;

/// An error of reading a token from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token's file cannot be read")]
    Io(#[from] io::Error),
    /// The file does not hold a token.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

/// A bearer token.
#[derive(Clone)]
pub struct Token {
    value: Arc<Mutex<HeaderValue>>,
    /// The file to read again after a refusal.
    file: Option<Arc<PathBuf>>,
}

impl Token {
    /// Parses a token, ignoring surrounding white space such as an editor's last newline.
    ///
    /// # Errors
    /// Fails if the rest is not 1 to [`TOKEN_LEN_MAX`] printable ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        let legal = (1..=TOKEN_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !legal {
            return Err(InvalidToken);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self { value: Arc::new(Mutex::new(value)), file: None })
    }

    /// Reads a token from a file, and again each time the registry refuses the token.
    ///
    /// # Errors
    /// Fails if the file cannot be read or holds no token.
    pub fn of_file(path: &Path) -> Result<Self, TokenError> {
        let mut bytes = Vec::new();
        // Room for the longest token and as much white space around it.
        File::open(path)?.take(2 * TOKEN_LEN_MAX as u64).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidToken)?;
        Ok(Self { file: Some(Arc::new(path.to_owned())), ..Self::parse(&text)? })
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again after the registry refused `refused`. Returns whether the token differs
    /// now. A file without a valid token changes nothing.
    pub(super) fn has_changed(&self, refused: &HeaderValue) -> bool {
        if let Some(path) = &self.file {
            match Self::of_file(path) {
                Ok(read) => {
                    let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
                    *value = read.header();
                }
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "cannot read the token again");
                }
            }
        }
        self.header() != *refused
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_from_its_file_and_a_broken_file_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let token = Token::of_file(file.path()).unwrap();
        let one = token.header();
        assert!(!token.has_changed(&one));
        for broken in ["", "two words", "ä"] {
            std::fs::write(file.path(), broken).unwrap();
            assert!(!token.has_changed(&one), "{broken:?}");
        }
        std::fs::write(file.path(), "two").unwrap();
        let clone = token.clone();
        assert!(token.has_changed(&one));
        assert!(clone.has_changed(&one), "who shares it has the new one, too");
        assert!(!Token::parse("one").unwrap().has_changed(&one), "one without a file stays");
    }

    #[test]
    fn a_token_is_one_printable_word() {
        assert!(Token::parse("s3cr3t\n").is_ok());
        for text in ["", " \n", "two words", "line\nline", "ä", "a\0"] {
            assert!(Token::parse(text).is_err(), "{text:?}");
        }
        assert!(Token::parse(&"x".repeat(TOKEN_LEN_MAX + 1)).is_err());
        assert_eq!(format!("{:?}", Token::parse("s3cr3t").unwrap()), "Token(…)");
    }
}
