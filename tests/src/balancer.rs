//! HAProxy before two registries, with the configuration of `docker-compose.yml`.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_ports;

/// The time that a balancer may take to start on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// The state of the servers `a` and `b`: true for one that gets requests.
pub type InRotation = [bool; 2];

/// A running balancer; killed when dropped.
#[derive(Debug)]
pub struct Balancer {
    child: Child,
    url: String,
    metrics: String,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Balancer {
    /// Starts a balancer before two registries. A warning about the configuration prevents it.
    #[must_use]
    pub fn start(servers: [SocketAddr; 2]) -> Self {
        let [clients, metrics] = free_ports().map(|port| format!("127.0.0.1:{port}"));
        let mut command = Command::new("haproxy");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose/haproxy.cfg");
        command.args(["-db", "-dW", "-f", config]);
        command.env("BALANCER_LISTEN", &clients).env("BALANCER_METRICS", &metrics);
        command.env("REGISTRY_A", servers[0].to_string());
        command.env("REGISTRY_B", servers[1].to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let (url, metrics) = (format!("http://{clients}"), format!("http://{metrics}/metrics"));
        let balancer = Self { child, url, metrics };
        let begun = Instant::now();
        while in_rotation(&balancer.metrics).is_none() {
            assert!(begun.elapsed() < START_TIME_MAX, "the balancer does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        balancer
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address of the metrics.
    #[must_use]
    pub fn metrics(&self) -> &str {
        &self.metrics
    }
}

/// Returns which servers get requests, from the balancer's metrics; `None` if it does not answer.
#[must_use]
pub fn in_rotation(metrics: &str) -> Option<InRotation> {
    let text = reqwest::blocking::get(metrics).ok()?.text().ok()?;
    Some(["a", "b"].map(|server| {
        let labels = format!("{{proxy=\"registries\",server=\"{server}\",state=\"UP\"}}");
        let mut lines = text.lines().filter(|line| line.starts_with("haproxy_server_status"));
        lines.any(|line| line.contains(&labels) && line.ends_with(" 1"))
    }))
}
