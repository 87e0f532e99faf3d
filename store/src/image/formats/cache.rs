//! A small bounded map, which evicts the least recently used value.
//!
//! # Invariants
//!
//! 1. The map never holds more than `capacity` values.
//! 2. The lock is held for look-ups only. Callers make values without it, so two threads may make
//!    the same value at once; one of the two stays.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(in crate::image) struct Cache<K, V> {
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    clock: u64,
    values: HashMap<K, (V, u64)>,
}

impl<K: Copy + Eq + Hash, V: Clone> Cache<K, V> {
    pub(in crate::image) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::new(Inner { clock: 0, values: HashMap::new() }) }
    }

    pub(in crate::image) fn get(&self, key: K) -> Option<V> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        let (value, used) = inner.values.get_mut(&key)?;
        *used = now;
        Some(value.clone())
    }

    pub(in crate::image) fn put(&self, key: K, value: V) {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        if inner.values.len() >= self.capacity && !inner.values.contains_key(&key) {
            let oldest = inner.values.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                inner.values.remove(&oldest);
            }
        }
        inner.values.insert(key, (value, now));
    }

    // A poisoned lock is harmless: no code under it panics halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_value_is_evicted_first() {
        let cache = Cache::new(2);
        cache.put(1, 'a');
        cache.put(2, 'b');
        assert_eq!(cache.get(1), Some('a'));
        cache.put(3, 'c');
        assert_eq!((cache.get(1), cache.get(2), cache.get(3)), (Some('a'), None, Some('c')));
    }
}
