//! Access to the document tree by OVF's rules.

mod work;

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};

/// The maximum number of nodes in a descriptor. A virtual machine has about 100.
const NODES_MAX: u32 = 500_000;
/// The maximum number of undeclared prefixes in a document.
const UNDECLARED_MAX: usize = 16;

/// The namespace of OVF 1.x.
pub(in crate::ovf) const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";
/// The namespace of Seawall's attributes, for properties that OVF cannot express.
pub(in crate::ovf) const SEAWALL: &str = "urn:seawall:ovf:1";
/// The namespaces of OVF's own prefixes, for documents that lack their declarations.
const WELL_KNOWN: [(&str, &str); 4] = [
    ("ovf", OVF),
    ("rasd", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"),
    ("vssd", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"),
    ("xsi", "http://www.w3.org/2001/XMLSchema-instance"),
];

/// The reason a text is not parsed.
#[derive(Debug)]
pub(super) enum Refused {
    /// Parsing would cost more than any descriptor needs.
    Costly(String),
    Malformed(roxmltree::Error),
}

/// A text prepared for the parser.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    text: Cow<'a, str>,
    /// The prefixes that are used but not declared.
    pub(super) undeclared: Vec<String>,
}

/// Bounds the cost of parsing a text, and adds missing declarations of prefixes.
///
/// Some tools drop a namespace's declaration. No parser accepts such a document, although the parts
/// of OVF itself are intact.
pub(super) fn prepare(text: &str) -> Result<Prepared<'_>, Refused> {
    work::measure(text).map_err(Refused::Costly)?;
    let mut prepared =
        Prepared { text: without_doctype(without_comments(text)), undeclared: Vec::new() };
    while let Some(prefix) = prepared.undeclared_prefix() {
        if prepared.undeclared.len() >= UNDECLARED_MAX || prepared.undeclared.contains(&prefix) {
            break;
        }
        let Some(at) = root_name_end(&prepared.text) else { break };
        let known = WELL_KNOWN.iter().find(|(known, _)| *known == prefix);
        let uri =
            known.map_or_else(|| format!("urn:undeclared:{prefix}"), |(_, uri)| (*uri).into());
        prepared.text.to_mut().insert_str(at, &format!(" xmlns:{prefix}=\"{uri}\""));
        prepared.undeclared.push(prefix);
    }
    Ok(prepared)
}

impl Prepared<'_> {
    /// Parses the document. DTDs are forbidden: entities cannot multiply, and nothing outside is
    /// read.
    pub(super) fn document(&self) -> Result<Document<'_>, Refused> {
        self.parse().map_err(Refused::Malformed)
    }

    /// Returns the first prefix that is used but not declared.
    fn undeclared_prefix(&self) -> Option<String> {
        match self.parse() {
            Err(roxmltree::Error::UnknownNamespace(prefix, _)) => Some(prefix),
            _ => None,
        }
    }

    fn parse(&self) -> Result<Document<'_>, roxmltree::Error> {
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..Default::default() };
        Document::parse_with_options(&self.text, options)
    }
}

/// Drops comments and processing instructions, because each would split the text around it.
fn without_comments(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find('<') {
        let start = at + found;
        let rest = &text[start..];
        let is_declaration = start == 0 && rest.starts_with("<?xml");
        let (begin, end, is_dropped) = if rest.starts_with("<!--") {
            ("<!--", "-->", true)
        } else if rest.starts_with("<?") {
            ("<?", "?>", !is_declaration)
        } else if rest.starts_with("<![CDATA[") {
            ("<![CDATA[", "]]>", false)
        } else {
            at = start + 1;
            continue;
        };
        // The parser refuses an unterminated construct.
        let Some(len) = rest[begin.len()..].find(end) else { break };
        at = start + begin.len() + len + end.len();
        if is_dropped {
            kept.push_str(&text[from..start]);
            from = at;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Drops a document type with only a name, because it declares nothing.
fn without_doctype(text: Cow<'_, str>) -> Cow<'_, str> {
    const START: &str = "<!DOCTYPE";
    let Some(at) = root_name_end(&text).filter(|at| text[..*at].ends_with(START)) else {
        return text;
    };
    let Some(end) = text[at..].find('>').map(|end| at + end) else { return text };
    let name = text[at..end].trim();
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, ':' | '_')) {
        return text;
    }
    Cow::Owned(format!("{}{}", &text[..at - START.len()], &text[end + 1..]))
}

/// Returns the end of the root element's name.
fn root_name_end(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find('<')?;
        let rest = &text[at..];
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
            return Some(at + end);
        };
        at += rest.find(end)? + end.len();
    }
}

