//! The document tree, read the way OVF means it.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements, attributes and texts of one descriptor: about 100 for each virtual machine.
const NODES_MAX: u32 = 500_000;

/// OVF 1.x.
pub(super) const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";
/// Our own attributes, where OVF has no word: foreign ones are allowed everywhere.
pub(super) const SEAWALL: &str = "urn:seawall:ovf:1";

/// Parses a document. It has no DTD: entities cannot multiply, nothing outside is read.
pub(super) fn document(text: &str) -> Result<Document<'_>, roxmltree::Error> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..Default::default() };
    Document::parse_with_options(text, options)
}

/// The elements right below one.
pub(super) fn children<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// Whether an element is of OVF's own and has this name.
pub(super) fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name && node.tag_name().namespace() == Some(OVF)
}

/// The elements of OVF's own right below one that have this name.
pub(super) fn named<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    children(node).filter(move |child| is(*child, name))
}

/// An attribute of OVF's own. Tools write it with and without the prefix.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attribute((OVF, name)).or_else(|| node.attribute(name)).map(str::trim)
}

/// An attribute of whatever namespace.
pub(super) fn foreign<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|it| it.name() == name).map(|it| it.value().trim())
}

/// Whether an attribute of OVF's own says yes.
pub(super) fn flag(node: Node<'_, '_>, name: &str) -> Option<bool> {
    match attribute(node, name)? {
        "true" | "1" => Some(true),
        _ => Some(false),
    }
}

/// The text of an element, without the white space around it.
pub(super) fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().map_or("", str::trim)
}

/// The text of the first element below that has this name, in whatever namespace.
pub(super) fn text_of<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    children(node).find(|child| child.tag_name().name() == name).map_or("", text)
}

/// What an element is called where a person reads it: `vmw:Config`.
pub(super) fn title(node: Node<'_, '_>) -> String {
    let name = node.tag_name().name();
    match node.tag_name().namespace() {
        Some(OVF) | None => name.to_owned(),
        Some(namespace) => match node.lookup_prefix(namespace) {
            Some(prefix) => format!("{prefix}:{name}"),
            None => name.to_owned(),
        },
    }
}
