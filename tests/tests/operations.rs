//! Operators' files are checked by their consumers: Prometheus' rules by promtool, units by
//! systemd, and every metric by a running registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, World, raw, tool};
use serde_json::Value;

/// The prefix of a registry's metrics.
const PREFIX: &str = "seawall_";
/// Values for a dashboard's variables, so that its expressions can be parsed.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "5m"), ("$instance", "r")];

fn operations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations")
}

fn read(name: &str) -> String {
    fs::read_to_string(operations().join(name)).unwrap()
}

/// Returns the names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let ends = text.match_indices(PREFIX).map(|(at, _)| &text[at..]);
    let names = ends.map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default().to_owned());
    names.collect()
}

/// Returns every expression of the dashboard.
fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Returns the names of the alerts.
fn alerts() -> Vec<String> {
    let text = read("alerts.yml");
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn each_alert_fires_when_it_should_and_is_silent_when_all_is_well() {
    let (tests, incidents) = (read("alerts.test.yml"), read("incidents.md"));
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        // The name of one alert may be a prefix of another's.
        let is_named = |rest: &str| rest.split(',').next() == Some(alert.as_str());
        let named = |line: &&str| line.split("alertname: ").skip(1).any(is_named);
        // Healthy, pending, and firing.
        assert!(tests.lines().filter(named).count() >= 3, "{alert} is not tested");
        assert!(incidents.contains(&format!("\n## {alert}\n")), "{alert} has no page");
        let page = format!("incidents.md#{}\n", alert.to_lowercase());
        assert_eq!(read("alerts.yml").matches(&page).count(), 1, "{alert} names another's page");
    }
    let rules = operations().join("alerts.yml");
    tool("promtool", [Path::new("check"), Path::new("rules"), &rules]);
    let tests = operations().join("alerts.test.yml");
    tool("promtool", [Path::new("test"), Path::new("rules"), &tests]);
}

#[test]
fn the_dashboards_expressions_can_be_read() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 10, "{expressions:?}");
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (at, expression) in expressions.iter().enumerate() {
        let known = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
        let expression = VARIABLES.iter().fold(expression.clone(), known);
        assert!(!expression.contains('$'), "a variable that nobody sets: {expression}");
        rules += &format!("  - record: r{at}\n    expr: {}\n", Value::from(expression));
    }
    let world = World::new();
    let path = world.path("rules.yml");
    fs::write(&path, rules).unwrap();
    tool("promtool", [Path::new("check"), Path::new("rules"), &path]);
}

/// The metrics of a registry after a push, a refusal and a failed webhook.
#[test]
fn every_metric_that_is_watched_is_served() {
    let world = World::new();
    let registry = world.serve();
    fs::write(world.path("secret"), "whsec_c2VjcmV0IHRoYXQgb25seSB0d28ga25vdyBvZiBhbGw=\n")
        .unwrap();
    let add = "webhooks add http://127.0.0.1:1/ --events publish --secret-file secret";
    registry.client(&world, add).succeeds();
    raw(&world.path("1.raw"), 4 * MIB, &[(0, Noise::new("one").bytes(MIB))]);
    registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
    registry.client(&world, "show shop:2").exits_with(3);

    let mut watched = metrics_in(&read("alerts.yml"));
    watched.extend(metrics_in(&dashboard_expressions().join("\n")));
    assert!(watched.len() > 12, "{watched:?}");
    let begun = Instant::now();
    loop {
        let served = registry.text("/metrics");
        let samples = served.lines().filter(|line| !line.starts_with('#'));
        let samples: BTreeSet<_> = samples.flat_map(metrics_in).collect();
        let missing: Vec<_> = watched.difference(&samples).collect();
        if missing.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not served: {missing:?}\n{served}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn units_are_what_systemd_reads() {
    let folder = operations().join("systemd");
    let units: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(units.len() > 3, "{units:?}");
    let world = World::new();
    let program = seawall_tests::binary().to_str().unwrap();
    for unit in &units {
        let text = fs::read_to_string(unit).unwrap();
        // The path of this build, so that every other missing path is a mistake in the unit.
        let text = text.replace("/usr/local/bin/seawall", program);
        fs::write(world.path(unit.file_name().unwrap()), text).unwrap();
    }
    for unit in &units {
        let path = world.path(unit.file_name().unwrap());
        tool("systemd-analyze", ["verify".as_ref(), "--man=no".as_ref(), path.as_os_str()]);
    }
}
