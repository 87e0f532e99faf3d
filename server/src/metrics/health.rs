//! Metrics for monitoring: disk space and webhooks.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::Delivered;
use crate::app::model::WebhookStatus;
use crate::app::room::RoomState;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[allow(non_camel_case_types)] // the label's value is the name
enum Outcome {
    accepted,
    failed,
    given_up,
}

/// Counters and gauges. Clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct HealthMetrics {
    size_bytes: Gauge<u64, AtomicU64>,
    free_bytes: Gauge<u64, AtomicU64>,
    min_free_bytes: Gauge<u64, AtomicU64>,
    low_free_bytes: Gauge<u64, AtomicU64>,
    attempts: Family<OutcomeLabels, Counter>,
    pending: Gauge<u64, AtomicU64>,
    pending_since: Gauge<u64, AtomicU64>,
    lost: Gauge<u64, AtomicU64>,
}

impl HealthMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::<u64, AtomicU64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let size_bytes = gauge("store_size_bytes", "Size of the store's file system");
        let free_bytes = gauge("store_free_bytes", "Free space on the store's file system");
        let min_free_bytes =
            gauge("store_min_free_bytes", "Free space below which uploads are refused");
        let low_free_bytes =
            gauge("store_low_free_bytes", "Free space below which an operator should free some");
        let pending = gauge("webhook_pending_messages", "Webhook messages waiting for delivery");
        let pending_since = gauge(
            "webhook_pending_since_timestamp_seconds",
            "Time when the oldest waiting message was queued, as Unix time; 0 if none waits",
        );
        let help = "Messages given up, summed over the present webhooks";
        let lost = gauge("webhook_lost_messages", help);
        let attempts = Family::<OutcomeLabels, Counter>::default();
        registry.register(
            "webhook_attempts",
            "Attempts to deliver a message, by outcome",
            attempts.clone(),
        );
        Self {
            size_bytes,
            free_bytes,
            min_free_bytes,
            low_free_bytes,
            attempts,
            pending,
            pending_since,
            lost,
        }
    }

    /// Counts an attempt at a delivery.
    pub(crate) fn attempted(&self, delivered: Delivered) {
        let outcome = match delivered {
            Delivered::Accepted => Outcome::accepted,
            Delivered::Failed => Outcome::failed,
            Delivered::GivenUp => Outcome::given_up,
        };
        self.attempts.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Updates the metrics of disk space.
    pub(crate) fn room(&self, state: RoomState) {
        self.size_bytes.set(state.space.size);
        self.free_bytes.set(state.space.free);
        self.min_free_bytes.set(state.min_free);
        self.low_free_bytes.set(state.low_free);
    }

    /// Updates the metrics of webhooks.
    pub(crate) fn webhooks(&self, webhooks: &[WebhookStatus]) {
        self.pending.set(webhooks.iter().map(|status| status.pending_count).sum());
        let since = webhooks.iter().filter_map(|status| status.pending_since_secs).min();
        self.pending_since.set(since.unwrap_or(0));
        self.lost.set(webhooks.iter().map(|status| status.lost_count).sum());
    }
}
