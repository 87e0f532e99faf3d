//! The contract of `--json` (docs/json.md): every command prints the documented shape, with one
//! name for each concept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use seawall_tests::ec2::Ec2Fake;
use seawall_tests::{MIB, Noise, World, raw};
use serde_json::Value;

const SHAPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shapes/json.txt");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");

/// Commands without JSON output: they print text for a shell or a reader, or serve.
const SILENT: [&str; 4] = ["completions", "help", "man", "serve"];

/// Objects whose keys are data.
const OPEN: [&str; 2] = ["facts", "release"];

fn shop(world: &World) {
    for version in 1..=3u64 {
        let bytes = Noise::new(version.to_le_bytes()).bytes(MIB);
        raw(&world.path(format!("{version}.raw")), 4 * MIB, &[(0, bytes)]);
    }
    fs::write(world.path("secret"), "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=\n")
        .unwrap();
}

/// Every command once, in an order that works. `|` precedes an exit status other than 0.
const COMMANDS: [&str; 72] = [
    "push shop:1 --machine a=root:1.raw",
    "push shop:2 --machine a=root:2.raw,data:1.raw",
    "push shop:3 --machine a=root:3.raw",
    "promote shop:1 stable",
    "list",
    "list shop",
    "show shop:2",
    "channels shop",
    "channels shop stable",
    "pull shop:stable --into host --as qemu --dry-run",
    "pull shop:stable --into host --as qemu",
    "describe host --as xen",
    "promote shop:2 stable",
    "diff shop:1 shop:2",
    "status host",
    "report host --host rack4",
    "patch host --dry-run",
    "patch host",
    "verify host",
    "verify shop:2",
    "export shop:2/a/root -o disk.raw",
    "pull shop:2 --into packages --as ova",
    "convert 1.raw 1.qcow2",
    "inspect 1.qcow2",
    "copy shop:stable --to ./site",
    "copy shop:stable --to ./site --dry-run",
    "bundle have",
    "bundle create shop:stable -o shop.bundle",
    "bundle verify shop.bundle",
    "bundle import shop.bundle",
    "cloud publish shop:2 --to ec2:test-1 --dry-run",
    "cloud publish shop:2 --to ec2:test-1",
    "cloud status shop --at ec2:test-1",
    "cloud deprecate shop:2 --at ec2:test-1",
    "cloud rm shop:2 --at ec2:test-1",
    "pin shop:3 --reason kept",
    "rm shop:3 --dry-run|4",
    "unpin shop:3",
    "rm shop:3 --dry-run",
    "hosts",
    "hosts --forget rack4",
    "retention set shop --keep-last 9",
    "retention show shop",
    "retention plan shop",
    "retention apply shop",
    "rm shop:3",
    "gc --dry-run",
    "gc",
    "fsck",
    "fsck --status",
    "fsck --stop",
    "repair --from host",
    "quota shop --releases 9",
    "quota shop",
    "webhooks add http://127.0.0.1:1/ --events promote --secret-file secret",
    "webhooks list",
    "token create ci --role publisher --apps shop,team/* --expires 90d",
    "token create --role reader --output secret-of-a-token",
    "token list",
    "token revoke ci",
    "audit",
    "audit --verify",
    "mirror add site --to http://127.0.0.1:1 --apps shop,team/* --channels stable --limit 1MiB/s",
    "mirror list",
    "mirror status site",
    "mirror remove site",
    "backup copy.sqlite",
    "jobs",
    "drill registry",
    "recover registry",
    "relocate registry --store objects --dry-run",
    "relocate registry --store objects --catalog sqlite:moved.sqlite",
];

/// Commands on the added webhook.
const OF_WEBHOOK: [&str; 2] = ["webhooks deliveries", "webhooks remove"];

fn answers() -> Vec<(String, Value)> {
    let world = World::new();
    shop(&world);
    let fake = Ec2Fake::default();
    let mut answers = Vec::new();
    let mut webhook = String::new();
    for line in COMMANDS {
        let (args, status) = line.split_once('|').unwrap_or((line, "0"));
        let done = fake.opened(world.local(args).arg("--json")).exits_with(status.parse().unwrap());
        let answer = done.json();
        if args.starts_with("webhooks add") {
            webhook = answer["webhook"].as_str().unwrap().to_owned();
        }
        answers.push((args.to_owned(), answer));
        if args == "webhooks list" {
            for verb in OF_WEBHOOK {
                let args = format!("{verb} {webhook}");
                answers.push((verb.to_owned(), world.local(&args).arg("--json").succeeds().json()));
            }
        }
    }
    answers
}

