//! Writes XML text.

use std::fmt::Write as _;

/// A document under construction.
#[derive(Default)]
pub(super) struct Xml {
    pub(super) text: String,
    depth: usize,
}

impl Xml {
    pub(super) fn open(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.begin(tag, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
    }

    pub(super) fn close(&mut self, tag: &str) {
        self.depth = self.depth.saturating_sub(1);
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:1$}</{tag}>", "", self.depth * 2);
    }

    pub(super) fn leaf(&mut self, tag: &str, attributes: &[(&str, &str)], text: Option<&str>) {
        self.begin(tag, attributes);
        match text {
            None => self.text.push_str("/>\n"),
            Some(text) => {
                self.text.push('>');
                self.escaped(text);
                let _ = writeln!(self.text, "</{tag}>");
            }
        }
    }

    fn begin(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.text, "{:1$}<{tag}", "", self.depth * 2);
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"");
            self.escaped(value);
            self.text.push('"');
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // In attributes, a parser would normalise the characters themselves to spaces.
                '\n' | '\t' | '\r' => {
                    let _ = write!(self.text, "&#{};", u32::from(c));
                }
                // XML forbids these characters, even escaped.
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.text.push('\u{fffd}'),
                c => self.text.push(c),
            }
        }
    }
}
