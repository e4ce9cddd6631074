//! Requests: sent, bounded, followed and repeated. What the answers mean is for others to say.

mod clients;
mod exchange;
mod fault;
mod request;
mod retry;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Traffic;
use super::certificates::Certificates;
use clients::Clients;
pub use fault::Fault;
pub use request::{Follow, Reply, Request, Take};

/// How a source talks.
pub struct Settings {
    /// Requests at the same time.
    pub concurrency: usize,
    /// For one attempt, from the first byte out to the last byte in.
    pub timeout: Duration,
    /// For the next sign of life.
    pub idle_timeout: Duration,
    /// Plain HTTP was asked for.
    pub insecure: bool,
    pub offline: bool,
    /// The source is on this machine: proxies are for elsewhere.
    pub local: bool,
    pub certificates: Certificates,
}

/// A client with connections that it uses again.
pub struct Http {
    clients: Clients,
    settings: Settings,
    permits: Semaphore,
    traffic: Arc<Traffic>,
}

impl Http {
    pub fn new(settings: Settings, traffic: Arc<Traffic>) -> Self {
        let permits = Semaphore::new(settings.concurrency);
        Self { clients: Clients::default(), settings, permits, traffic }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts a request that is sent once more.
    pub fn repeats(&self) {
        self.traffic.retries.fetch_add(1, Ordering::Relaxed);
    }
}
