//! What sources that speak HTTP have in common: keys, addresses, who we are, and the requests that come of it.

use std::sync::Arc;
use std::time::Duration;

use super::address::{self, Address, Credentials, Origin};
use super::auth::{Login, Role, Session};
use super::budget::Budget;
use super::certificates::Certificates;
use super::endpoint::Endpoint;
use super::http::{Http, Settings};
use super::image::fetches::Fetches;
use super::{Shared, layout};
use crate::pipeline::model::{Node, SourceEntry, Text};
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Shape};

// Keys that several kinds take.

pub const USERNAME: Key = Key {
    name: "username",
    shape: Shape::Text,
    required: false,
    doc: "Who to log in as. Without it, the login that Docker or Podman keep for the registry is used.",
};
pub const PASSWORD: Key = Key {
    name: "password",
    shape: Shape::Text,
    required: false,
    doc: "The password or access token of `username`, as in ${secret.REGISTRY_PASSWORD}.",
};
pub const CREDENTIALS: Key = Key {
    name: "credentials",
    shape: Shape::Word(&["files", "none"]),
    required: false,
    doc: "Logins that Docker and Podman keep: `files` uses them where the registry asks for one (the default), \
          `none` does not.",
};
pub const MIRRORS: Key = Key {
    name: "mirrors",
    shape: Shape::List(&Shape::Text),
    required: false,
    doc: "Addresses that have the same content and are asked first, in this order.",
};
pub const CA: Key = Key {
    name: "ca",
    shape: Shape::Text,
    required: false,
    doc: "A file of certificates (PEM) of authorities that are trusted beside the system's, or of the registry itself.",
};
pub const CLIENT_CERT: Key = Key {
    name: "client_cert",
    shape: Shape::Text,
    required: false,
    doc: "A file with the certificate (PEM) that we show to the registry.",
};
pub const CLIENT_KEY: Key =
    Key { name: "client_key", shape: Shape::Text, required: false, doc: "A file with the key (PEM) of `client_cert`." };
pub const CONCURRENCY: Key = Key {
    name: "concurrency",
    shape: Shape::Int(1, 1024),
    required: false,
    doc: "How many requests to one host may be under way at once (default 32); fewer where it does not bear them.",
};
pub const BUDGET: Key = Key {
    name: "budget",
    shape: Shape::Text,
    required: false,
    doc: "How many manifests may be fetched in how much time, as in 100/6h (no limit unless set).",
};
pub const TIMEOUT: Key = Key {
    name: "timeout",
    shape: Shape::Duration,
    required: false,
    doc: "How long one attempt of a request may take in all (default 120s).",
};
pub const IDLE_TIMEOUT: Key = Key {
    name: "idle_timeout",
    shape: Shape::Duration,
    required: false,
    doc: "How long the registry may be silent (default 20s).",
};
pub const MANIFEST_LIMIT: Key = Key {
    name: "manifest_limit",
    shape: Shape::Int(1, 1 << 30),
    required: false,
    doc: "The largest manifest or config that is taken, in bytes (default 4194304).",
};
pub const INSECURE: Key = Key {
    name: "insecure",
    shape: Shape::Bool,
    required: false,
    doc: "Allows plain HTTP to another machine, with credentials too, which anyone on the way can read and change.",
};

const CONCURRENCY_UNLESS_SET: u64 = 32;
const TIMEOUT_UNLESS_SET: Duration = Duration::from_secs(120);
const IDLE_TIMEOUT_UNLESS_SET: Duration = Duration::from_secs(20);

/// An entry, as it is read.
pub struct Setup<'a> {
    keys: &'a Node,
    shared: &'a Shared,
    certificates: Certificates,
    /// How long a server may be silent, unless set.
    patience: Duration,
    /// Problems that there were before.
    before: usize,
}

impl<'a> Setup<'a> {
    /// Reads what needs no address.
    pub fn read(entry: &'a SourceEntry, shared: &'a Shared, problems: &mut Problems) -> Self {
        let before = problems.0.len();
        let certificates = certificates(&entry.keys, shared, problems);
        Self { keys: &entry.keys, shared, certificates, patience: IDLE_TIMEOUT_UNLESS_SET, before }
    }

    /// For servers that may be silent for longer than others.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What all sources are getting.
    pub fn fetches(&self) -> Arc<Fetches> {
        self.shared.fetches.clone()
    }

    /// Whether nothing was wrong up to here.
    pub fn is_fine(&self, problems: &Problems) -> bool {
        problems.0.len() == self.before
    }

    /// The address of a key, or the one that it has unless set.
    pub fn address(&self, key: &str, unless_set: Option<&str>, problems: &mut Problems) -> Option<Address> {
        match self.keys.get(key) {
            Some(node) => self.parse(node, problems),
            None => address::parse(&Text::plain(unless_set?), false).ok(),
        }
    }

    /// The addresses of `mirrors`.
    pub fn mirrors(&self, problems: &mut Problems) -> Vec<Address> {
        let mirrors = self.keys.get("mirrors").and_then(Node::as_list).unwrap_or_default();
        mirrors.iter().filter_map(|node| self.parse(node, problems)).collect()
    }

    fn parse(&self, node: &Node, problems: &mut Problems) -> Option<Address> {
        match address::parse(node.as_text()?, self.is_insecure()) {
            Ok(address) => Some(address),
            Err(bad) => {
                problems.at(node.span, "not the address of a registry", bad.label).maybe_help(bad.help);
                None
            }
        }
    }

