//! Text in place of a disk: a VMDK descriptor, or a file given by mistake.

use super::super::formats::vmdk;

pub(super) const VMX: &str = "the configuration of a machine of VMware";
pub(super) const OVF: &str = "an OVF descriptor";
pub(super) const LFS: &str = "a pointer of git-lfs and not the file";
pub(super) const HTML: &str = "an HTML page";
const XML: &str = "XML";
const SCRIPT: &str = "a script";

/// Maximum length of text, in bytes: that of a descriptor.
const TEXT_LEN_MAX: u64 = 1 << 20;

/// The kind of text in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Text {
    /// No text.
    None,
    /// A VMDK descriptor, with or without its usual first line.
    Descriptor,
    /// Text of a known kind, with its description.
    Known(&'static str),
    /// Other text.
    Other,
}

/// Returns the kind of text in a file of `len` bytes that begins with `head`.
pub(super) fn classify(head: &[u8], len: u64) -> Text {
    let end = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = &head[..end];
    // Zeros may fill the last block of a descriptor. In a disk that begins with text, other bytes
    // follow.
    let is_all = text.len() == head.len() || len <= TEXT_LEN_MAX;
    if len <= TEXT_LEN_MAX && vmdk::is_descriptor(text) {
        return Text::Descriptor;
    }
    let start = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    if let Some(known) = known(start) {
        return Text::Known(known);
    }
    let is_wide = text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff");
    let is_control =
        |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    let is_text =
        !text.is_empty() && is_all && !text.iter().any(|it| is_control(it) || *it == 0x7f);
    if is_text || (is_wide && len <= TEXT_LEN_MAX) { Text::Other } else { Text::None }
}

fn known(start: &[u8]) -> Option<&'static str> {
    let begins = |with: &str| {
        start.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()))
    };
    let early = &start[..start.len().min(4096)];
    let has = |what: &[u8]| early.windows(what.len()).any(|it| it.eq_ignore_ascii_case(what));
    let is_comment = begins("<!--") && has(b"<html");
    if begins("<!doctype html") || begins("<html") || is_comment {
        return Some(HTML);
    }
    if begins("<?xml") || begins("<envelope") || begins("<ovf:envelope") {
        return Some(if has(b"envelope") {
            OVF
        } else if has(b"<html") {
            HTML
        } else {
            XML
        });
    }
    if begins("version https://git-lfs") || begins("version https://hawser.") {
        return Some(LFS);
    }
    if (begins(".encoding") || begins("config.version")) && has(b"config.version") {
        return Some(VMX);
    }
    begins("#!/").then_some(SCRIPT)
}
