//! The `registry` source: any registry that speaks the OCI distribution-spec, or Docker's registry protocol before it.

mod remote;

use std::sync::Arc;

use super::address::Address;
use super::auth::Role;
use super::budget::Budget;
use super::endpoint::Endpoint;
use super::endpoint::learnt::Learnt;
use super::endpoint::mirrors;
use super::grammar;
use super::image::Image;
use super::image::fetches::Fetches;
use super::image::lookup;
use super::image::measure::{self, Measures};
use super::pages::{Names, Walked};
use super::setup::{self, Setup};
use super::{
    About, Answer, Answering, Earlier, Effort, Lister, Platform, Platforms, Repositories, Shared, Source, SourceError,
    TagFilter, Tags, pages,
};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use remote::Remote;

/// The kind `registry` and its keys.
pub const KIND: Kind = Kind {
    name: "registry",
    doc: "A container registry: tags, manifests and configs by the OCI distribution-spec.",
    keys: &[
        Key {
            name: "url",
            shape: Shape::Text,
            required: true,
            doc: "Its address, as in https://registry.example.com.",
        },
        setup::USERNAME,
        setup::PASSWORD,
        setup::CREDENTIALS,
        setup::MIRRORS,
        setup::CA,
        setup::CLIENT_CERT,
        setup::CLIENT_KEY,
        setup::CONCURRENCY,
        setup::BUDGET,
        setup::TIMEOUT,
        setup::IDLE_TIMEOUT,
        setup::MANIFEST_LIMIT,
        setup::INSECURE,
    ],
};

/// A registry.
pub struct Distribution {
    identity: String,
    limit: u64,
    concurrency: usize,
    budget: Arc<Budget>,
    /// Its mirrors, and its own address last.
    endpoints: mirrors::Endpoints,
    fetches: Arc<Fetches>,
    /// What it is called where it gets content.
    address: Arc<str>,
    measures: Measures,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Distribution> {
    let setup = Setup::read(entry, shared, problems);
    let own = setup.address("url", None, problems);
    connect(&setup, own, problems)
}

/// A registry at an address, reached as the entry says.
pub fn connect(setup: &Setup, own: Option<Address>, problems: &mut Problems) -> Option<Distribution> {
    let given = setup.credentials(own.as_ref(), problems);
    let mirrors = setup.mirrors(problems);
    let budget = setup.budget(own.as_ref(), problems);
    if !setup.is_fine(problems) {
        return None;
    }
    let own = Address { credentials: given?, ..own? };
    let budget = budget?;
    let identity = format!("registry {}", own.shown());
    // Who we are is for the registry itself to know.
    let mirror = |mirror: Address| {
        let budget = setup.announced_budget(&mirror);
        setup.endpoint(mirror, setup.stranger(), budget, Role::Mirror)
    };
    let mirrors = mirrors.into_iter().map(mirror).collect();
    let endpoints = mirrors::Endpoints::new(mirrors, setup.endpoint(own, setup.known(), budget.clone(), Role::Own));
    Some(Distribution {
        identity,
        limit: setup.limit(),
        concurrency: setup.concurrency(),
        endpoints,
        fetches: setup.fetches(),
        address: budget.name().into(),
        budget,
        measures: Measures::default(),
    })
}

impl Distribution {
    async fn digest(&self, about: About<'_>, tag: &str) -> Result<Answer<Sha256>, SourceError> {
        let ask = |endpoint, effort| -> BoxFuture<'_, _> {
            Box::pin(Endpoint::digest(endpoint, About { effort, ..about }, tag))
        };
        Ok(self.heard(about, self.endpoints.ask(about.effort, ask).await?))
    }

    /// Writes down who told it: one after the other is asked.
    fn heard<T>(&self, about: About<'_>, answer: Answer<(T, &Endpoint)>) -> Answer<T> {
        answer.map(|(told, by)| {
            about.heard.told(by.name(), self.is_own(by));
            told
        })
    }

    fn is_own(&self, endpoint: &Endpoint) -> bool {
        std::ptr::eq(endpoint, self.endpoints.own())
    }

    /// The same where it may be known already.
    async fn known_digest(
        &self,
        about: About<'_>,
        tag: &str,
        learnt: Option<&Learnt>,
    ) -> Result<Answer<Sha256>, SourceError> {
        let Some(learnt) = learnt else { return self.digest(about, tag).await };
        if let Some(digest) = learnt.get(tag) {
            return Ok(Answer::Found(digest));
        }
        let answer = self.digest(about, tag).await?;
        if let Answer::Found(digest) = &answer {
            learnt.add(tag, *digest);
        }
        Ok(answer)
    }

