//! Sources: where image metadata comes from. [`Source`] is what every kind answers; [`image`] is the model, [`manifest`]
//! reads what images are described by, `lookup` finds an image in it, [`layer_file`] says what was found.

mod address;
mod auth;
mod base64;
mod budget;
mod certificates;
mod counter;
pub mod distribution;
pub mod dockerhub;
mod endpoint;
mod fetches;
mod few;
mod flight;
pub mod grammar;
mod helper;
mod http;
mod hub;
pub mod image;
pub mod imagelayers;
pub mod layer_file;
pub mod layout;
mod logins;
mod lookup;
pub mod manifest;
mod mask;
mod measure;
mod mirrors;
mod pages;
mod platform;
mod said;
mod schema1;
mod setup;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod validators;
mod words;

pub use budget::{Allowance, Budget, Budgets, Deferral, Forecast};
pub use fetches::Fetches;
pub use logins::Logins;
pub use lookup::{Way, way};
pub use platform::NotAPlatform;
pub use validators::Validators;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use address::Origin;
use futures_util::future::BoxFuture;

use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::Kind;
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// What a source says to a question that it understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Found(T),
    /// There is none, and why, in words.
    Absent(String),
}

impl<T> Answer<T> {
    /// The same of something else, where there is something.
    pub fn map<U>(self, what: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Found(found) => Answer::Found(what(found)),
            Self::Absent(why) => Answer::Absent(why),
        }
    }
}

/// The tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Tag to the digest that it points at (of the index, where it is one).
    pub tags: BTreeMap<String, Sha256>,
    /// Tags that were left out, and why: outside the grammar, or gone when they were asked about.
    pub left_out: Vec<(String, String)>,
}

/// Which tags are asked about at all.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    pub only: Option<globset::GlobSet>,
    pub omit: Option<globset::GlobSet>,
}

/// The platform that is chosen from an index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

/// The platforms that a tag has images for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platforms {
    pub names: BTreeSet<String>,
    /// Those that are none by their grammar, as they may be shown.
    pub left_out: BTreeSet<String>,
}

/// Why a question got no answer: the step fails.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    pub message: String,
    /// What to do, where there is something.
    pub help: Option<String>,
    /// The server is not to be reached, or not well: others would fare no better now.
    pub is_outage: bool,
    /// There is no fault: the source has no more to give for now.
    pub deferral: Option<Box<Deferral>>,
}

/// How hard to try, set per target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Attempts a request after the first; `None`: as many as there are unless set.
    pub retries: Option<u32>,
    /// For a whole request; `None`: the source's own (120 s).
    pub timeout: Option<std::time::Duration>,
}

/// Attempts after the first, unless set: where a fifth of all goes wrong, none of many thousands fails this often.
const RETRIES: u32 = 8;

impl Effort {
    /// Attempts after the first.
    pub fn retries(self) -> u32 {
        self.retries.unwrap_or(RETRIES)
    }
}

impl SourceError {
    /// An error that nothing can be said about but that it is there.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, is_outage: false, deferral: None }
    }

    /// The source has no more to give for now.
    pub fn deferred(deferral: Deferral) -> Self {
        let message = format!("{}: {}", deferral.source, deferral.why);
        Self { deferral: Some(Box::new(deferral)), ..Self::new(message) }
    }

    /// Says what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl TagFilter {
    /// Whether a tag is asked about.
    pub fn takes(&self, tag: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(tag)) && !self.omit.as_ref().is_some_and(|o| o.is_match(tag))
    }
}

/// What is asked about, and how.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub repo: &'a str,
    /// Where content is taken from, and kept.
    pub blobs: &'a Blobs,
    pub effort: Effort,
}

/// What a source will say.
pub type Answering<'a, T> = BoxFuture<'a, Result<Answer<T>, SourceError>>;

/// Where image metadata comes from.
pub trait Source: Send + Sync {
    /// Kind and URL without its user part: what a question is asked of. Two sources of one identity give one answer.
    fn identity(&self) -> &str;

    /// How many steps may wait on it at once.
    fn concurrency(&self) -> usize;

    /// Whether it is there without a network.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether other addresses are asked before its own.
    fn has_mirrors(&self) -> bool {
        false
    }

    /// What counts its pulls; `None` where nobody does.
    fn budget(&self) -> Option<&Arc<Budget>> {
        None
    }

    /// The tags of a repository, each with its digest. Manifests that came for want of a digest are kept.
    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags>;

