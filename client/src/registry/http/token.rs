//! The bearer token: a secret that is sent and never shown.

use std::fmt;

use reqwest::header::HeaderValue;

/// The longest token that is read.
pub(super) const TOKEN_LEN_MAX: usize = 4096;

/// Why a text is not a token. The text is not shown: it may be nearly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is one line of 1 to {TOKEN_LEN_MAX} printable ASCII characters without spaces")]
pub struct InvalidToken;

/// A bearer token.
#[derive(Clone)]
pub struct Token(HeaderValue);

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
        Ok(Self(value))
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
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
    fn a_token_is_one_printable_word() {
        assert!(Token::parse("s3cr3t\n").is_ok());
        for text in ["", " \n", "two words", "line\nline", "ä", "a\0"] {
            assert!(Token::parse(text).is_err(), "{text:?}");
        }
        assert!(Token::parse(&"x".repeat(TOKEN_LEN_MAX + 1)).is_err());
        assert_eq!(format!("{:?}", Token::parse("s3cr3t").unwrap()), "Token(…)");
    }
}
