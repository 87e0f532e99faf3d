//! Abbreviated digests: `app@blake3:6e27c1bf`. A registry knows full digests only, so the release
//! is first searched among those of its application.

use seawall::error::ErrorKind;
use seawall::registry::Registry;
use seawall_api::reference::Selector;

use super::Target;
use crate::failure::Failure;

/// The minimum number of digits; fewer would likely match a second release one day.
const DIGITS_MIN: usize = 8;
const DIGITS_ALL: usize = 64;
const ALGORITHM: &str = "blake3:";

/// A limit on pages, beyond the size of any registry.
const PAGES_MAX: usize = 10_000;

/// The first digits of a digest, in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Prefix(String);

/// Pads an abbreviated digest in a reference with zeros, so that the reference parses, and returns
/// the typed digits; `None` for a full digest or no digest.
///
/// # Errors
/// If the prefix has fewer than [`DIGITS_MIN`] digits.
pub(in crate::command) fn fill_up(text: &str) -> Result<Option<(String, Prefix)>, Failure> {
    let Some(start) = start_of_digits(text) else { return Ok(None) };
    let digits: String = text[start..].chars().take_while(char::is_ascii_hexdigit).collect();
    let rest = &text[start + digits.len()..];
    let is_lower = digits.bytes().all(|byte| !byte.is_ascii_uppercase());
    if digits.len() >= DIGITS_ALL || !(rest.is_empty() || rest.starts_with('/')) || !is_lower {
        return Ok(None);
    }
    if digits.len() < DIGITS_MIN {
        return Err(Failure::usage(
            format!("`{}` has {} digits of a digest", text.escape_debug(), digits.len()),
            format!("give {DIGITS_MIN} digits or more; `seawall list APPLICATION` shows them"),
        ));
    }
    let before = text[..start].strip_suffix(ALGORITHM).unwrap_or(&text[..start]);
    let filled = format!("{before}{ALGORITHM}{digits:0<DIGITS_ALL$}{rest}");
    Ok(Some((filled, Prefix(digits))))
}

/// Finds the first digit of a digest: after `blake3:`, or after an `@`.
fn start_of_digits(text: &str) -> Option<usize> {
    match text.find(ALGORITHM) {
        Some(at) if at == 0 || text[..at].ends_with(['@', ':']) => Some(at + ALGORITHM.len()),
        _ => text.find('@').map(|at| at + 1),
    }
}

impl Target {
    /// Finds the only release whose digest has the prefix.
    ///
    /// # Errors
    /// If no release or several match, or the registry fails.
    pub(crate) async fn complete(&mut self, registry: &dyn Registry) -> Result<(), Failure> {
        let Some(Prefix(digits)) = self.prefix.take() else { return Ok(()) };
        let begin = format!("{ALGORITHM}{digits}");
        let mut found = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = registry.releases(&self.application, after.as_ref()).await?;
            let releases = page.releases.into_iter();
            found.extend(releases.filter(|release| release.digest.to_string().starts_with(&begin)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let application = &self.application;
        match &found[..] {
            [one] => {
                self.selector = Selector::Digest(one.digest);
                Ok(())
            }
            [] => {
                let what =
                    format!("no release of {application} has a digest that begins with {begin}");
                let remedy = format!("`seawall list {application}` shows the digests");
                Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound))
            }
            several => {
                let what = format!(
                    "the digests of {} releases of {application} begin with {begin}",
                    several.len()
                );
                let names: Vec<_> =
                    several.iter().map(|it| format!("{} is {}", it.version, it.digest)).collect();
                Err(Failure::usage(what, format!("give more digits: {}", names.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_filled_up_wherever_a_digest_is_typed() {
        let zeros = |digits: &str| format!("{digits:0<64}");
        for (text, filled) in [
            ("shop@blake3:6e27c1bf", format!("shop@blake3:{}", zeros("6e27c1bf"))),
            ("shop:blake3:6e27c1bf", format!("shop:blake3:{}", zeros("6e27c1bf"))),
            ("shop@6e27c1bf00", format!("shop@blake3:{}", zeros("6e27c1bf00"))),
            ("h:80/a/b@6e27c1bf/web", format!("h:80/a/b@blake3:{}/web", zeros("6e27c1bf"))),
            ("blake3:6e27c1bf", format!("blake3:{}", zeros("6e27c1bf"))),
        ] {
            let (found, _) = fill_up(text).unwrap().expect(text);
            assert_eq!(found, filled);
        }
        let whole = format!("shop@blake3:{}", "ab".repeat(32));
        for text in ["shop", "shop:1.0", "shop:deadbeef", "shop@blake3:6E27C1BF", &whole] {
            assert_eq!(fill_up(text).unwrap(), None, "{text}");
        }
        assert_eq!(fill_up("shop@blake3:6e27").unwrap_err().exit_code(), 2);
    }
}
