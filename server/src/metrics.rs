//! The registry's metrics, in the format of Prometheus.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use seawall_api::problem::Code;

mod health;
mod store;

pub(crate) use health::HealthMetrics;
pub(crate) use store::StoreMetrics;

use crate::app::maintenance::fsck::FsckTally;

/// The upper bounds of the latency histogram's buckets, in seconds.
const LATENCY_BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct LatencyLabels {
    route: String,
    method: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ProblemLabels {
    code: &'static str,
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// The metrics of checks and backups, updated from the registry on each scrape.
struct CheckMetrics {
    objects: Counter,
    bytes: Counter,
    damage: Family<KindLabels, Gauge>,
    damaged_releases: Gauge,
    last_complete: Gauge,
    last_backup: Gauge,
}

impl CheckMetrics {
    fn new(registry: &mut Registry) -> Self {
        let (objects, bytes) = (Counter::default(), Counter::default());
        let help = "Objects and rows examined by checks";
        registry.register("fsck_objects", help, objects.clone());
        let help = "Bytes read and hashed by checks";
        registry.register("fsck_read_bytes", help, bytes.clone());
        let damage = Family::default();
        let help = "Findings of damage in the newest check, by kind of object";
        registry.register("fsck_damage", help, damage.clone());
        let damaged_releases = Gauge::default();
        let help = "Releases with missing or damaged objects";
        registry.register("damaged_releases", help, damaged_releases.clone());
        let last_complete = Gauge::default();
        let help = "Completion time of the last complete check, as Unix time; 0 if there was none";
        registry.register_with_unit(
            "fsck_last_complete_timestamp",
            help,
            Unit::Seconds,
            last_complete.clone(),
        );
        let last_backup = Gauge::default();
        let help = "Completion time of the last complete backup, as Unix time; 0 if there was none";
        registry.register_with_unit(
            "backup_last_complete_timestamp",
            help,
            Unit::Seconds,
            last_backup.clone(),
        );
        Self { objects, bytes, damage, damaged_releases, last_complete, last_backup }
    }
}

/// The counters and gauges of one registry.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RouteLabels, Counter>,
    latency: Family<LatencyLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    received_bytes: Counter,
    sent_bytes: Counter,
    packs: Counter,
    chunks: Counter,
    publishes: Counter,
    checks: CheckMetrics,
    problems: Family<ProblemLabels, Counter>,
    log_dropped: Counter,
    /// The metrics of disk space and webhooks.
    pub(crate) health: HealthMetrics,
    /// The metrics of a bucket and of the cache before it.
    pub(crate) store: StoreMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A guard that counts a request as in flight until dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("seawall");
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Requests answered, by route, method and status",
            requests.clone(),
        );
        let latency = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let help = "Time until the response begins";
        registry.register_with_unit("http_latency", help, Unit::Seconds, latency.clone());
        let in_flight = Gauge::default();
        registry.register("http_in_flight", "Requests in flight", in_flight.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::<u64, AtomicU64>::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let received_bytes = counter("http_received_bytes", "Bytes of request bodies received");
        let sent_bytes = counter("http_sent_bytes", "Bytes of response bodies sent");
        let packs = counter("packs", "Packs received");
        let chunks = counter("chunks", "Chunks received, decoded and re-hashed");
        let publishes = counter("publishes", "Releases published");
        let help = "Log lines that could not be written to standard error";
        let log_dropped = counter("log_dropped_lines", help);
        let checks = CheckMetrics::new(&mut registry);
        let problems: Family<ProblemLabels, Counter> = Family::default();
        for code in Code::ALL {
            // A series that starts with its first refusal hides that refusal from `increase()`.
            drop(problems.get_or_create(&ProblemLabels { code: code.as_str() }));
        }
        let help = "Requests answered with an error, by problem code";
        registry.register("problems", help, problems.clone());
        let health = HealthMetrics::register(&mut registry);
        let store = StoreMetrics::register(&mut registry);
        Self {
            registry,
            requests,
            latency,
            in_flight,
            received_bytes,
            sent_bytes,
            packs,
            chunks,
            publishes,
            checks,
            problems,
            log_dropped,
            health,
            store,
        }
    }
}

impl Metrics {
    /// Counts a request as in flight until the returned guard is dropped.
    #[must_use]
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (known_method(method), route.to_owned());
        let labels = LatencyLabels { route: route.clone(), method: method.clone() };
        self.latency.get_or_create(&labels).observe(took.as_secs_f64());
        self.requests.get_or_create(&RouteLabels { route, method, status }).inc();
    }

    /// Counts a request answered with an error of this code.
    pub(crate) fn refused(&self, code: &'static str) {
        self.problems.get_or_create(&ProblemLabels { code }).inc();
    }

    /// Counts received bytes of a body.
    pub(crate) fn received(&self, len: usize) {
        self.received_bytes.inc_by(len as u64);
    }

    /// Counts sent bytes of a body.
    pub(crate) fn sent(&self, sent_len: u64) {
        self.sent_bytes.inc_by(sent_len);
    }

    /// Counts a stored pack and its chunks.
    pub(crate) fn pack_kept(&self, chunk_count: u64) {
        self.packs.inc();
        self.chunks.inc_by(chunk_count);
    }

    /// Counts a published release.
    pub(crate) fn published(&self) {
        self.publishes.inc();
    }

    /// Updates the metrics of checks and backups.
    pub(crate) fn checked(&self, tally: &FsckTally) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let checks = &self.checks;
        checks.objects.inner().store(tally.objects, Ordering::Relaxed);
        checks.bytes.inner().store(tally.bytes, Ordering::Relaxed);
        checks.damage.clear();
        for (kind, count) in &tally.damage {
            let labels = KindLabels { kind: kind.clone() };
            checks.damage.get_or_create(&labels).set(number(*count));
        }
        checks.damaged_releases.set(number(tally.damaged_releases));
        checks.last_complete.set(number(tally.last_complete_at_secs.unwrap_or(0)));
        checks.last_backup.set(number(tally.last_backup_at_secs.unwrap_or(0)));
    }

    /// Returns all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// If a value cannot be written.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        self.log_dropped.inner().store(crate::telemetry::dropped_count(), Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Maps unknown methods to one label: clients must not be able to create labels.
fn known_method(method: &str) -> String {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    (if known.contains(&method) { method } else { "other" }).to_owned()
}
