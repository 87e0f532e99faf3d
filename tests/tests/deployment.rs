//! The files of deployments agree with the programs that read them.

use std::collections::BTreeSet;
use std::fs;

use seawall_tests::{World, exists, tool};

use crate::tidy::source::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Returns the words of a text that begin so.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with(start));
    words.map(str::to_owned).collect()
}

/// Returns a part of a text, from one line to another.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no `{from}` in\n{text}"));
    let len = text[start..].find(to).unwrap_or_else(|| panic!("no `{to}` in\n{text}"));
    &text[start..start + len]
}

#[test]
fn options_and_variables_of_registries_are_those_of_the_program() {
    let help = World::new().seawall("serve --help").succeeds().stdout;
    let (options, variables) = (words(&help, "--"), words(&help, "SEAWALL_"));
    let compose = read("docker-compose.yml");
    let compose = part(&compose, "x-registry:", "\nservices:");
    let kubernetes = read("deploy/kubernetes/registry.yaml");
    // Those of compose itself stand in `${…}`.
    let of_compose = compose.replace("${SEAWALL_", "${").replace("$$SEAWALL_", "$$");
    let mut named = 0;
    for text in [
        of_compose.as_str(),
        part(&kubernetes, "kind: ConfigMap", "\n---"),
        part(&kubernetes, "          command:", "          envFrom:"),
        part(&read("Dockerfile"), "CMD [", "]"),
    ] {
        let given: Vec<_> = words(text, "--").into_iter().chain(words(text, "SEAWALL_")).collect();
        named += given.len();
        let unknown = given.iter().filter(|it| !options.contains(*it) && !variables.contains(*it));
        // A separator of documents, and of a shell's arguments.
        let unknown: Vec<_> = unknown.filter(|it| !it.trim_matches('-').is_empty()).collect();
        assert!(unknown.is_empty(), "{unknown:?} in\n{text}");
    }
    assert!(named > 12, "only {named} were found");
}

#[test]
fn prometheus_reads_its_configuration() {
    let world = World::new();
    fs::write(world.path("seawall.token"), "x").unwrap();
    let text = read("deploy/compose/prometheus.yml");
    let alerts = root().join("docs/operations/alerts.yml");
    let text = text.replace("/etc/prometheus/alerts.yml", alerts.to_str().unwrap());
    let token = world.path("seawall.token");
    let text = text.replace("/prometheus/seawall.token", token.to_str().unwrap());
    fs::write(world.path("prometheus.yml"), text).unwrap();
    let config = world.path("prometheus.yml");
    tool("promtool", ["check".as_ref(), "config".as_ref(), config.as_os_str()]);
}

/// Debian has no Grafana. Its files name what `docker-compose.yml` gives it.
#[test]
fn grafana_is_given_what_its_files_name() {
    let compose = read("docker-compose.yml");
    let source = read("deploy/compose/grafana/datasources/prometheus.yml");
    assert!(source.contains("type: prometheus\n") && source.contains("http://prometheus:9090\n"));
    assert!(compose.contains("\n  prometheus:\n") && compose.contains(":9090\"]\n"));
    let provider = read("deploy/compose/grafana/dashboards/seawall.yml");
    let path = part(&provider, "/var", " }");
    let mount = format!("./docs/operations/grafana-dashboard.json:{path}/");
    assert!(compose.contains(&mount), "{mount}");
    assert!(compose.contains("./deploy/compose/grafana:/etc/grafana/provisioning:ro"));
}

#[test]
fn compose_reads_its_file() {
    if !exists("docker-compose") {
        println!("NOT TESTED: no docker-compose is installed: apt-get install docker-compose");
        return;
    }
    let world = World::new();
    let file = root().join("docker-compose.yml");
    let head = read("docker-compose.yml");
    let names = part(&head, "for name in ", "; do").replace("for name in ", "").replace('#', "");
    let names = names.replace('\\', "");
    let secrets: String = names.split_whitespace().map(|name| format!("{name}=x\n")).collect();
    fs::write(world.path("env"), secrets).unwrap();
    let env = world.path("env");
    let args = ["--file".as_ref(), file.as_os_str(), "--env-file".as_ref(), env.as_os_str()];
    tool("docker-compose", args.into_iter().chain(["config".as_ref(), "--quiet".as_ref()]));
}
