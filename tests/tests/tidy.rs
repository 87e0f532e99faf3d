//! The architecture's invariants and the rules of size and naming, checked on the source itself
//! (docs/ARCHITECTURE.md). Each rule is a function from a text to its violations. A test shows that
//! each rule finds a violation.

mod english;
mod rules;
pub(crate) mod source;

use english::{Sentence, first_sentences, per_cent};
use rules::Finding;
use source::{Source, root, sources};

/// Fails with every finding, so that one run shows all violations.
#[track_caller]
fn none(findings: &[Finding]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn check(sources: &[Source], rule: impl Fn(&Source) -> Vec<Finding>) {
    assert!(!sources.is_empty(), "a rule that looks at nothing finds nothing");
    none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

fn under(folder: &str) -> Vec<Source> {
    sources().into_iter().filter(|source| source.path.starts_with(folder)).collect()
}

/// The product's code: no tests, benches, examples or fuzz targets.
fn product() -> Vec<Source> {
    let crates = ["api-spec/src/", "store/src/", "client/src/", "server/src/"];
    let mut sources = sources();
    sources.retain(|s| crates.iter().any(|prefix| s.path.starts_with(prefix)) && !s.is_test());
    sources
}

#[test]
fn sql_names_its_parameters_in_order() {
    check(&under("server/src/catalog/sqlite"), rules::numbers_parameters_in_order);
}

#[test]
fn the_contract_is_pure_data() {
    let banned = [
        "tokio",
        "async_std",
        "futures",
        "rand",
        "getrandom",
        "reqwest",
        "std::fs",
        "std::net",
        "std::time",
        "std::env",
        "std::process",
        "std::thread",
        "std::os",
    ];
    check(&under("api-spec/src/"), |source| rules::names_none_of(source, &banned));
}

#[test]
fn the_store_knows_no_http_no_application_no_channel_and_no_user() {
    let banned = ["reqwest", "actix_web", "seawall_server", "seawall", "seawall_api::names"];
    check(&under("store/src/"), |source| rules::names_none_of(source, &banned));
    let words = ["route", "application", "user", "account", "tenant"];
    check(&under("store/src/"), |source| rules::has_no_word_of(source, &words));
    // The wire of a bucket is HTTP, and a time-out needs to see its bodies move.
    let mut sources = under("store/src/");
    sources.retain(|source| !source.path.starts_with("store/src/backend/s3/"));
    check(&sources, |source| rules::has_no_word_of(source, &["http"]));
}

#[test]
fn use_cases_and_catalog_know_no_web_framework() {
    let banned = ["actix_web", "actix", "reqwest", "crate::http"];
    let mut sources = under("server/src/app/");
    sources.extend(under("server/src/catalog/"));
    check(&sources, |source| rules::names_none_of(source, &banned));
    sources.retain(|source| !is_of_an_engine(&source.path) && !source.is_test());
    check(&sources, |source| rules::names_none_of(source, &ENGINES));
}

/// The databases, and the modules that speak to them.
const ENGINES: [&str; 4] =
    ["rusqlite", "tokio_postgres", "crate::catalog::sqlite", "crate::catalog::postgres"];

fn is_of_an_engine(path: &str) -> bool {
    ["sqlite", "postgres"]
        .iter()
        .any(|name| path.starts_with(&format!("server/src/catalog/{name}")))
}

#[test]
fn an_engine_of_the_catalog_does_not_know_the_other() {
    for (folder, others) in [
        ("sqlite", ["tokio_postgres", "crate::catalog::postgres"]),
        ("postgres", ["rusqlite", "crate::catalog::sqlite"]),
    ] {
        let sources = under(&format!("server/src/catalog/{folder}/"));
        check(&sources, |source| rules::names_none_of(source, &others));
    }
}

#[test]
fn the_edge_knows_no_backend_and_no_sql() {
    let banned = ["rusqlite", "object_store", "seawall_store::backend", "crate::catalog::sqlite"];
    check(&under("server/src/http/"), |source| rules::names_none_of(source, &banned));
}

/// The edge uses values of `app` and of the contract, its own parts, and the configuration of the
/// process.
#[test]
fn the_edge_names_no_type_of_catalog_or_store() {
    let allowed = [
        "seawall_api",
        "crate::app",
        "crate::http",
        "crate::config",
        "crate::jobs",
        "crate::metrics",
        "crate::tokens",
    ];
    check(&under("server/src/http/"), |source| rules::names_only(source, &allowed));
    let model = under("server/src/app/model");
    check(&model, rules::re_exports_names_only);
    let ports = ["Catalog", "Engine", "Tx", "ObjectStore", "rusqlite"];
    check(&model, |source| rules::names_none_of(source, &ports));
}

/// A route that is registered only with the framework would declare no access.
#[test]
fn every_route_of_the_edge_declares_its_access() {
    let banned = [
        "web::resource",
        "web::scope",
        "web::route",
        "web::method",
        "web::to",
        "web::get",
        "web::head",
        "web::post",
        "web::put",
        "web::delete",
        "web::patch",
        "actix_web::Resource",
        "actix_web::Route",
        "actix_web::Scope",
    ];
    let mut sources = under("server/src/http/");
    sources.retain(|source| source.path != "server/src/http/frame/route.rs");
    check(&sources, |source| rules::names_none_of(source, &banned));
}

/// Another protocol adds a voice, and reuses the frame.
#[test]
fn the_frame_of_requests_knows_no_protocol() {
    let banned = [
        "seawall_api::problem",
        "crate::app::AppError",
        "crate::http::voice",
        "crate::http::extract",
        "crate::http::v1",
        "crate::http::meta",
        "ApiError",
    ];
    check(&under("server/src/http/frame/"), |source| rules::names_none_of(source, &banned));
}

#[test]
fn only_the_start_of_a_registry_names_concrete_adapters() {
    let mut banned = vec!["seawall_store::backend", "object_store"];
    banned.extend(ENGINES);
    let mut sources = under("server/src/");
    let adapter = |s: &Source| is_of_an_engine(&s.path);
    sources.retain(|s| !s.path.starts_with("server/src/startup") && !adapter(s) && !s.is_test());
    check(&sources, |source| rules::names_none_of(source, &banned));
}

#[test]
fn the_rules_of_the_catalog_name_no_engine() {
    let mut banned = vec!["tokio", "std::fs", "sqlite", "postgres"];
    banned.extend(ENGINES);
    for folder in ["rules", "model", "verbs"] {
        let sources = under(&format!("server/src/catalog/{folder}/"));
        check(&sources, |source| rules::names_none_of(source, &banned));
    }
}

/// Past 10⁸ chunks, their places need another form than a row for each.
#[test]
fn only_the_places_of_chunks_name_their_table() {
    let mut sources = under("server/src/");
    let own = ["server/src/catalog/places/", "server/src/catalog/schema/"];
    sources.retain(|s| !s.is_test() && !own.iter().any(|folder| s.path.starts_with(folder)));
    check(&sources, |source| rules::queries_no_table(source, "chunks"));
}

#[test]
fn only_a_registrys_courier_and_an_edge_speak_to_others() {
    let mut sources = under("server/src/");
    let speaks = |path: &str| {
        path == "server/src/courier/http.rs" || path.starts_with("server/src/upstream/")
    };
    sources.retain(|source| !speaks(&source.path) && !source.is_test());
    check(&sources, |source| rules::names_none_of(source, &["reqwest"]));
}

#[test]
fn flows_and_server_never_see_each_other() {
    check(&under("server/src/"), |source| rules::names_none_of(source, &["seawall"]));
    let mut flows = under("client/src/");
    flows.retain(|source| !source.path.starts_with("client/src/bin/"));
    check(&flows, |source| rules::names_none_of(source, &["seawall_server", "actix_web"]));
}

#[test]
fn flows_and_commands_get_a_release_from_the_stage_that_proves_it() {
    let mut sources = product();
    let doors = ["client/src/registry/", "client/src/resolve/"];
    sources.retain(|s| {
        s.path.starts_with("client/") && !doors.iter().any(|it| s.path.starts_with(it))
    });
    check(&sources, rules::asks_no_registry_for_a_release);
}

#[test]
fn packages_depend_in_one_direction() {
    let packages = source::packages();
    let banned: [(&str, &[&str]); 3] = [
        ("seawall-api", &["tokio", "futures", "rand", "reqwest", "actix-web", "seawall-store"]),
        ("seawall-store", &["reqwest", "actix-web", "seawall", "seawall-server", "rusqlite"]),
        ("seawall-server", &["seawall"]),
    ];
    let mut findings = Vec::new();
    for (package, banned) in banned {
        let dependencies = &packages[package];
        assert!(dependencies.contains(&"thiserror".to_owned()), "{package} is read: {packages:?}");
        for name in banned.iter().filter(|name| dependencies.iter().any(|d| d == *name)) {
            findings.push(format!("{package} depends on {name}"));
        }
    }
    none(&findings);
}

#[test]
fn a_wrapper_of_a_port_forgets_no_method() {
    let mut sources = product();
    let wraps =
        |s: &Source| s.text.contains("ObjectStore for ") || s.text.contains("OpenObject for ");
    sources.retain(|s| s.path.contains("/layer/") && wraps(s));
    assert!(sources.len() >= 2, "wrappers of the store's ports are found");
    check(&sources, rules::denies_missing_trait_methods);
}

#[test]
fn a_port_has_no_default_method() {
    let mut sources = product();
    let ports = ["/port.rs", "/catalog/tx.rs", "/catalog/places/mod.rs"];
    let of_registry = |path: &str| path.contains("client/src/registry/ports/");
    let is_port = |path: &str| ports.iter().any(|port| path.ends_with(port)) || of_registry(path);
    sources.retain(|source| is_port(&source.path));
    assert!(sources.len() >= 10, "store, catalog, places and the registry's are ports");
    check(&sources, rules::has_no_default_method);
}

#[test]
fn no_file_is_longer_than_600_lines() {
    check(&product(), rules::is_not_too_long);
}

#[test]
fn no_comment_is_wider_than_100_characters() {
    check(&product(), rules::has_no_long_line);
}

/// Tables and code are exempt from wrapping. Evidence of tests is in a table, not in marks.
#[test]
fn no_line_of_an_operators_page_is_wider_than_100_characters_or_bears_marks() {
    let mut findings = Vec::new();
    let docs = source::files_in(&root().join("docs"));
    let is_page = |name: &&String| {
        let pages = ["OPERATIONS.md", "API.md", "lifecycle.md"];
        let folders = ["manual/", "operations/"];
        name.ends_with(".md")
            && (pages.contains(&name.as_str()) || folders.iter().any(|it| name.starts_with(it)))
    };
    let pages: Vec<_> = docs.iter().filter(is_page).collect();
    assert!(pages.len() > 10, "{docs:?}");
    for name in pages {
        let text = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
        let mut is_code = false;
        for (at, line) in text.lines().enumerate() {
            is_code ^= line.starts_with("```");
            let is_text = !is_code && !line.starts_with('|');
            if is_text && line.chars().count() > 100 {
                findings.push(format!("docs/{name}:{}: too wide", at + 1));
            }
            if [" (t)", " (h)", " (–)"].iter().any(|mark| line.contains(mark)) {
                findings.push(format!("docs/{name}:{}: a mark", at + 1));
            }
        }
    }
    none(&findings);
}

#[test]
fn nothing_has_a_name_that_says_nothing() {
    check(&sources(), rules::has_no_empty_name);
}

#[test]
fn every_file_says_what_it_is() {
    let mut sources = sources();
    // A test module beside its module is described by its place.
    sources.retain(|source| !source.path.ends_with("/tests.rs"));
    check(&sources, rules::begins_with_a_doc);
}

/// The maximum shares of first sentences, in per cent (CONTRIBUTING.md, English).
const QUESTION_WORDS_MAX: f64 = 3.0;
const PRONOUNS_MAX: f64 = 20.0;

#[test]
fn docs_begin_with_their_subject() {
    let sentences: Vec<_> = product().iter().flat_map(first_sentences).collect();
    assert!(sentences.len() > 5000, "the docs are found");
    for (name, limit, holds) in [
        (
            "open with a question word",
            QUESTION_WORDS_MAX,
            Sentence::opens_with_a_question_word as fn(&Sentence) -> bool,
        ),
        ("rest on a pronoun", PRONOUNS_MAX, Sentence::rests_on_a_pronoun),
    ] {
        let share = per_cent(&sentences, holds);
        println!("{share:.1} % of {} first sentences {name}", sentences.len());
        let found = sentences.iter().filter(|sentence| holds(sentence));
        let some: Vec<_> = found.take(20).map(|it| format!("{}: {}", it.place, it.text)).collect();
        assert!(
            share <= limit,
            "{share:.1} % of first sentences {name}, more than {limit} %:\n{}",
            some.join("\n")
        );
    }
}

#[test]
fn nothing_is_left_to_do() {
    check(&sources(), rules::leaves_nothing_to_do);
}

#[test]
fn a_test_is_named_by_a_sentence() {
    check(&sources(), rules::names_tests_by_sentences);
}

/// `tests/golden/digests` lists the files of each version. Lines are added, never changed.
#[test]
fn golden_files_are_as_they_were_written() {
    let folder = root().join("tests/golden");
    let listed = std::fs::read_to_string(folder.join("digests")).unwrap();
    let digest = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).ok()?;
        Some(blake3::hash(&bytes).to_string())
    };
    assert!(listed.lines().count() > 3, "golden files are listed");
    none(&rules::differs_from_list(&listed, digest));
    let files = source::files_in(&folder);
    none(&rules::is_not_listed(&listed, files.iter().map(String::as_str)));
}
