//! Texts as string literals of other languages. No text can end its literal.

/// Returns one word of a POSIX shell. NUL, which a shell cannot store, becomes U+FFFD.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\0', "\u{fffd}").replace('\'', "'\\''"))
}

/// Returns an ASCII PowerShell expression whose value is the text.
///
/// PowerShell ends a string at any of four quote characters. Windows PowerShell decodes a file
/// without a byte order mark in the machine's code page, where bytes of other letters may become
/// quotes.
pub(super) fn powershell(text: &str) -> String {
    let is_plain = |c: u16| (0x20..0x7f).contains(&c);
    let mut parts = Vec::new();
    let units: Vec<u16> = text.encode_utf16().collect();
    for run in units.chunk_by(|a, b| is_plain(*a) && is_plain(*b)) {
        if is_plain(run[0]) {
            parts.push(format!("'{}'", String::from_utf16_lossy(run).replace('\'', "''")));
        } else {
            parts.extend(run.iter().map(|unit| format!("[char]0x{unit:04x}")));
        }
    }
    match &parts[..] {
        [] => "''".to_owned(),
        [part] if part.starts_with('\'') => part.clone(),
        // The sum starts with a string. Otherwise, PowerShell would add the characters as numbers.
        _ if parts[0].starts_with('\'') => format!("({})", parts.join(" + ")),
        _ => format!("('' + {})", parts.join(" + ")),
    }
}

/// Returns a string of an `xl.cfg`, with C's escapes. Control characters become U+FFFD.
pub(super) fn xl(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push('\u{fffd}'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const HOSTILE: [&str; 10] = [
        "",
        "plain",
        "it's",
        "'; rm -rf /; '",
        "$(reboot) `reboot` $HOME \\",
        "\"; reboot; \"",
        "a\nb\r\n#\t!",
        "\u{2018}; Stop-Computer; \u{2019}\u{201a}\u{201b}",
        "\u{0112}'\u{1f600}",
        "'''\\'''",
    ];

    fn said_by_sh(literal: &str) -> String {
        let script = format!("printf %s {literal}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Evaluates an expression by PowerShell's grammar: strings in `'`, `[char]` literals and `+`.
    fn said_by_powershell(expression: &str) -> String {
        assert!(expression.bytes().all(|b| (0x20..0x7f).contains(&b)), "{expression}");
        let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let mut rest = inner.unwrap_or(expression);
        assert!(rest.starts_with('\''), "a string first: {expression}");
        let mut units = Vec::new();
        loop {
            if let Some(after) = rest.strip_prefix("[char]0x") {
                units.push(u16::from_str_radix(&after[..4], 16).unwrap());
                rest = &after[4..];
            } else {
                let mut body = rest.strip_prefix('\'').unwrap();
                loop {
                    let end = body.find('\'').unwrap();
                    units.extend(body[..end].encode_utf16());
                    body = &body[end + 1..];
                    let Some(after) = body.strip_prefix('\'') else { break };
                    units.push(u16::from(b'\''));
                    body = after;
                }
                rest = body;
            }
            if rest.is_empty() {
                return String::from_utf16(&units).unwrap();
            }
            assert!(inner.is_some(), "only parentheses hold a sum: {expression}");
            rest = rest.strip_prefix(" + ").unwrap();
        }
    }

    /// Decodes a string like libxlutil, whose lexer ends it at the first quote without a backslash.
    fn said_by_xl(literal: &str) -> String {
        let mut chars = literal.strip_prefix('"').unwrap().chars();
        let mut text = String::new();
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => text.push(chars.next().unwrap()),
                c => {
                    assert!(!c.is_control());
                    text.push(c);
                }
            }
        }
        assert_eq!(chars.next(), None, "{literal} goes on after its string");
        text
    }

    #[test]
    fn a_shell_reads_back_every_text() {
        for text in HOSTILE {
            assert_eq!(said_by_sh(&shell(text)), text);
        }
        assert_eq!(said_by_sh(&shell("a\0b")), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn powershell_reads_back_every_text(text in any::<String>()) {
            prop_assert_eq!(said_by_powershell(&powershell(&text)), text);
        }

        #[test]
        fn xl_reads_back_every_text_without_control_characters(text in any::<String>()) {
            let expect = text.replace(char::is_control, "\u{fffd}");
            prop_assert_eq!(said_by_xl(&xl(&text)), expect);
        }
    }

    #[test]
    fn the_known_tricks_stay_texts() {
        for text in HOSTILE {
            assert_eq!(said_by_powershell(&powershell(text)), text);
            assert_eq!(said_by_xl(&xl(text)), text.replace(char::is_control, "\u{fffd}"));
        }
    }
}
