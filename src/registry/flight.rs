//! What many want at the same time is got once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};

use crate::sync::lock;
use tokio::sync::watch;

/// Work under way, by what it is for. `N` is what others know of whoever does it.
#[derive(Debug)]
pub struct Flights<K, V, N = ()> {
    under_way: Mutex<HashMap<K, Flight<V, N>>>,
}

/// Somebody else's work.
#[derive(Clone, Debug)]
pub struct Flight<V, N> {
    pub by: N,
    landed: watch::Receiver<Option<V>>,
}

pub enum Turn<'a, K: Eq + Hash, V, N> {
    Lead(Lead<'a, K, V, N>),
    Follow(Flight<V, N>),
}

/// Whoever does it; the others are told when it is done, and that nobody does it where this is dropped before.
pub struct Lead<'a, K: Eq + Hash, V, N> {
    flights: &'a Flights<K, V, N>,
    key: K,
    tell: watch::Sender<Option<V>>,
}

impl<K, V, N> Default for Flights<K, V, N> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    /// The outcome of `work`, or of the same work that somebody else did while this waited, failures included: a server
    /// that hangs is waited for once, not once by everybody.
    pub async fn run(&self, key: K, work: impl Future<Output = V>) -> V {
        loop {
            match self.turn(&key, &()) {
                Turn::Lead(lead) => return lead.lands(work.await),
                Turn::Follow(flight) => {
                    if let Some(outcome) = flight.outcome().await {
                        return outcome;
                    }
                }
            }
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone, N: Clone> Flights<K, V, N> {
    /// Whose turn it is: `by` is us, where it is ours.
    pub fn turn(&self, key: &K, by: &N) -> Turn<'_, K, V, N> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(key) {
            return Turn::Follow(flight.clone());
        }
        let (tell, landed) = watch::channel(None);
        under_way.insert(key.clone(), Flight { by: by.clone(), landed });
        Turn::Lead(Lead { flights: self, key: key.clone(), tell })
    }
}

impl<K: Eq + Hash, V, N> Flights<K, V, N> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V, N>>> {
        lock(&self.under_way)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl<V: Clone, N> Flight<V, N> {
    /// Waits for what comes of it; `None` where nobody does it any more.
    pub async fn outcome(mut self) -> Option<V> {
        self.landed.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K: Eq + Hash, V: Clone, N> Lead<'_, K, V, N> {
    /// It is done.
    pub fn lands(self, outcome: V) -> V {
        let tell = self.tell.clone();
        // Before those who wait look again.
        drop(self);
        tell.send_replace(Some(outcome.clone()));
        outcome
    }
}

impl<K: Eq + Hash, V, N> Drop for Lead<'_, K, V, N> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
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
        assert!(flights.is_empty());
    }
}
