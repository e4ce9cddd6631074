//! What runs, and since when.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Running {
    /// By the order in which they were started.
    steps: BTreeMap<u64, (String, Instant)>,
    places: HashMap<u32, u64>,
    next: u64,
}

impl Running {
    pub fn start(&mut self, id: u32, step: &str) {
        self.steps.insert(self.next, (step.to_owned(), Instant::now()));
        self.places.insert(id, self.next);
        self.next += 1;
    }

    pub fn end(&mut self, id: u32) {
        if let Some(place) = self.places.remove(&id) {
            self.steps.remove(&place);
        }
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The oldest first, each with how long it has been running.
    pub fn oldest(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.steps.values().map(|(step, since)| (step.as_str(), since.elapsed()))
    }
}