/// Collects the paths in a value with their kinds. Items of a list are under `[]`.
fn shape(at: &str, value: &Value, into: &mut BTreeSet<String>) {
    let name = at.rsplit('.').next().unwrap_or_default();
    match value {
        Value::Object(_) if OPEN.contains(&name) => drop(into.insert(format!("{at}: object"))),
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| shape(&format!("{at}.{key}"), value, into));
        }
        Value::Array(items) => {
            into.insert(format!("{at}[]"));
            items.iter().for_each(|item| shape(&format!("{at}[]"), item, into));
        }
        Value::Null => drop(into.insert(format!("{at}: null"))),
        Value::Bool(_) => drop(into.insert(format!("{at}: bool"))),
        Value::Number(number) if number.is_f64() => drop(into.insert(format!("{at}: float"))),
        Value::Number(_) => drop(into.insert(format!("{at}: integer"))),
        Value::String(_) => drop(into.insert(format!("{at}: string"))),
    }
}

#[test]
fn every_command_answers_in_the_shape_that_is_written_down() {
    let mut shapes = BTreeMap::<String, BTreeSet<String>>::new();
    let answers = answers();
    for (args, answer) in &answers {
        let schema = answer["schema"].as_str().unwrap_or_else(|| panic!("{args}: {answer}"));
        shape("", answer, shapes.entry(schema.to_owned()).or_default());
        holds_the_rules(args, "", answer);
    }
    let written: String = shapes
        .iter()
        .map(|(schema, lines)| {
            let lines: Vec<_> = lines.iter().map(|line| format!("  {line}\n")).collect();
            format!("{schema}\n{}", lines.concat())
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(Path::new(SHAPES).parent().unwrap()).unwrap();
        fs::write(SHAPES, &written).unwrap();
    }
    let golden = fs::read_to_string(SHAPES).unwrap_or_default();
    let differing: Vec<_> = written.lines().filter(|line| !golden.contains(line)).collect();
    assert!(
        golden == written,
        "{differing:?}: a shape that programs read has changed; if that is meant, raise its \
         schema and run this with UPDATE_GOLDEN=1"
    );
    let page = fs::read_to_string(PAGE).unwrap();
    for schema in shapes.keys() {
        assert!(page.contains(&format!("`{schema}`")), "docs/json.md does not list {schema}");
    }
}

/// Checks the rules for every object of every answer.
#[track_caller]
fn holds_the_rules(args: &str, at: &str, value: &Value) {
    let Value::Object(map) = value else {
        if let Value::Array(items) = value {
            items.iter().for_each(|item| holds_the_rules(args, at, item));
        }
        return;
    };
    for (key, value) in map {
        let at = format!("{at}.{key}");
        let what = || format!("{args}: {at} is {value}");
        if key == "release" {
            assert!(value.is_object(), "a digest is `digest`: {}", what());
            // The release document is a format of its own.
            continue;
        }
        assert!(!key.ends_with("Len") && key != "len", "lengths are in bytes: {}", what());
        if key.ends_with("Bytes") {
            assert!(value.is_u64(), "bytes are an integer: {}", what());
        }
        let stem = key.strip_suffix("Secs").unwrap_or_default();
        if ["At", "Since", "Until", "at", "since", "deadline"].iter().any(|e| stem.ends_with(e)) {
            assert!(map.get(stem).is_some_and(Value::is_string), "no RFC 3339: {}", what());
        }
        if let Value::String(text) = value {
            assert!(!text.starts_with(['{', '[', '"']), "JSON in a string: {}", what());
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let is_version = key == "version"
                || key.ends_with("Version")
                || key == "newest"
                // The number of an account begins with zeros.
                || key == "account"
                // The version's entry in a comparison.
                || at.contains(".fields.");
            assert!(!is_number || is_version, "a number in a string: {}", what());
        }
        holds_the_rules(args, &at, value);
    }
}

#[test]
fn no_command_is_without_a_place_in_the_contract() {
    let world = World::new();
    let help = world.seawall("--help").succeeds().stdout;
    let commands: Vec<_> = help
        .lines()
        .take_while(|line| !line.starts_with("Global options:"))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{help}");
    for command in commands {
        let is_run = COMMANDS.iter().any(|line| line.split(' ').next() == Some(command));
        assert!(is_run || SILENT.contains(&command), "`{command}` has no answer in this test");
    }
}

#[test]
fn a_failure_is_an_object_on_standard_error() {
    let world = World::new();
    shop(&world);
    world.push("shop:1", &["a=root:1.raw"]);
    world.pull("shop:1", "host");
    for (args, status, code) in [
        ("show shop:9", 3, "not-found"),
        ("show shop", 2, "invalid-input"),
        ("frobnicate", 2, "invalid-input"),
        ("pull shop:1 --format vdi", 2, "invalid-input"),
        ("push shop:1 --machine a=root:2.raw", 4, "conflict"),
        ("list --registry http://127.0.0.1:1", 6, "unavailable"),
    ] {
        let done = world.local(args).arg("--json").exits_with(status);
        assert!(done.stdout.is_empty(), "{done}");
        let error: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(error["schema"], "seawall.error/1", "{done}");
        assert_eq!((&error["code"], &error["exitStatus"]), (&code.into(), &status.into()));
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{done}");
        assert!(error["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{done}");
        assert!(error["causes"].is_array(), "{done}");
    }
}
