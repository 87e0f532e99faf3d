//! Decodes descriptors and manifests from the encodings that tools write.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The maximum length of an XML declaration with the bytes before it, in bytes.
const DECLARATION_LEN_MAX: usize = 512;

/// A decoded text, and the fault in its encoding.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) note: Option<String>,
}

/// Decodes bytes by their byte order mark, by their XML declaration, or as UTF-8.
///
/// Never fails: invalid bytes are decoded as Windows-1252 or become U+FFFD, with a note. Trims
/// white space and zeros around the text.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (encoding, skip, mut note) = encoding_of(bytes);
    let bytes = &bytes[skip..];
    let text = if encoding == UTF_8 {
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                note = Some("it is not in UTF-8; it was read as Windows-1252".to_owned());
                WINDOWS_1252.decode_without_bom_handling(bytes).0
            }
        }
    } else {
        let (text, is_broken) = encoding.decode_without_bom_handling(bytes);
        if is_broken {
            note = Some(format!("it has bytes that are not in {}", encoding.name()));
        }
        text
    };
    Decoded { text: trimmed(text), note }
}

/// Returns the encoding, the length of the byte order mark, and a fault in the declaration.
fn encoding_of(bytes: &[u8]) -> (&'static Encoding, usize, Option<String>) {
    if let Some((encoding, len)) = Encoding::for_bom(bytes) {
        return (encoding, len, None);
    }
    // Without a mark, the first two bytes decide: descriptors and manifests begin with ASCII.
    match bytes {
        [0, second, ..] if *second != 0 => return (UTF_16BE, 0, None),
        [first, 0, ..] if *first != 0 => return (UTF_16LE, 0, None),
        _ => {}
    }
    let Some(label) = declared(bytes) else { return (UTF_8, 0, None) };
    match Encoding::for_label(label.as_bytes()) {
        // Tools with UTF-16 strings declare UTF-16, whatever they write.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => {
            let note = format!("it says that it is in `{}`, and is not", label.escape_debug());
            (UTF_8, 0, Some(note))
        }
        Some(encoding) => (encoding, 0, None),
        None => {
            let note = format!("its encoding `{}` is unknown", label.escape_debug());
            (UTF_8, 0, Some(note))
        }
    }
}

/// Returns the encoding named by an XML declaration.
fn declared(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(DECLARATION_LEN_MAX)];
    let head = &head[head.iter().position(|byte| !byte.is_ascii_whitespace())?..];
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&head[..end]).ok()?.strip_prefix("<?xml")?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?;
    let value = value.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split_once(quote).map(|(label, _)| label.trim())
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_padding = |c: char| c.is_whitespace() || matches!(c, '\0' | '\u{feff}' | '\u{1a}');
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_padding)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_padding).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bom: bool, swap: bool) -> Vec<u8> {
        let units = bom.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn text_is_read_in_the_encodings_that_tools_write() {
        let text = "<?xml version='1.0'?><a>é日</a>";
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            format!("\n {text}\r\n\0\0").into_bytes(),
            utf16(text, true, false),
            utf16(text, true, true),
            utf16(text, false, false),
            utf16(text, false, true),
        ] {
            let decoded = decode(&bytes);
            assert_eq!((&*decoded.text, decoded.note), (text, None), "{bytes:?}");
        }
        let declared = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(decode(declared).text.ends_with("<a>é</a>"));
        let chinese = b"<?xml version='1.0' encoding = \"gb2312\"?><a>\xd6\xd0</a>";
        assert!(decode(chinese).text.ends_with("<a>中</a>"));
    }

    #[test]
    fn a_contradiction_of_the_declared_encoding_is_noted() {
        for (bytes, note) in [
            (&b"<a>\xe9</a>"[..], "it is not in UTF-8"),
            (b"<?xml version='1.0' encoding='utf-16'?><a/>", "`utf-16`, and is not"),
            (b"<?xml version='1.0' encoding='klingon'?><a/>", "`klingon` is unknown"),
        ] {
            let decoded = decode(bytes);
            assert!(decoded.note.as_deref().unwrap_or_default().contains(note), "{decoded:?}");
            assert!(decoded.text.starts_with('<'));
        }
        assert_eq!(&*decode(b"").text, "");
        assert_eq!(&*decode(b"\0").text, "");
    }
}