/// Returns true for a namespace of OVF 1 or 2, or of the drafts that tools implement.
pub(super) fn is_ovf(namespace: &str) -> bool {
    let name = namespace.trim().trim_end_matches('/').to_ascii_lowercase();
    let name = name.split_once("://").map_or(&*name, |(_, name)| name);
    matches!(
        name,
        "schemas.dmtf.org/ovf/envelope/1"
            | "schemas.dmtf.org/ovf/envelope/2"
            | "schemas.dmtf.org/ovf/1/envelope"
            | "schemas.dmtf.org/ovf/2/envelope"
            | "www.vmware.com/schema/ovf/1/envelope"
    )
}

/// Returns the child elements.
pub(super) fn children<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// Returns the kind of an element. Drafts of OVF and oVirt write `Section xsi:type="X_Type"` for
/// `X`.
pub(super) fn kind<'a>(node: Node<'a, '_>) -> &'a str {
    let name = node.tag_name().name();
    if !matches!(name, "Section" | "Content") {
        return name;
    }
    let Some(kind) = foreign(node, "type") else { return name };
    let kind = kind.rsplit_once(':').map_or(kind, |(_, local)| local);
    kind.strip_suffix("_Type").unwrap_or(kind)
}

/// Returns true if an element is OVF's and of this kind. oVirt's elements have no namespace.
pub(super) fn is(node: Node<'_, '_>, name: &str) -> bool {
    kind(node) == name && node.tag_name().namespace().is_none_or(is_ovf)
}

/// Returns OVF's child elements of one kind.
pub(super) fn named<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    children(node).filter(move |child| is(*child, name))
}

/// Returns an attribute of OVF. Tools write these with and without the prefix.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let of_ovf = |it: &roxmltree::Attribute<'_, '_>| it.namespace().is_none_or(is_ovf);
    node.attributes().find(|it| it.name() == name && of_ovf(it)).map(|it| it.value().trim())
}

/// Returns an attribute in any namespace.
pub(super) fn foreign<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|it| it.name() == name).map(|it| it.value().trim())
}

/// Returns the value of a boolean attribute of OVF.
pub(super) fn flag(node: Node<'_, '_>, name: &str) -> Option<bool> {
    attribute(node, name).map(is_yes)
}

/// Returns true if a value means yes, in any case.
pub(super) fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value == "1" || value.eq_ignore_ascii_case("yes")
}

/// Returns the text of an element, trimmed.
pub(super) fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().map_or("", str::trim)
}

/// Returns the text of the first child element with a name, in any namespace.
///
/// Falls back to a match without case, because CIM changed the case of names.
pub(super) fn text_of<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let exact = children(node).find(|child| child.tag_name().name() == name);
    let alike = || children(node).find(|it| it.tag_name().name().eq_ignore_ascii_case(name));
    exact.or_else(alike).map_or("", text)
}

/// Returns the name of an element for messages, such as `vmw:Config`.
pub(super) fn title(node: Node<'_, '_>) -> String {
    let name = kind(node);
    match node.tag_name().namespace() {
        None => name.to_owned(),
        Some(namespace) if is_ovf(namespace) => name.to_owned(),
        Some(namespace) => match node.lookup_prefix(namespace) {
            Some(prefix) => format!("{prefix}:{name}"),
            None => name.to_owned(),
        },
    }
}
