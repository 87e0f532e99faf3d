//! The bearer token: a secret that is sent and never shown.
//!
//! A token that lies in a file is read again when the registry refuses it: a flow that takes hours
//! outlives a token that is rotated.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderValue;

/// The longest token that is read.
pub(super) const TOKEN_LEN_MAX: usize = 4096;

/// Why a text is not a token. The text is not shown: it may be nearly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is one line of 1 to {TOKEN_LEN_MAX} printable ASCII characters without spaces")]
pub struct InvalidToken;

/// Why a file gives no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token's file cannot be read")]
    Io(#[from] io::Error),
    /// It holds something else.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

/// A bearer token.
#[derive(Clone)]
pub struct Token {
    value: Arc<Mutex<HeaderValue>>,
    /// Where it is read again.
    file: Option<Arc<PathBuf>>,
}

impl Token {
    /// Reads a token; white space around it, as an editor leaves it, is not part of it.
    ///
    /// # Errors
    /// When what is left is not 1 to [`TOKEN_LEN_MAX`] printable ASCII characters.
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

    /// Reads the token that a file holds; it is read again when the registry refuses it.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn of_file(path: &Path) -> Result<Self, TokenError> {
        let mut bytes = Vec::new();
        // One byte more than a token with all the white space that an editor may leave.
        File::open(path)?.take(2 * TOKEN_LEN_MAX as u64).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidToken)?;
        Ok(Self { file: Some(Arc::new(path.to_owned())), ..Self::parse(&text)? })
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again after the registry refused `refused`; whether there is another token
    /// now. A file that holds none any more changes nothing.
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
