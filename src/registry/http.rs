//! Requests: sent, bounded, followed and repeated. What the answers mean is for others to say.

mod clients;
mod connecting;
mod exchange;
mod fault;
mod hosts;
mod request;
mod retry;
mod tls;
pub(super) mod traffic;
pub(super) mod validators;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::address::Origin;
use super::certificates::Certificates;
use super::{HostNote, Traffic};
use clients::Clients;
pub use fault::Fault;
use hosts::Hosts;
pub use request::{Follow, Reply, Request, Take};

/// How a source talks.
pub struct Settings {
    /// Requests to one host at the same time.
    pub concurrency: usize,
    /// For one attempt, from the first byte out to the last byte in.
    pub timeout: Duration,
    /// For the next sign of life.
    pub idle_timeout: Duration,
    /// Plain HTTP was asked for.
    pub insecure: bool,
    pub offline: bool,
    /// A server that wants to be left alone is waited for; otherwise somebody else can be asked.
    pub patient: bool,
    /// The source is on this machine: proxies are for elsewhere.
    pub local: bool,
    pub certificates: Certificates,
}

/// Of the time in which a server is to say something, this part is for the connection, so that one that cannot be reached
/// is told from one that is silent.
const CONNECTS_WITHIN: f64 = 0.9;

impl Settings {
    /// For a connection to come about.
    fn connects_within(&self) -> Duration {
        self.idle_timeout.min(self.timeout).mul_f64(CONNECTS_WITHIN)
    }
}

/// A server that wants to be left alone for longer is not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// A client with connections that it uses again.
pub struct Http {
    clients: Clients,
    settings: Settings,
    hosts: Hosts,
    traffic: Arc<Traffic>,
}

impl Http {
    pub fn new(settings: Settings, traffic: Arc<Traffic>) -> Self {
        let hosts = Hosts::new(settings.concurrency);
        Self { clients: Clients::default(), settings, hosts, traffic }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts a request that is sent once more.
    pub fn repeats(&self) {
        self.traffic.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what is to be known of a host.
    pub fn note(&self, at: &Origin, what: impl FnOnce(&mut HostNote)) {
        self.traffic.note(at, what);
    }
}
