//! `./dev` installs every program that tests run, so that no test passes or is skipped because of
//! what a machine happens to have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use seawall_tests::{MIB, Noise, World, exists, raw, tool};

use crate::tidy::source::{Source, root, sources, without_comments};

/// The calls that run a program, or look for one.
const STARTS: [&str; 5] = ["Command::new(", "tool(", "exists(", ".run(", ".run_args("];
/// Expressions that name no external program: our binary, cargo, a script written by Seawall, and
/// parameters of helpers, whose callers are examined.
const OURS: [&str; 11] = [
    "binary()",
    "seawall_tests::binary()",
    "env!(\"CARGO_BIN_EXE_seawall\")",
    "cargo",
    "program",
    "self.binary",
    "&script",
    "script",
    "&start",
    "folder.join(\"run-web.sh\")",
    "folder.join(\"start-all.sh\")",
];

/// Returns the pairs of PROGRAM:PACKAGE in an array of `./dev`.
fn pairs(dev: &str, array: &str) -> BTreeMap<String, String> {
    let start = dev.find(&format!("\n{array}=(")).expect("an array of `./dev`") + 1;
    let body = &dev[start + array.len() + 2..];
    let body = &body[..body.find(")\n").expect("the array ends")];
    let words = body.split_whitespace().map(|word| word.trim_matches('\''));
    let pairs = words.map(|word| word.split_once(':').expect("PROGRAM:PACKAGE"));
    pairs.map(|(program, package)| (program.to_owned(), package.to_owned())).collect()
}

fn named() -> BTreeMap<String, String> {
    let dev = fs::read_to_string(root().join("dev")).unwrap();
    let mut named = pairs(&dev, "build_tools");
    named.extend(pairs(&dev, "test_tools"));
    // For tests that `./dev compose` alone runs.
    named.extend(pairs(&dev, "engine_tools"));
    named
}

/// Returns the programs that a source runs, and the expressions that cannot be resolved.
fn started(source: &Source) -> (BTreeSet<String>, Vec<String>) {
    let code = without_comments(&source.text);
    let (mut programs, mut unclear) = (BTreeSet::new(), Vec::new());
    for start in STARTS {
        // `.run` and `.run_args` are methods of the bench of images; `tool` and `exists` are
        // helpers of the black-box tests. Elsewhere these names have other meanings.
        let is_method = start.starts_with('.');
        let folder = match start {
            "Command::new(" => "",
            "tool(" | "exists(" => "tests/",
            _ => "store/tests/",
        };
        if !source.path.starts_with(folder) {
            continue;
        }
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            let is_part_of_a_word = before.is_alphanumeric() || before == '_' || before == '.';
            let is_definition = code[..at].ends_with("fn ");
            if !is_method && (is_part_of_a_word || is_definition) {
                continue;
            }
            let argument = code[at + start.len()..].trim_start();
            let argument = argument.strip_prefix("&format!(").unwrap_or(argument);
            if let Some(text) = argument.strip_prefix('"') {
                let word = text.split(['"', ' ']).next().unwrap_or_default();
                programs.insert(word.to_owned());
            } else if !OURS.iter().any(|ours| argument.starts_with(ours)) {
                let name = argument.split([',', ')']).next().unwrap_or_default().trim();
                match literals_of_loop(&code, name) {
                    Some(words) => programs.extend(words),
                    None if is_method => {} // `.run(` of something else than the bench of images
                    None => unclear.push(format!("{}: {start}{name}", source.path)),
                }
            }
        }
    }
    (programs, unclear)
}

/// Returns the words of `for NAME in ["a", "b"]`.
fn literals_of_loop(code: &str, name: &str) -> Option<Vec<String>> {
    let (_, list) = code.split_once(&format!("for {name} in ["))?;
    let (list, _) = list.split_once(']')?;
    Some(list.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect())
}

#[test]
fn every_program_that_a_test_starts_is_named_in_dev() {
    let named = named();
    let (mut all, mut missing) = (BTreeSet::new(), Vec::new());
    for source in sources() {
        // In the definition of the command line, `Command` is clap's.
        let is_definition = source.path == "client/src/bin/seawall/args/help/definition.rs";
        if source.path == "tests/tests/needs.rs" || is_definition {
            continue;
        }
        let (programs, unclear) = started(&source);
        missing.extend(unclear.into_iter().map(|call| format!("{call} does not name its program")));
        for program in &programs {
            if !named.contains_key(program) {
                missing.push(format!("{}: `{program}` is not in test_tools of ./dev", source.path));
            }
        }
        all.extend(programs);
    }
    assert!(all.len() > 15 && all.contains("qemu-img"), "programs are found: {all:?}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_program_that_dev_installs_for_tests_is_there() {
    let dev = fs::read_to_string(root().join("dev")).unwrap();
    let missing: Vec<_> = pairs(&dev, "test_tools")
        .into_iter()
        .filter(|(program, _)| !exists(program))
        .map(|(program, package)| format!("{program} of {package}"))
        .collect();
    assert!(missing.is_empty(), "`./dev needs` installs {}", missing.join(", "));
}

#[test]
fn a_program_that_is_not_named_is_found_in_each_form() {
    let text = "fn x() { let x = Command::new(\"one\"); tool(\"two\", [\"no\"]); // tool(\"not\")\n \
                for shell in [\"three\", \"four\"] { exists(shell); } path.exists(); tool(other, []) }";
    let (programs, unclear) = started(&Source::new("tests/tests/x.rs", text));
    assert_eq!(Vec::from_iter(programs), ["four", "one", "three", "two"]);
    assert_eq!(unclear, ["tests/tests/x.rs: tool(other"]);

    let text = "bench.run(&format!(\"five map {image}\")); bench.run_args(\"six\", &[]);";
    let (programs, _) = started(&Source::new("store/tests/image/x.rs", text));
    assert_eq!(Vec::from_iter(programs), ["five", "six"]);
}

#[test]
fn the_scripts_of_the_project_pass_shellcheck() {
    let mut scripts: Vec<_> = ["dev", ".ci/run"].iter().map(|name| root().join(name)).collect();
    for folder in ["tests", "tests/compose", "packaging", "packaging/debian"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        scripts.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file() && fs::read(path).unwrap().starts_with(b"#!")),
        );
    }
    assert!(scripts.len() >= 9, "{scripts:?}");
    tool("shellcheck", &scripts);
}

/// A minimal Debian lacks certificate authorities.
#[test]
fn a_machine_without_certificate_authorities_reaches_registries_by_http() {
    let world = World::new();
    fs::write(world.path("none"), "").unwrap();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("one").bytes(4096))]);
    let bare = |args: &str| {
        let run = world.local(args).env("SSL_CERT_FILE", world.path("none"));
        run.env("SSL_CERT_DIR", world.path("none"))
    };
    bare("push shop:1 --machine a=root:1.raw").succeeds();
    bare("pull shop:1 --into host").succeeds();

    let refused = bare("list --registry https://127.0.0.1:1").exits_with(2);
    assert!(refused.stderr.contains("ca-certificates"), "{refused}");
}
