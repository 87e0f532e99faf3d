//! The source files, in the form that the rules examine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Rust file.
pub(crate) struct Source {
    /// The path from the repository's root.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Returns whether the source is a test, or serves tests only.
    pub(crate) fn is_test(&self) -> bool {
        let parts = ["/tests/", "/benches/", "/examples/", "/testing/", "/conformance/", "fuzz/"];
        let files = ["/tests.rs", "/testing.rs", "/conformance.rs"];
        self.path.starts_with("tests/")
            || parts.iter().any(|part| self.path.contains(part))
            || files.iter().any(|file| self.path.ends_with(file))
    }

    /// Returns the text without comments, strings and the inline test module.
    pub(crate) fn code(&self) -> String {
        let text =
            self.text.find("#[cfg(test)]\nmod tests {").map_or(&*self.text, |at| &self.text[..at]);
        without_comments_and_strings(text)
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns every Rust file of the repository.
pub(crate) fn sources() -> Vec<Source> {
    let folders = ["api-spec", "store", "client", "server", "tests", "fuzz/fuzz_targets"];
    let mut sources = Vec::new();
    for folder in folders {
        for path in files_in(&root().join(folder)) {
            let path = format!("{folder}/{path}");
            if path.ends_with(".rs") && !path.contains("/target/") {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are found");
    sources
}

/// Returns every file below a folder, by relative path, in order.
pub(crate) fn files_in(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(folder.join(&next)).unwrap().flatten() {
            let path = next.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                pending.push(path);
            } else {
                files.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Returns the dependencies of each package of the workspace, without those of its tests.
pub(crate) fn packages() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        packages.insert(word(&package["name"]), normal.map(|d| word(&d["name"])).collect());
    }
    packages
}

/// Removes comments and string literals, but not line ends, so that lines keep their numbers.
pub(crate) fn without_comments_and_strings(text: &str) -> String {
    without(text, false)
}

/// Removes comments, but neither strings nor line ends.
pub(crate) fn without_comments(text: &str) -> String {
    without(text, true)
}

fn without(text: &str, keeps_strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut is_string = true;
        let len = if rest.starts_with("//") {
            is_string = false;
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            is_string = false;
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if c == '"' {
            string_len(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            // A character literal with a quote would open a string.
            rest[2..].find('\'').map_or(2, |end| end + 3)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if is_string && keeps_strings {
            out.push_str(&rest[..len]);
        } else {
            out.extend(rest[..len].chars().filter(|c| *c == '\n'));
        }
        rest = &rest[len..];
    }
    out
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
