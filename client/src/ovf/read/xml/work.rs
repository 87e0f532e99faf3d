//! A bound on the cost of parsing a document, computed before parsing.
//!
//! The length of a document does not bound the cost. To resolve names, a parser compares every
//! attribute of an element with the others, and with every namespace in scope: 207 KiB kept a
//! parser busy for 12.8 s. [`measure`] reads the tags once and adds up the parser's comparisons.

/// The maximum number of a document's namespace declarations, including repetitions.
const DECLARATIONS_MAX: u64 = 10_000;
/// The maximum number of an element's attributes.
const ATTRIBUTES_MAX: u64 = 256;
/// The maximum depth of elements.
const DEPTH_MAX: usize = 256;
/// The maximum length of a prefix or namespace name, in bytes.
const NAME_LEN_MAX: usize = 512;
/// The maximum number of comparisons in a document, which take a few tenths of a second.
const COMPARISONS_MAX: u64 = 50_000_000;
/// The number of bytes of a name that count as one comparison.
const COMPARED_LEN: u64 = 32;

/// The cost of parsing a document.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Work {
    pub(super) declarations: u64,
    pub(super) comparisons: u64,
}

/// Adds up the cost of parsing `text`.
///
/// # Errors
/// Fails with the exceeded limit.
pub(super) fn measure(text: &str) -> Result<Work, String> {
    let mut work = Work::default();
    // The number of namespaces in scope of each open element.
    let mut scopes: Vec<u64> = Vec::new();
    let mut name_len: u64 = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(after) = skipped(rest) {
            rest = after;
            continue;
        }
        let end = tag_len(rest);
        let (tag, after) = rest.split_at(end);
        rest = after;
        if tag.starts_with("</") {
            scopes.pop();
            continue;
        }
        let found = Tag::read(tag)?;
        work.declarations += found.declarations;
        name_len = name_len.max(found.name_len);
        let in_scope = scopes.last().copied().unwrap_or(0) + found.declarations;
        let attributes = found.attributes;
        let inherited = if found.declarations > 0 { in_scope * in_scope } else { 0 };
        let compared = inherited + (attributes + 1) * in_scope + attributes * attributes;
        work.comparisons += compared * (1 + name_len / COMPARED_LEN);
        if !tag.ends_with("/>") {
            scopes.push(in_scope);
        }
        let exceeded = [
            (
                work.declarations > DECLARATIONS_MAX,
                "declares more namespaces than",
                DECLARATIONS_MAX,
            ),
            (attributes > ATTRIBUTES_MAX, "has an element of more attributes than", ATTRIBUTES_MAX),
            (scopes.len() > DEPTH_MAX, "nests elements deeper than", DEPTH_MAX as u64),
            (
                work.comparisons > COMPARISONS_MAX,
                "has so many namespaces and attributes that the names to compare are more than",
                COMPARISONS_MAX,
            ),
        ];
        if let Some((_, what, limit)) = exceeded.iter().find(|(is, ..)| *is) {
            return Err(format!("it {what} {limit}"));
        }
    }
    Ok(work)
}

/// Returns the rest after a comment, CDATA, an instruction or a declaration at the start of `rest`.
fn skipped(rest: &str) -> Option<&str> {
    let (_, end) = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")]
        .into_iter()
        .find(|(start, _)| rest.starts_with(start))?;
    Some(rest.find(end).map_or("", |at| &rest[at + end.len()..]))
}

/// Returns the length of the tag at the start of `rest`. A quoted `>` does not end a tag.
fn tag_len(rest: &str) -> usize {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    rest.len()
}

/// The counts of a start tag.
#[derive(Default)]
struct Tag {
    attributes: u64,
    declarations: u64,
    /// The length of the longest declared namespace name, in bytes.
    name_len: u64,
}

impl Tag {
    fn read(tag: &str) -> Result<Self, String> {
        let mut counts = Self::default();
        let mut rest = tag;
        while let Some((before, after)) = rest.split_once('=') {
            let name = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let Some(quote) = quote else { break };
            let value_end = after[1..].find(quote).map_or(after.len(), |at| at + 1);
            let value = &after[1..value_end.max(1)];
            rest = after.get(value_end + 1..).unwrap_or_default();
            if name.len() > NAME_LEN_MAX {
                return Err(format!("it has an attribute name of more than {NAME_LEN_MAX} bytes"));
            }
            if name.starts_with("xmlns") {
                if value.len() > NAME_LEN_MAX {
                    return Err(format!("it has a namespace of more than {NAME_LEN_MAX} bytes"));
                }
                counts.declarations += 1;
                counts.name_len = counts.name_len.max(value.len() as u64);
            } else {
                counts.attributes += 1;
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// Returns elements in scope of `count` namespaces, with one declaration each.
    fn namespaces(count: usize, elements: usize) -> String {
        let mut text = String::from("<a");
        for at in 0..count {
            write!(text, " xmlns:n{at}='u{at}'").unwrap();
        }
        text.push('>');
        text.push_str(&"<b xmlns:x='y'/>".repeat(elements));
        text + "</a>"
    }

    #[test]
    fn comparisons_are_counted_and_not_only_bytes() {
        let few = measure(&namespaces(10, 10)).unwrap();
        assert_eq!(few.declarations, 20);
        assert_eq!(few.comparisons, 10 * 10 + 10 + 10 * (11 * 11 + 11));
        // An attack: as many bytes, but far more comparisons.
        let text = namespaces(4_000, 5_000);
        assert!(text.len() < 207 << 10);
        assert!(measure(&text).unwrap_err().contains("names to compare"), "{}", text.len());
        assert!(measure(&namespaces(10, 10_000)).unwrap_err().contains("declares more namespaces"));
        // A large but simple document: a thousand virtual machines of current tools.
        let plain = "<Item a='1'><x:b xmlns:x='y'>2</x:b></Item>".repeat(9_000);
        assert!(measure(&format!("<a>{plain}</a>")).is_ok());
    }

    #[test]
    fn attributes_depth_and_the_length_of_names_are_bounded() {
        let mut wide = String::from("<a");
        for at in 0..300 {
            write!(wide, " a{at}=''").unwrap();
        }
        assert!(measure(&format!("{wide}/>")).unwrap_err().contains("more attributes"));
        assert!(measure(&"<a>".repeat(1_000)).unwrap_err().contains("deeper"));
        assert!(measure(&"<a></a>".repeat(1_000)).is_ok());
        assert!(measure(&format!("<a xmlns='{}'/>", "u".repeat(600))).is_err());
        assert!(measure(&format!("<a {}='1'/>", "u".repeat(600))).is_err());
    }

    #[test]
    fn quoted_or_commented_text_is_no_tag() {
        let text = "<?xml version='1.0'?><!-- <a xmlns:b='c'> --><a b='<x xmlns=\"\">' c=\">\">\
                    <![CDATA[<d xmlns:e='f'>]]></a>";
        assert_eq!(measure(text).unwrap().declarations, 0);
        for broken in ["<", "<a", "<a b", "<a b=", "<a b='", "<!--", "<a =''>", "</", "<é='é'>"] {
            assert!(measure(broken).is_ok(), "{broken}");
        }
    }
}
