//! The stage of containers: `docker-compose.yml` as `./dev compose` has started it.

use std::collections::BTreeMap;
use std::fs;

use seawall_tests::{InRotation, World, in_rotation, tool};
use serde_json::Value;

use super::{
    Stage, every_part_fails_in_the_middle_of_a_push, rolling,
    the_balancer_answers_if_no_registry_does, wait_until,
};

/// The services of the registries.
const REGISTRIES: [&str; 2] = ["registry-a", "registry-b"];

/// A running project of compose.
struct Containers {
    world: World,
    project: String,
    /// The variables of `.env`.
    secrets: BTreeMap<String, String>,
    url: String,
}

/// Returns a variable that `./dev compose` sets.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `./dev compose`"))
}

fn docker(args: &[&str]) -> String {
    tool("docker", args).trim().to_owned()
}

impl Containers {
    fn find() -> Self {
        let secrets = fs::read_to_string(variable("SEAWALL_COMPOSE_ENV")).unwrap();
        let secrets = secrets.lines().filter_map(|line| line.split_once('='));
        Self {
            world: World::new(),
            project: variable("SEAWALL_COMPOSE_PROJECT"),
            secrets: secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            url: format!("http://127.0.0.1:{}", variable("SEAWALL_PORT")),
        }
    }

    /// Returns the id of a service's container.
    fn id(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let id = docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service]);
        assert!(!id.is_empty() && !id.contains('\n'), "{service}: `{id}`");
        id
    }

    /// Returns the full name of a network.
    fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    /// Returns the address of a service's container, as this machine reaches it.
    fn address(&self, service: &str) -> Option<String> {
        let inspected: Value =
            serde_json::from_str(&docker(&["inspect", &self.id(service)])).ok()?;
        let networks = &inspected[0]["NetworkSettings"]["Networks"];
        let address = networks[self.network("clients")]["IPAddress"].as_str()?;
        (!address.is_empty()).then(|| address.to_owned())
    }

    /// Returns the answer of Prometheus to a request.
    fn prometheus(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", variable("PROMETHEUS_PORT"));
        let answer = reqwest::blocking::get(url).and_then(reqwest::blocking::Response::json);
        answer.unwrap_or_default()
    }
}

impl Stage for Containers {
    fn world(&self) -> &World {
        &self.world
    }

    fn entrance(&self) -> (String, String) {
        (self.url.clone(), self.secrets["SEAWALL_TOKEN"].clone())
    }

    fn in_rotation(&self) -> Option<InRotation> {
        in_rotation(&format!("http://{}:8405/metrics", self.address("balancer")?))
    }

    fn metrics(&self, registry: usize) -> Option<String> {
        let url = format!("http://{}:7440/metrics", self.address(REGISTRIES[registry])?);
        let request = reqwest::blocking::Client::new().get(url);
        request.bearer_auth(&self.secrets["METRICS_TOKEN"]).send().ok()?.text().ok()
    }

    fn kill(&mut self, registry: usize) {
        docker(&["kill", &self.id(REGISTRIES[registry])]);
    }

    fn tell_to_stop(&mut self, registry: usize) {
        docker(&["kill", "--signal", "TERM", &self.id(REGISTRIES[registry])]);
    }

    fn wait_for_end(&mut self, registry: usize) {
        assert_eq!(docker(&["wait", &self.id(REGISTRIES[registry])]), "0", "the exit status");
    }

    fn start(&mut self, registry: usize) {
        docker(&["start", &self.id(REGISTRIES[registry])]);
    }

    fn freeze(&mut self, registry: usize) {
        docker(&["pause", &self.id(REGISTRIES[registry])]);
    }

    fn thaw(&mut self, registry: usize) {
        docker(&["unpause", &self.id(REGISTRIES[registry])]);
    }

    fn cut_off(&mut self, registry: usize) {
        let network = self.network("catalog");
        docker(&["network", "disconnect", &network, &self.id(REGISTRIES[registry])]);
    }

    fn reconnect(&mut self, registry: usize) {
        let network = self.network("catalog");
        docker(&["network", "connect", &network, &self.id(REGISTRIES[registry])]);
    }

    fn restart_catalog(&mut self) {
        docker(&["restart", &self.id("postgres")]);
    }

    fn query(&self, sql: &str) {
        let psql = ["psql", "--username=seawall", "--quiet", "--command", sql];
        docker(&[&["exec", &self.id("postgres")], &psql[..]].concat());
    }

    fn stop_store(&mut self) {
        docker(&["stop", &self.id("garage")]);
    }

    fn start_store(&mut self) {
        docker(&["start", &self.id("garage")]);
    }
}

/// Prometheus scrapes each registry and the balancer, and has loaded the alerts.
fn prometheus_watches_everything(stage: &Containers) {
    wait_until("Prometheus scrapes both registries and the balancer", || {
        let found = stage.prometheus("query?query=up==1");
        found["data"]["result"].as_array().map(Vec::len) == Some(3)
    });
    let rules = stage.prometheus("rules");
    let alerts = rules["data"]["groups"][0]["rules"].as_array().map(Vec::len);
    let written = include_str!("../../../docs/operations/alerts.yml").matches("- alert: ").count();
    assert_eq!(alerts, Some(written), "{rules}");
}

/// Runs every scene on the containers that `./dev compose` has started.
#[test]
#[ignore = "needs the containers of `./dev compose`"]
fn the_scenes_end_well_on_the_containers_of_the_compose_file() {
    let mut stage = Containers::find();
    rolling::bodies_pass_the_balancer_as_they_arrive(&stage);
    rolling::a_connection_serves_several_requests(&stage);
    every_part_fails_in_the_middle_of_a_push(&mut stage);
    rolling::each_registry_restarts_without_a_failed_request(&mut stage);
    rolling::registries_too_old_for_the_catalog_leave_the_set(&stage);
    the_balancer_answers_if_no_registry_does(&mut stage);
    prometheus_watches_everything(&stage);
}