    /// The digest that a tag points at now. A manifest that came for want of a digest is kept.
    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256>;

    /// The image behind a digest, for one platform: its manifests and config are taken from where they are kept, or
    /// fetched, checked against their digests, and kept there.
    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, platform: &'a Platform) -> Answering<'a, image::Image>;

    /// The platforms that there are images for behind a digest.
    fn platforms<'a>(&'a self, about: About<'a>, digest: Sha256) -> Answering<'a, Platforms> {
        let _ = (about, digest);
        Box::pin(async { Ok(Answer::Absent("this source does not tell platforms".into())) })
    }

    /// Puts the sizes of the unpacked layers in place of those of their blobs. A layer whose size is not to be had keeps
    /// that of its blob, and is marked; so do all of a source that has no blobs.
    fn unpack<'a>(&'a self, _: About<'a>, image: &'a mut image::Image) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async {
            image.set_unpacked(|_| None);
            Ok(())
        })
    }

    /// This source as one that lists its repositories, where it does.
    fn lister(&self) -> Option<&dyn Lister> {
        None
    }

    /// This source as one that looks for repositories by words, where it does.
    fn searcher(&self) -> Option<&dyn Searcher> {
        None
    }

    /// This source as one that makes layer files itself, where it is one: it is not asked for images then.
    fn analyst(&self) -> Option<&dyn Analyst> {
        None
    }
}

/// Gives layer files as they are, from images that it does not show.
pub trait Analyst: Send + Sync {
    /// The layer file of a tag.
    fn layer_file<'a>(&'a self, repo: &'a str, tag: &'a str, effort: Effort) -> Answering<'a, Vec<u8>>;
}

/// The repositories of a namespace, or of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    pub names: BTreeSet<String>,
    /// Names outside the grammar, as they may be shown.
    pub left_out: BTreeSet<String>,
    /// How many the source says that there are, those left out and not asked for included, where it says it.
    pub count: Option<usize>,
}

impl Repositories {
    /// Takes a name in.
    pub fn add(&mut self, name: String) {
        match grammar::repository(&name) {
            Ok(()) => self.names.insert(name),
            Err(_) => self.left_out.insert(words::shown(&name)),
        };
    }

    /// How many there are up to here.
    pub fn len(&self) -> usize {
        self.names.len() + self.left_out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lists repositories.
pub trait Lister: Send + Sync {
    /// All that are below a name: never a part of them.
    fn namespace<'a>(&'a self, namespace: &'a str, effort: Effort) -> Answering<'a, Repositories>;
}

/// Looks for repositories by words.
pub trait Searcher: Send + Sync {
    /// The first so many that it finds, by its own order.
    fn search<'a>(
        &'a self,
        words: &'a str,
        limit: usize,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Repositories, SourceError>>;
}

/// What sources did, for progress and the summary; shared by all of a session.
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

    fn note(&self, at: &Origin, what: impl FnOnce(&mut HostNote)) {
        let host = at.to_string();
        let mut hosts = self.lock_hosts();
        what(hosts.entry(host.clone()).or_insert_with(|| HostNote { host, ..HostNote::default() }));
    }

    fn lock_hosts(&self) -> MutexGuard<'_, BTreeMap<String, HostNote>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all sources of a session share.
#[derive(Clone, Debug)]
pub struct Shared {
    pub traffic: Arc<Traffic>,
    pub budgets: Arc<Budgets>,
    pub validators: Arc<Validators>,
    pub fetches: Arc<Fetches>,
    /// The pipeline's folder.
    pub root: std::path::PathBuf,
    /// What Docker and Podman keep.
    pub logins: Logins,
    /// `--offline`: a source that would need the network fails instead.
    pub offline: bool,
}

/// The kinds of sources, for the pipeline's check and schema.
pub const KINDS: &[Kind] = &[distribution::KIND, dockerhub::KIND, imagelayers::KIND, layout::KIND, layout::ARCHIVE];

/// Makes a source from its entry; what is wrong with the entry goes into `problems`.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Arc<dyn Source>> {
    match entry.kind.as_str() {
        "registry" => Some(Arc::new(distribution::open(entry, shared, problems)?)),
        "dockerhub" => Some(Arc::new(dockerhub::open(entry, shared, problems)?)),
        "imagelayers" => Some(Arc::new(imagelayers::open(entry, shared, problems)?)),
        "oci-layout" | "docker-archive" => Some(Arc::new(layout::open(entry, shared, problems)?)),
        // The check refuses unknown kinds.
        _ => None,
    }
}
