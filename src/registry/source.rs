//! What a source is asked, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::image::Image;
use super::{Budget, Deferral, grammar, words};
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use crate::sync::lock;

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
    /// What of it was not asked for again, since an earlier try was told.
    pub earlier: Option<Earlier>,
}

/// What an earlier try, that did not end, was told of a repository's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// How many digests.
    pub digests: usize,
    /// When the first of them was told, in milliseconds since 1970.
    pub since: i64,
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} digest{}", self.digests, if self.digests == 1 { "" } else { "s" })
    }
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
    /// It was refused in no words of a registry: somebody else may have done so, on the way there.
    pub is_refusal: bool,
    /// There is no fault: the source has no more to give for now.
    pub deferral: Option<Box<Deferral>>,
}

/// How hard to try, set per target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Attempts a request after the first; `None`: as many as there are unless set.
    pub retries: Option<u32>,
    /// For a whole request; `None`: the source's own (120 s).
    pub timeout: Option<Duration>,
    /// What an earlier try that did not end learnt since then (milliseconds since 1970) is as good as what is asked now;
    /// `None`: nothing of that kind is.
    pub learnt_since: Option<i64>,
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
        Self { message: message.into(), help: None, is_outage: false, is_refusal: false, deferral: None }
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

/// Who was asked for a step, who told which tags there are and which digests they have, and who sent content for it.
#[derive(Debug)]
pub struct Heard(Mutex<Addresses>);

#[derive(Debug)]
struct Addresses {
    asked: bool,
    told: Named,
    sent: Named,
}

/// Addresses of a source.
#[derive(Debug)]
struct Named {
    names: BTreeSet<String>,
    /// It is not the source's own alone.
    others: bool,
}

impl Named {
    const fn new() -> Self {
        Self { names: BTreeSet::new(), others: false }
    }

    fn add(&mut self, name: String, is_own: bool) {
        self.others |= !is_own;
        self.names.insert(name);
    }

    /// All of them, where it is not the source's own alone.
    fn listed(&self) -> Vec<String> {
        self.names.iter().filter(|_| self.others).cloned().collect()
    }
}

impl Heard {
    pub const fn new() -> Self {
        Self(Mutex::new(Addresses { asked: false, told: Named::new(), sent: Named::new() }))
    }

    /// Somebody is asked: the store has not got all.
    pub fn asked(&self) {
        lock(&self.0).asked = true;
    }

    pub fn was_asked(&self) -> bool {
        lock(&self.0).asked
    }

    /// An address told it: the source's own, or another one.
    pub fn told(&self, name: String, is_own: bool) {
        let mut heard = lock(&self.0);
        heard.asked = true;
        heard.told.add(name, is_own);
    }

    /// An address sent content: the source's own, or another one.
    pub fn sent(&self, name: String, is_own: bool) {
        lock(&self.0).sent.add(name, is_own);
    }

    /// Who told it, where it was not the source's own address alone.
    pub fn by(&self) -> Vec<String> {
        lock(&self.0).told.listed()
    }

    /// Who sent content, where it was not the source's own address alone.
    pub fn sent_by(&self) -> Vec<String> {
        lock(&self.0).sent.listed()
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self::new()
    }
}

/// What is asked about, and how.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub repo: &'a str,
    /// Where content is taken from, and kept.
    pub blobs: &'a Blobs,
    pub effort: Effort,
    /// Who answers is written down here.
    pub heard: &'a Heard,
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
    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, platform: &'a Platform) -> Answering<'a, Image>;

    /// The platforms that there are images for behind a digest.
    fn platforms<'a>(&'a self, about: About<'a>, digest: Sha256) -> Answering<'a, Platforms> {
        let _ = (about, digest);
        Box::pin(async { Ok(Answer::Absent("this source does not tell platforms".into())) })
    }

    /// Puts the sizes of the unpacked layers in place of those of their blobs. A layer whose size is not to be had keeps
    /// that of its blob, and is marked; so do all of a source that has no blobs.
    fn unpack<'a>(&'a self, _: About<'a>, image: &'a mut Image) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async {
            image.set_unpacked(|files| Err(format!("this source has no blobs, and so not {}", files.digest)));
            Ok(())
        })
    }

    /// What an earlier try was told of a repository's tags from `since` on (milliseconds since 1970), and is not asked for
    /// again.
    fn told_earlier(&self, _repo: &str, _since: i64) -> Option<Earlier> {
        None
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