    fn is_insecure(&self) -> bool {
        self.keys.get("insecure").and_then(Node::as_bool).unwrap_or(false)
    }

    fn number(&self, key: &str, unless_set: u64) -> u64 {
        self.keys.get(key).and_then(Node::as_u64).unwrap_or(unless_set)
    }

    fn duration(&self, key: &str, unless_set: Duration) -> Duration {
        self.keys.get(key).and_then(Node::as_duration).unwrap_or(unless_set)
    }

    /// How many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.number("concurrency", CONCURRENCY_UNLESS_SET) as usize
    }

    /// The largest manifest or config.
    pub fn limit(&self) -> u64 {
        self.number("manifest_limit", layout::MANIFEST_LIMIT)
    }

    /// What the entry lets us fetch from its registry. `None` where it says that wrongly.
    pub fn budget(&self, own: Option<&Address>, problems: &mut Problems) -> Option<Arc<Budget>> {
        let Some(node) = self.keys.get("budget") else { return Some(self.announced_budget(own?)) };
        let text = node.as_public();
        match text.as_deref().ok_or("a secret cannot be part of it").and_then(str::parse) {
            Ok(allowance) => Some(self.shared.budgets.of(&Origin::of(&own?.base).to_string(), Some(allowance))),
            Err(e) => {
                problems.at(node.span, "not a budget", e).help("so many pulls in so much time, as in `100/6h`");
                None
            }
        }
    }

    /// The budget of an address for which the entry sets none: what it announces itself.
    pub fn announced_budget(&self, address: &Address) -> Arc<Budget> {
        self.shared.budgets.of(&Origin::of(&address.base).to_string(), None)
    }

    /// Certificates for who may know us.
    pub fn known(&self) -> Certificates {
        self.certificates.clone()
    }

    /// Certificates for others.
    pub fn stranger(&self) -> Certificates {
        Certificates { client: None, ..self.known() }
    }

    /// Requests to an address, as its login says.
    pub fn endpoint(&self, address: Address, certificates: Certificates, budget: Arc<Budget>, role: Role) -> Endpoint {
        let login = self.login(address.credentials.clone());
        self.endpoint_as(login, address, certificates, budget, role)
    }

    /// These credentials; where there are none, and unless it is told otherwise, what Docker or Podman keep.
    pub fn login(&self, given: Option<Credentials>) -> Login {
        let is_anonymous = self.keys.get("credentials").and_then(Node::as_public).is_some_and(|word| word == "none");
        match given {
            None if !is_anonymous => Login::Kept(self.shared.logins.clone()),
            given => Login::Given(given),
        }
    }

    /// Requests to an address, which are asked as `login`.
    pub fn endpoint_as(
        &self,
        login: Login,
        address: Address,
        certificates: Certificates,
        budget: Arc<Budget>,
        role: Role,
    ) -> Endpoint {
        let settings = Settings {
            concurrency: self.concurrency(),
            timeout: self.duration("timeout", TIMEOUT_UNLESS_SET),
            idle_timeout: self.duration("idle_timeout", self.patience),
            insecure: self.is_insecure(),
            offline: self.shared.offline,
            patient: role != Role::Mirror,
            local: address::is_loopback(&address.base),
            certificates,
        };
        let http = Http::new(settings, self.shared.traffic.clone());
        let session = Session::new(http, budget, login, &address.base, role);
        Endpoint::new(address.base, self.limit(), session, self.shared.validators.clone())
    }

    /// The credentials of the keys, or of the address. `None` where they are wrong.
    pub fn credentials(&self, address: Option<&Address>, problems: &mut Problems) -> Option<Option<Credentials>> {
        let keys = self.keys;
        let in_address = address.and_then(|a| a.credentials.clone());
        let (username, password) = (keys.get("username"), keys.get("password"));
        match (username, password) {
            (None, None) => Some(in_address),
            (Some(node), _) | (_, Some(node)) if in_address.is_some() => {
                problems.at(node.span, "credentials are given twice", "the user part of `url:` has some already");
                None
            }
            (Some(username), Some(password)) => {
                let (username, password) = (username.as_text()?.expose(), password.as_text()?.expose());
                Some(Some(Credentials::Password { username, password }))
            }
            (Some(node), None) => {
                problems.at(node.span, "`username` without `password`", "a password belongs to it");
                None
            }
            (None, Some(node)) => {
                problems.at(node.span, "`password` without `username`", "a name belongs to it");
                None
            }
        }
    }
}

/// The files of certificates, which may lie anywhere.
fn certificates(keys: &Node, shared: &Shared, problems: &mut Problems) -> Certificates {
    let (certificate, key) = (keys.get("client_cert"), keys.get("client_key"));
    if let (Some(node), None) = (certificate, key) {
        problems.at(node.span, "`client_cert` without `client_key`", "a key belongs to it");
    }
    if let (None, Some(node)) = (certificate, key) {
        problems.at(node.span, "`client_key` without `client_cert`", "a certificate belongs to it");
    }
    let mut file = |node: &Node| {
        let path = node.as_public();
        if path.is_none() {
            problems.at(node.span, "not the path of a file", "a secret cannot be part of a path");
        }
        path.map(|path| shared.root.join(path))
    };
    let ca = keys.get("ca").and_then(&mut file);
    let client = certificate.and_then(&mut file).zip(key.and_then(&mut file));
    Certificates { ca, client }
}
