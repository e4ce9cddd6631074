//! What sources did, for progress and the summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::registry::address::Origin;
use crate::sync::lock;

/// Counts of a session, shared by all of its sources.
#[derive(Debug, Default)]
pub struct Traffic {
    pub requests: AtomicU64,
    /// Bytes of bodies received.
    pub bytes: AtomicU64,
    /// Repetitions after a fault.
    pub retries: AtomicU64,
    hosts: Mutex<BTreeMap<String, HostNote>>,
}

/// What is to be known of a host that did not do as it should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNote {
    /// Its address.
    pub host: String,
    /// How often it was sent half as many requests at once as before.
    pub backed_off: u64,
    /// How often it sent other content than was asked for.
    pub wrong_content: u64,
}

impl Traffic {
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// The hosts that something is to be known of, in the order of their addresses.
    pub fn hosts(&self) -> Vec<HostNote> {
        self.lock_hosts().values().cloned().collect()
    }

    pub(crate) fn note(&self, at: &Origin, what: impl FnOnce(&mut HostNote)) {
        let host = at.to_string();
        let mut hosts = self.lock_hosts();
        what(hosts.entry(host.clone()).or_insert_with(|| HostNote { host, ..HostNote::default() }));
    }

    fn lock_hosts(&self) -> MutexGuard<'_, BTreeMap<String, HostNote>> {
        lock(&self.hosts)
    }
}
