//! The properties of standard output and standard error: width, short digests, colours. All
//! functions are pure except [`Screen::look`].

use std::io::IsTerminal;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};

use crate::args::{Digests, Listing};

/// The digits of a digest shown on a terminal; enough to type as a reference.
pub(crate) const DIGITS_SHORT: usize = 12;

/// The prefix of a digest.
const ALGORITHM: &str = "blake3:";
const DIGITS_ALL: usize = 64;

/// The print settings of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    /// The width of standard output in columns; `None` unless a terminal.
    pub(crate) width: Option<usize>,
    /// True if standard output, or standard error in the next field, gets short digests.
    pub(crate) is_short: bool,
    pub(crate) is_short_on_errors: bool,
    /// The format and columns of lists.
    pub(crate) listing: Listing,
}

static SCREEN: OnceLock<Screen> = OnceLock::new();

impl Screen {
    /// Inspects the streams, once per process.
    pub(crate) fn look(digests: Option<Digests>, listing: Listing) {
        let is_terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(std::io::stdout())
            .map(|(width, _)| usize::from(width.0))
            .filter(|width| is_terminal && *width > 0);
        let is_short = |terminal: bool| match digests {
            Some(Digests::Short) => true,
            Some(Digests::Full) => false,
            None => terminal,
        };
        let screen = Self {
            width,
            is_short: is_short(is_terminal),
            is_short_on_errors: is_short(std::io::stderr().is_terminal()),
            listing,
        };
        // Called once; a second value would be ignored.
        let _ = SCREEN.set(screen);
    }

    /// Returns the settings found by [`Self::look`]; those of a file or a pipe if not called yet.
    pub(crate) fn get() -> Self {
        SCREEN.get().cloned().unwrap_or_default()
    }
}

/// Cuts every full digest in a text to [`DIGITS_SHORT`] digits.
pub(crate) fn shorten_digests(text: &str) -> String {
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(ALGORITHM) {
        let (before, digest) = rest.split_at(at + ALGORITHM.len());
        shortened.push_str(before);
        let digits = digest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let kept = if digits == DIGITS_ALL { DIGITS_SHORT } else { digits };
        shortened.push_str(&digest[..kept]);
        rest = &digest[digits..];
    }
    shortened + rest
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(anstyle::Color::Ansi(colour)))
}

/// The status words and their styles.
const WORDS: &[(&str, Style)] = &[
    ("DAMAGED", colour(AnsiColor::Red)),
    ("UNREADABLE", colour(AnsiColor::Red)),
    ("MISSING", colour(AnsiColor::Red)),
    ("modified", colour(AnsiColor::Yellow)),
    ("MODIFIED", colour(AnsiColor::Yellow)),
    ("GOES", colour(AnsiColor::Yellow)),
    ("expired", colour(AnsiColor::Yellow)),
    ("behind", colour(AnsiColor::Yellow)),
    ("intact", colour(AnsiColor::Green)),
    ("up to date", colour(AnsiColor::Green)),
    ("stays", colour(AnsiColor::Green)),
];

/// The prefixes of error lines and their styles.
const PREFIXES: &[(&str, Style)] = &[
    ("error:", colour(AnsiColor::Red)),
    ("  cause:", colour(AnsiColor::Red)),
    ("warning:", colour(AnsiColor::Yellow)),
    ("help:", colour(AnsiColor::Cyan)),
];

/// Paints headings bold and status words in colour. `anstream` removes both where unwanted: without
/// a terminal, or with `NO_COLOR`.
pub(crate) fn paint(text: &str) -> String {
    let bold = Style::new().bold();
    let mut painted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        if is_heading(bare) {
            painted += &format!("{bold}{bare}{bold:#}{}", &line[bare.len()..]);
        } else {
            painted += &words(line);
        }
    }
    painted
}

/// Paints the prefixes of an error's lines.
pub(crate) fn paint_error(text: &str) -> String {
    let paint = |line: &str| {
        let found = PREFIXES.iter().find(|(prefix, _)| line.starts_with(prefix));
        found.map_or_else(
            || line.to_owned(),
            |(prefix, style)| format!("{style}{prefix}{style:#}{}", &line[prefix.len()..]),
        )
    };
    text.split_inclusive('\n').map(paint).collect()
}

/// Returns true for the headings of a table: words in capitals, in several columns.
fn is_heading(line: &str) -> bool {
    let is_capital = |c: char| c.is_ascii_uppercase() || c == ' ';
    line.len() > 3 && line.contains("  ") && line.chars().all(is_capital)
}

/// Paints the status words of a line, where they are whole words.
fn words(line: &str) -> String {
    let mut line = line.to_owned();
    for (word, style) in WORDS {
        let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-');
        let found = line.match_indices(word).map(|(at, _)| at).find(|at| {
            is_edge(line[..*at].chars().next_back())
                && is_edge(line[at + word.len()..].chars().next())
        });
        if let Some(at) = found {
            let rest = line.split_off(at + word.len());
            line.truncate(at);
            line += &format!("{style}{word}{style:#}{rest}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_cut_to_twelve_digits_and_nothing_else_is() {
        let digest = format!("blake3:{}", "0123456789abcdef".repeat(4));
        assert_eq!(shorten_digests(&digest), "blake3:0123456789ab");
        let text = format!("a@{digest}/web ({digest}), blake3:… and blake3:6e27c1bf\n");
        assert_eq!(
            shorten_digests(&text),
            "a@blake3:0123456789ab/web (blake3:0123456789ab), blake3:… and blake3:6e27c1bf\n"
        );
    }

    #[test]
    fn headings_and_status_words_are_painted_and_the_text_stays() {
        let text = "VERSION  FATE  WHY\n1.1      stays  pin audit\nweb/damaged-1 is DAMAGED\n";
        let painted = paint(text);
        assert!(painted.contains("\u{1b}[1mVERSION  FATE  WHY"), "{painted:?}");
        assert!(painted.contains("\u{1b}[31mDAMAGED"), "{painted:?}");
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), text);
        assert_eq!(paint("an unmodified line\n"), "an unmodified line\n");
        let error = paint_error("error: no\n  cause: x\nhelp: error: is no prefix here\n");
        assert_eq!(error.matches("\u{1b}[0m").count(), 3, "{error:?}");
    }
}
