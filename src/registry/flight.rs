//! What many want at the same time is got once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Work under way, by what it is for.
pub struct Flights<K, V> {
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
}

/// The last outcome, and when it came. Whoever asked before that takes it.
type Slot<V> = tokio::sync::Mutex<Option<(Instant, V)>>;

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    /// The outcome of `work`, or of the same work that somebody else did while this waited, failures included: a server
    /// that hangs is waited for once, not once by everybody.
    pub async fn run(&self, key: K, work: impl Future<Output = V>) -> V {
        let asked = Instant::now();
        let slot = self.slots().entry(key.clone()).or_default().clone();
        let outcome = {
            let mut last = slot.lock().await;
            match &*last {
                Some((came, outcome)) if *came >= asked => outcome.clone(),
                _ => {
                    let outcome = work.await;
                    *last = Some((Instant::now(), outcome.clone()));
                    outcome
                }
            }
        };
        let mut slots = self.slots();
        // The table's and ours: nobody else waits.
        if slots.get(&key).is_some_and(|kept| Arc::ptr_eq(kept, &slot) && Arc::strong_count(kept) == 2) {
            slots.remove(&key);
        }
        outcome
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<K, Arc<Slot<V>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn many_askers_one_work() {
        let flights = Flights::<u8, u32>::default();
        let done = AtomicU32::new(0);
        let ask = || {
            flights.run(7, async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                done.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert_eq!((a, b, c), (1, 1, 1));
        assert_eq!(ask().await, 2, "what is asked later is asked again");
        assert!(flights.slots().is_empty());
    }
}