    fn remote<'a>(&'a self, about: About<'a>) -> Remote<'a> {
        Remote { source: self, about }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        self.endpoints.own().name()
    }

    /// The names of a repository's tags.
    pub async fn names(&self, about: About<'_>, filter: &TagFilter) -> Result<Answer<Names>, SourceError> {
        let ask =
            |endpoint, effort| -> BoxFuture<'_, _> { Box::pin(pages::names(endpoint, about.repo, filter, effort)) };
        Ok(self.heard(about, self.endpoints.ask(about.effort, ask).await?))
    }

    /// Asks for the digest of each, but for what an earlier try that did not end has learnt.
    pub async fn with_digests(&self, about: About<'_>, names: Names) -> Result<Tags, SourceError> {
        let kept = &self.endpoints.own().validators;
        let learnt = Learnt::of(kept, &self.identity, about.repo, about.effort.learnt_since);
        let earlier = learnt.as_ref().and_then(|learnt| learnt.earlier(|tag| names.tags.contains(tag)));
        let digests: Vec<(String, Answer<Sha256>)> = stream::iter(names.tags)
            .map(|tag| async { Ok::<_, SourceError>((self.known_digest(about, &tag, learnt.as_ref()).await?, tag)) })
            .buffer_unordered(self.concurrency)
            .map_ok(|(digest, tag)| (tag, digest))
            .try_collect()
            .await?;
        if let Some(learnt) = learnt {
            learnt.forget();
        }
        let mut tags = Tags { earlier, ..Tags::default() };
        for (tag, digest) in digests {
            match digest {
                Answer::Found(digest) => drop(tags.tags.insert(tag, digest)),
                Answer::Absent(why) => tags.left_out.push((tag, format!("gone when it was asked about: {why}"))),
            }
        }
        tags.left_out.extend(names.refused.into_values().map(|tag| (tag, grammar::NOT_A_TAG.into())));
        tags.left_out.sort();
        Ok(tags)
    }
}

impl Lister for Distribution {
    fn namespace<'a>(&'a self, namespace: &'a str, effort: Effort) -> Answering<'a, Repositories> {
        Box::pin(async move {
            check(namespace, None)?;
            // A mirror lists what it happens to have.
            let own = self.endpoints.own();
            let below = format!("{namespace}/");
            let mut found = Repositories::default();
            let take = |name: String| {
                if name.starts_with(&below) {
                    found.add(name);
                }
            };
            let why = match pages::repositories(own, effort, take).await? {
                Walked::All if found.is_empty() => {
                    return Ok(Answer::Absent(format!("{} has no repositories in {namespace}", own.name())));
                }
                Walked::All => return Ok(Answer::Found(found)),
                Walked::Denied(status) => format!("does not let us list its repositories ({status})"),
                Walked::Missing => "does not list its repositories".into(),
            };
            Err(SourceError::new(format!("{} {why}", own.name()))
                .help("name them in a file, and read it with `{lines: FILE}`"))
        })
    }
}

/// Refuses what would not be the address that it is meant to be.
pub fn check(repo: &str, tag: Option<&str>) -> Result<(), SourceError> {
    grammar::repository(repo).and_then(|()| tag.map_or(Ok(()), grammar::tag)).map_err(SourceError::new)
}

impl Source for Distribution {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn has_mirrors(&self) -> bool {
        self.endpoints.has_mirrors()
    }

    fn budget(&self) -> Option<&Arc<Budget>> {
        Some(&self.budget)
    }

    fn lister(&self) -> Option<&dyn Lister> {
        Some(self)
    }

    fn told_earlier(&self, repo: &str, since: i64) -> Option<Earlier> {
        Learnt::told(&self.endpoints.own().validators, &self.identity, repo, since)
    }

    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags> {
        Box::pin(async move {
            check(about.repo, None)?;
            Ok(match self.names(about, filter).await? {
                Answer::Found(names) => Answer::Found(self.with_digests(about, names).await?),
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
        Box::pin(async move {
            check(about.repo, Some(tag))?;
            self.digest(about, tag).await
        })
    }

    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, platform: &'a Platform) -> Answering<'a, Image> {
        Box::pin(async move {
            check(about.repo, None)?;
            lookup::image(&self.remote(about), about, digest, platform).await
        })
    }

    fn platforms<'a>(&'a self, about: About<'a>, digest: Sha256) -> Answering<'a, Platforms> {
        Box::pin(async move {
            check(about.repo, None)?;
            lookup::platforms(&self.remote(about), about, digest).await
        })
    }

    fn unpack<'a>(&'a self, about: About<'a>, image: &'a mut Image) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { measure::unpack(&self.remote(about), about.blobs, image).await })
    }
}
