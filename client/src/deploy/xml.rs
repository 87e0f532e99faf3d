//! A writer of XML that escapes all texts and attributes.

/// A document under construction, indented by two spaces a level.
pub(super) struct Xml {
    out: String,
    open: Vec<&'static str>,
}

type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Xml {
    pub(super) fn new() -> Self {
        let out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        Self { out, open: Vec::new() }
    }

    /// Writes a comment. The text is fixed, because two hyphens would end the comment.
    pub(super) fn comment(&mut self, text: &'static str) {
        self.indent();
        self.out.push_str(&format!("<!-- {text} -->\n"));
    }

    /// Begins an element, to be ended by [`Self::close`].
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.tag(name, attributes);
        self.out.push_str(">\n");
        self.open.push(name);
    }

    /// Ends the innermost open element.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.out.push_str(&format!("</{name}>\n"));
        }
    }

    /// Writes an element without content.
    pub(super) fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.tag(name, attributes);
        self.out.push_str("/>\n");
    }

    /// Writes an element with a text.
    pub(super) fn text(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.tag(name, attributes);
        self.out.push_str(&format!(">{}</{name}>\n", escape(text)));
    }

    /// Closes the open elements and returns the document.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn indent(&mut self) {
        self.out.push_str(&"  ".repeat(self.open.len()));
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>) {
        self.indent();
        self.out.push_str(&format!("<{name}"));
        for (key, value) in attributes {
            self.out.push_str(&format!(" {key}=\"{}\"", escape(value)));
        }
    }
}

/// Escapes a text for content or an attribute. Characters that XML 1.0 forbids become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // As references. A parser would normalise the characters themselves to spaces or line
            // ends.
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(c))),
            '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_and_attributes_stay_what_they_are() {
        let mut xml = Xml::new();
        xml.open("a", &[("k", "\"/><b c='")]);
        xml.text("d", &[], "</d><!-- ]]> &amp;\0\n");
        xml.empty("e", &[]);
        let body = xml.finish();
        let expect = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                      <a k=\"&quot;/&gt;&lt;b c=&apos;\">\n  \
                      <d>&lt;/d&gt;&lt;!-- ]]&gt; &amp;amp;\u{fffd}&#10;</d>\n  <e/>\n</a>\n";
        assert_eq!(body, expect);
    }

    proptest! {
        #[test]
        fn no_text_holds_markup(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'', '\n', '\r', '\t']));
            let mut back = escaped.clone();
            for (code, c) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"),
                ("&#9;", "\t"), ("&#10;", "\n"), ("&#13;", "\r"), ("&amp;", "&")] {
                back = back.replace(code, c);
            }
            let lost = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f'
                | '\u{fffe}' | '\u{ffff}');
            prop_assert_eq!(back, text.replace(lost, "\u{fffd}"));
        }
    }
}
