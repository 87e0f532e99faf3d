//! Metrics of a bucket and of the cache before it.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::model::{BucketState, CacheTally};

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct BehaviourLabels {
    behaviour: &'static str,
}

/// Counters and gauges, updated from the registry on each scrape.
pub(crate) struct StoreMetrics {
    conditional_writes: Family<BehaviourLabels, Gauge>,
    retries: Counter,
    retries_refused: Counter,
    throttled: Counter,
    hits: Counter,
    misses: Counter,
    hit_bytes: Counter,
    fetched_bytes: Counter,
    damaged: Counter,
    evicted: Counter,
    entries: Gauge<u64, AtomicU64>,
    space: Gauge<u64, AtomicU64>,
    space_max: Gauge<u64, AtomicU64>,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let conditional_writes = Family::default();
        let help = "1 for the behaviour of the bucket for writes on a condition: honoured, ignored";
        registry.register("bucket_conditional_writes", help, conditional_writes.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let retries = counter("bucket_retries", "Requests to the bucket that were sent again");
        let help = "Requests to the bucket not sent again: the budget of retries was spent";
        let retries_refused = counter("bucket_retries_refused", help);
        let help = "Answers of the bucket with the status 429 or 503";
        let throttled = counter("bucket_throttled", help);
        let hits = counter("cache_hits", "Segments of packs and small objects read from the cache");
        let misses =
            counter("cache_misses", "Segments of packs and small objects not in the cache");
        let hit_bytes = counter("cache_hit_bytes", "Bytes read from the cache");
        let fetched_bytes = counter("cache_fetched_bytes", "Bytes read from the bucket on a miss");
        let damaged = counter("cache_damaged", "Entries dropped because they were damaged");
        let evicted = counter("cache_evicted", "Entries removed to make room for others");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::<u64, AtomicU64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let entries = gauge("cache_entries", "Entries of the cache");
        let space = gauge("cache_bytes", "Space that the cache takes");
        let space_max =
            gauge("cache_max_bytes", "Space that the cache may take; 0 without a cache");
        Self {
            conditional_writes,
            retries,
            retries_refused,
            throttled,
            hits,
            misses,
            hit_bytes,
            fetched_bytes,
            damaged,
            evicted,
            entries,
            space,
            space_max,
        }
    }

    /// Updates the metrics. Without a bucket or a cache, they stay at zero.
    pub(crate) fn update(&self, bucket: Option<BucketState>, cache: Option<CacheTally>) {
        let set = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        if let Some(bucket) = bucket {
            if let Some(found) = bucket.conditions {
                let labels = BehaviourLabels { behaviour: found.as_str() };
                self.conditional_writes.get_or_create(&labels).set(1);
            }
            set(&self.retries, bucket.retries.sent);
            set(&self.retries_refused, bucket.retries.refused);
            set(&self.throttled, bucket.retries.throttled);
        }
        if let Some(cache) = cache {
            set(&self.hits, cache.hits);
            set(&self.misses, cache.misses);
            set(&self.hit_bytes, cache.hit_bytes);
            set(&self.fetched_bytes, cache.fetched_bytes);
            set(&self.damaged, cache.damaged);
            set(&self.evicted, cache.evicted);
            self.entries.set(cache.entries);
            self.space.set(cache.space);
            self.space_max.set(cache.space_max);
        }
    }
}
