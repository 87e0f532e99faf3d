//! The rules. Each returns its violations with their places.

use super::source::{Source, without_comments};

pub(crate) type Finding = String;

const FILE_LINES_MAX: usize = 600;
const LINE_LEN_MAX: usize = 100;
const EMPTY_NAMES: [&str; 10] =
    ["utils", "common", "helpers", "misc", "manager", "base", "data", "info", "impl", "util"];

/// Returns a finding for every line of code in which `find` finds one.
fn in_code(source: &Source, find: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let code = source.code();
    let lines = code.lines().enumerate();
    let found = lines.filter_map(|(i, line)| Some((i, find(line)?)));
    found.map(|(i, what)| format!("{}:{}: {what}", source.path, i + 1)).collect()
}

/// Returns the paths that code names, in `use` trees and in expressions.
pub(crate) fn paths_of(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let begins = rest[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == ')');
        rest = &rest[at + 4..];
        if begins {
            let end = rest.find(';').unwrap_or(rest.len());
            spread("", &rest[..end], &mut paths);
        }
    }
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    // A path before a brace was expanded above.
    let named = |path: &&str| path.contains("::") && !path.ends_with("::");
    paths.extend(code.split(|c| !word(c)).filter(named).map(str::to_owned));
    paths
}

/// Expands `a::{b, c::{d, e}}` to `a::b`, `a::c::d`, `a::c::e`.
fn spread(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let mut depth = 0;
    let mut start = 0;
    let ends = tree.char_indices().chain([(tree.len(), ',')]);
    for (at, c) in ends {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = tree[start..at].trim();
                start = at + 1;
                match branch.split_once('{') {
                    _ if branch.is_empty() => {}
                    Some((head, inner)) => {
                        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
                        spread(&format!("{prefix}{}", head.trim()), inner, paths);
                    }
                    None => {
                        let name = branch.split_whitespace().next().unwrap_or_default();
                        paths.push(format!("{prefix}{name}"));
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_under(path: &str, banned: &str) -> bool {
    let path = path.trim_start_matches("::");
    path == banned
        || path.strip_prefix(banned).is_some_and(|rest| rest.starts_with("::"))
        // The name of a type alone, whatever its path.
        || (banned.starts_with(char::is_uppercase) && path.split("::").any(|part| part == banned))
}

/// Finds calls of `Registry::release`, which differ from accessors of that name by their arguments.
pub(crate) fn asks_no_registry_for_a_release(source: &Source) -> Vec<Finding> {
    in_code(source, |line| {
        let (_, arguments) = line.split_once(".release(")?;
        let is_asked = !arguments.starts_with(')');
        is_asked.then(|| "asks for a release past `client/src/resolve`".to_owned())
    })
}

pub(crate) fn names_none_of(source: &Source, banned: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths_of(&source.code()) {
        if let Some(banned) = banned.iter().find(|banned| is_under(&path, banned)) {
            findings.push(format!("{}: names `{path}` ({banned} is another layer's)", source.path));
        }
    }
    findings.dedup();
    findings
}

/// Finds statements that query or change a table.
pub(crate) fn queries_no_table(source: &Source, table: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in without_comments(&source.text).lines().enumerate() {
        let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let is_verb = |word: &str| ["FROM", "INTO", "UPDATE", "JOIN"].contains(&word);
        if words.windows(2).any(|pair| is_verb(pair[0]) && pair[1] == table) {
            findings.push(format!("{}:{}: names the table `{table}`", source.path, at + 1));
        }
    }
    findings
}

/// Finds paths of this workspace's crates that are under none of `allowed`.
pub(crate) fn names_only(source: &Source, allowed: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths_of(&source.code()) {
        let first = path.trim_start_matches("::").split("::").next().unwrap_or_default();
        let is_ours = first == "crate" || first.starts_with("seawall");
        if is_ours && !allowed.iter().any(|allowed| is_under(&path, allowed)) {
            findings.push(format!("{}: names `{path}`, which lies beyond its reach", source.path));
        }
    }
    findings.dedup();
    findings
}

/// Finds re-exports of whole modules. A list of names shows what can be reached.
pub(crate) fn re_exports_names_only(source: &Source) -> Vec<Finding> {
    let is_module = |path: &String| {
        let last = path.rsplit("::").next().unwrap_or_default();
        path.contains("::") && !last.starts_with(char::is_uppercase)
    };
    let mut modules: Vec<_> = paths_of(&source.code()).into_iter().filter(is_module).collect();
    modules.sort();
    modules.dedup();
    modules.iter().map(|path| format!("{}: re-exports all of `{path}`", source.path)).collect()
}

/// Returns the words of identifiers: `ApplicationName` and `application_name` have two.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut begins = true;
    for c in line.chars() {
        if c.is_uppercase() || begins {
            words.push(String::new());
        }
        begins = !c.is_alphanumeric();
        if !begins && let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

pub(crate) fn has_no_word_of(source: &Source, banned: &[&str]) -> Vec<Finding> {
    in_code(source, |line| {
        let found = words(line)
            .into_iter()
            .find(|word| banned.iter().any(|b| word == b || word.strip_suffix('s') == Some(b)));
        found.map(|word| format!("`{word}` is a word of another layer"))
    })
}

pub(crate) fn denies_missing_trait_methods(source: &Source) -> Vec<Finding> {
    if source.text.contains("deny(clippy::missing_trait_methods)") {
        return Vec::new();
    }
    vec![format!("{}: a wrapper denies clippy::missing_trait_methods", source.path)]
}

pub(crate) fn has_no_default_method(source: &Source) -> Vec<Finding> {
    let code = source.code();
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("trait ") {
        let Some(open) = code[at..].find('{') else { continue };
        let body = block(&code[at + open..]);
        for (method, _) in body.match_indices("fn ") {
            let signature = &body[method..];
            let (semicolon, brace) = (signature.find(';'), signature.find('{'));
            if brace.is_some_and(|brace| semicolon.is_none_or(|semicolon| brace < semicolon)) {
                let name = signature[3..].split('(').next().unwrap_or_default();
                findings.push(format!("{}: `{name}` has a default body", source.path));
            }
        }
    }
    findings
}

/// Returns the text from an opening brace to the matching closing brace.
fn block(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

pub(crate) fn is_not_too_long(source: &Source) -> Vec<Finding> {
    let lines = source.code().lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, {FILE_LINES_MAX} are allowed", source.path)]
}

/// Checks comments only: rustfmt wraps code, and tables and strings cannot be wrapped.
pub(crate) fn has_no_long_line(source: &Source) -> Vec<Finding> {
    let is_text = |line: &str| {
        let line = line.trim_start();
        line.starts_with("//") && !line.starts_with("//! |") && !line.starts_with("/// |")
    };
    let lines = source.text.lines().enumerate();
    let long = lines.filter(|(_, line)| line.chars().count() > LINE_LEN_MAX && is_text(line));
    long.map(|(i, _)| format!("{}:{}: the line is too long", source.path, i + 1)).collect()
}

pub(crate) fn has_no_empty_name(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let parts = source.path.trim_end_matches(".rs").split('/');
    if let Some(part) = parts.clone().find(|part| EMPTY_NAMES.contains(part)) {
        findings.push(format!("{}: `{part}` is not a name for a file or folder", source.path));
    }
    findings.extend(in_code(source, |line| {
        let mut tokens = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let keywords = ["struct", "enum", "trait", "type", "mod"];
        let keyword = tokens.find(|token| keywords.contains(token))?;
        // An associated type has the name that its trait gives it.
        if keyword == "type" && line.starts_with(char::is_whitespace) {
            return None;
        }
        let name = tokens.next()?;
        let last = words(name).pop()?;
        EMPTY_NAMES.contains(&&*last).then(|| format!("`{name}` says nothing by its last word"))
    }));
    findings
}

pub(crate) fn begins_with_a_doc(source: &Source) -> Vec<Finding> {
    let first =
        source.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    if first.is_some_and(|line| line.starts_with("//!")) {
        return Vec::new();
    }
    vec![format!("{}: a file begins with what it is (`//!`)", source.path)]
}

/// Finds statements whose parameters first appear in another order than their numbers. SQLite
/// numbers `$1`, `$2` … by first appearance, whatever their digits, so such a statement would bind
/// wrong values and would mean something else to PostgreSQL.
pub(crate) fn numbers_parameters_in_order(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in source.text.split('"') {
        let mut numbers: Vec<u32> = Vec::new();
        for part in text.split('$').skip(1) {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse()
                && !numbers.contains(&number)
            {
                numbers.push(number);
            }
        }
        if numbers.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            let begins: String = text.trim().chars().take(60).collect();
            findings.push(format!("{}: parameters {numbers:?} in `{begins}…`", source.path));
        }
    }
    findings
}

pub(crate) fn leaves_nothing_to_do(source: &Source) -> Vec<Finding> {
    in_code(source, |line| {
        let banned = ["todo!", "unimplemented!", "dbg!"];
        banned.into_iter().find(|name| line.contains(name)).map(|name| format!("`{name}`"))
    })
}

pub(crate) fn names_tests_by_sentences(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let code = super::source::without_comments_and_strings(&source.text);
    let mut after_attribute = false;
    for (i, line) in code.lines().enumerate() {
        let line = line.trim();
        if after_attribute && let Some(at) = line.find("fn ") {
            let name = line[at + 3..].split('(').next().unwrap_or_default();
            if name.starts_with("test_") || !name.contains('_') {
                findings.push(format!("{}:{}: `{name}` is not a sentence", source.path, i + 1));
            }
        }
        let is_attribute = line.starts_with("#[") || line.is_empty();
        let is_test = line == "#[test]" || line.starts_with("#[tokio::test");
        after_attribute = is_test || (after_attribute && is_attribute);
    }
    findings
}

/// Returns the files that differ from their digest in a list of `DIGEST  NAME` lines.
pub(crate) fn differs_from_list(
    list: &str,
    digest: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let lines = list.lines().filter_map(|line| line.split_once("  "));
    let changed = lines.filter(|(wanted, name)| digest(name).as_deref() != Some(wanted));
    changed.map(|(_, name)| format!("tests/golden/{name}: edited or gone")).collect()
}

/// Returns the files that such a list lacks.
pub(crate) fn is_not_listed<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Vec<Finding> {
    let listed =
        |name: &&str| list.lines().any(|l| l.split_once("  ").is_some_and(|l| l.1 == *name));
    let missing = names.filter(|name| *name != "digests" && !listed(name));
    missing.map(|name| format!("tests/golden/{name}: not in `digests`")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_statement_that_names_its_parameters_out_of_order_is_found() {
        let of = |sql: &str| {
            numbers_parameters_in_order(&Source::new("a.rs", &format!("f(\"{sql}\")"))).len()
        };
        assert_eq!(of("UPDATE t SET a = $2 WHERE b = $1"), 1);
        assert_eq!(of("SELECT $1 WHERE b = $3"), 1);
        assert_eq!(of("UPDATE t SET a = $1, c = $1 WHERE b = $2"), 0);
        assert_eq!(of("AND c = $4 AND d = $5"), 0);
    }

    use super::*;

    fn found(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }

    #[test]
    fn another_layer_is_found_however_it_is_named() {
        let rule = |source: &Source| names_none_of(source, &["std::fs", "tokio", "SqliteCatalog"]);
        for text in [
            "use std::fs;",
            "use std::{io, fs};",
            "use std::{io::{self, Read}, fs::File};",
            "pub(crate) use std::fs::File;",
            "fn f() { std::fs::read(x) }",
            "fn f() -> tokio::task::JoinHandle<()> {}",
            "use crate::x::SqliteCatalog;",
            "use crate::x::{A, SqliteCatalog as B};",
            "fn f(x: a::SqliteCatalog::B) {}",
        ] {
            assert!(found(rule, "a.rs", text) > 0, "{text}");
        }
        for text in [
            "use std::io;",
            "// use std::fs;",
            "/// `std::fs::read` is not used",
            "const A: &str = \"std::fs::read\";",
            "use std::fmt;\nuse crate::fs::x;",
            "use tokio_like::x;",
            "#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
        ] {
            assert_eq!(found(rule, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_statement_about_a_table_is_found() {
        let rule = |source: &Source| queries_no_table(source, "chunks");
        for text in [
            "tx.run(\"UPDATE chunks SET a = 1\", &[])",
            "let sql = \"SELECT 1\n    FROM chunks c WHERE\";",
            "\"INSERT INTO chunks (digest)\"",
            "\"SELECT 1 FROM packs JOIN chunks ON a = b\"",
        ] {
            assert_eq!(found(rule, "a.rs", text), 1, "{text}");
        }
        for text in ["// FROM chunks", "\"FROM chunks_of_old\"", "let chunks = from(chunks);"] {
            assert_eq!(found(rule, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn paths_beyond_the_reach_of_a_layer_are_found() {
        let rule = |source: &Source| names_only(source, &["crate::app", "seawall_api"]);
        for text in [
            "use crate::catalog::Channel;",
            "use crate::{app::Registry, catalog};",
            "fn f(c: crate::catalog::Channel) {}",
            "use seawall_store::port::Put;",
            "use crate::apple::Pie;",
        ] {
            assert!(found(rule, "a.rs", text) > 0, "{text}");
        }
        for text in
            ["use crate::app::model;", "use seawall_api::{v1, names::Version};", "use std::io;"]
        {
            assert_eq!(found(rule, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_re_export_of_a_module_is_found() {
        for text in ["pub use crate::catalog;", "pub use crate::catalog::*;", "pub use a::{B, c};"]
        {
            assert_eq!(found(re_exports_names_only, "a.rs", text), 1, "{text}");
        }
        assert_eq!(found(re_exports_names_only, "a.rs", "pub use a::{B, c::{D, E_MAX}};"), 0);
    }

    #[test]
    fn a_release_asked_for_past_its_stage_is_found() {
        let rule = asks_no_registry_for_a_release;
        assert_eq!(found(rule, "a.rs", "let it = registry.release(&application, it).await;"), 1);
        assert_eq!(found(rule, "a.rs", "let it = registry\n    .release(\n"), 1);
        assert_eq!(found(rule, "a.rs", "let it = resolved.release();"), 0);
    }

    #[test]
    fn a_word_of_another_layer_is_found_in_any_case() {
        let rule = |source: &Source| has_no_word_of(source, &["application", "user"]);
        for text in ["struct ApplicationName;", "let user_id = 1;", "fn applications() {}"] {
            assert_eq!(found(rule, "a.rs", text), 1, "{text}");
        }
        for text in ["// the application", "let superuser = \"user\";", "fn reuse() {}"] {
            assert_eq!(found(rule, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_default_method_is_found() {
        let port =
            "pub trait Store {\n    fn get(&self) -> A;\n    fn len(&self) -> u64 { 0 }\n}\n";
        assert_eq!(found(has_no_default_method, "port.rs", port), 1);
        let sound = "pub trait Store {\n    fn get(&self) -> A;\n}\nfn free() { body() }\n";
        assert_eq!(found(has_no_default_method, "port.rs", sound), 0);
    }

    #[test]
    fn a_wrapper_without_the_lint_is_found() {
        assert_eq!(found(denies_missing_trait_methods, "retry.rs", "impl Port for Retry {}"), 1);
    }

    #[test]
    fn long_files_and_lines_are_found() {
        assert_eq!(found(is_not_too_long, "a.rs", &"x\n".repeat(601)), 1);
        assert_eq!(found(is_not_too_long, "a.rs", &"x\n".repeat(600)), 0);
        let tests = format!("x\n#[cfg(test)]\nmod tests {{\n{}}}", "x\n".repeat(700));
        assert_eq!(found(is_not_too_long, "a.rs", &tests), 0, "tests are left out");
        assert_eq!(found(has_no_long_line, "a.rs", &format!("//{}", "ä".repeat(99))), 1);
        assert_eq!(found(has_no_long_line, "a.rs", &format!("//{}", "ä".repeat(98))), 0);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for (path, text) in [
            ("store/src/utils.rs", ""),
            ("store/src/common/x.rs", ""),
            ("a.rs", "pub(crate) struct PackManager;"),
            ("a.rs", "enum Info {}"),
            ("a.rs", "mod helpers;"),
            ("a.rs", "type Data = u8;"),
        ] {
            assert_eq!(found(has_no_empty_name, path, text), 1, "{path} {text}");
        }
        for text in ["struct Database;", "enum Extent { Data(u8) }", "let data = 1;"] {
            assert_eq!(found(has_no_empty_name, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_file_without_a_doc_is_found() {
        assert_eq!(found(begins_with_a_doc, "a.rs", "use x;\n//! too late"), 1);
        assert_eq!(found(begins_with_a_doc, "a.rs", "#![no_main]\n\n//! In time."), 0);
    }

    #[test]
    fn unfinished_code_is_found() {
        assert_eq!(found(leaves_nothing_to_do, "a.rs", "fn f() { todo!() }"), 1);
        assert_eq!(found(leaves_nothing_to_do, "a.rs", "// todo!()"), 0);
    }

    #[test]
    fn a_test_that_is_no_sentence_is_found() {
        for text in ["#[test]\nfn push() {}", "#[test]\nfn test_push() {}"] {
            assert_eq!(found(names_tests_by_sentences, "a.rs", text), 1, "{text}");
        }
        let attributes = "#[tokio::test]\n#[ignore]\nasync fn works() {}";
        assert_eq!(found(names_tests_by_sentences, "a.rs", attributes), 1);
        let sound = "#[test]\nfn a_push_ends_well() {}\nfn helper() {}";
        assert_eq!(found(names_tests_by_sentences, "a.rs", sound), 0);
    }

    #[test]
    fn an_edited_a_lost_and_an_unlisted_golden_file_are_found() {
        let digest = |name: &str| (name != "gone").then(|| format!("digest of {name}"));
        let list = "digest of a  a\ndigest of other  b\nx  gone";
        assert_eq!(differs_from_list(list, digest).len(), 2);
        assert_eq!(is_not_listed(list, ["a", "new", "digests"].into_iter()).len(), 1);
    }
}
