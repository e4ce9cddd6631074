//! The `dockerhub` source: tags by Docker Hub's own API, which gives a hundred with their digests a request; images by
//! its registry.

mod hub;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use self::hub::{Api, End, Page, Who, qualified};
use super::address;
use super::auth::Login;
use super::auth::Role;
use super::budget::Budget;
use super::distribution::{self, Distribution};
use super::image::Image;
use super::pages::{self, Names};
use super::setup::{self, Setup};
use super::{
    About, Answer, Answering, Earlier, Effort, Lister, Platform, Platforms, Repositories, Searcher, Shared, Source,
    SourceError, TagFilter, Tags, grammar,
};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::{Digest, Sha256};

/// The kind `dockerhub` and its keys.
pub const KIND: Kind = Kind {
    name: "dockerhub",
    doc: "Docker Hub: tags by its own API, a hundred with their digests a request; images by its registry.",
    keys: &[
        Key {
            name: "api",
            shape: Shape::Text,
            required: false,
            doc: "The address of its API (default https://hub.docker.com).",
        },
        Key {
            name: "registry",
            shape: Shape::Text,
            required: false,
            doc: "The address of its registry (default https://registry-1.docker.io).",
        },
        setup::USERNAME,
        setup::PASSWORD,
        setup::CREDENTIALS,
        setup::MIRRORS,
        setup::CA,
        setup::CONCURRENCY,
        setup::BUDGET,
        setup::TIMEOUT,
        setup::IDLE_TIMEOUT,
        setup::MANIFEST_LIMIT,
        setup::INSECURE,
    ],
};

const API: &str = "https://hub.docker.com";
const REGISTRY: &str = "https://registry-1.docker.io";

/// Docker Hub.
pub struct DockerHub {
    identity: String,
    api: Api,
    registry: Distribution,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<DockerHub> {
    let setup = Setup::read(entry, shared, problems);
    let api = setup.address("api", Some(API), problems);
    let registry = setup.address("registry", Some(REGISTRY), problems);
    let addresses = api.as_ref().zip(registry.as_ref()).map(|(api, own)| format!("{} {}", api.shown(), own.shown()));
    let host = registry.as_ref().map(|own| address::host(&own.base));
    // What is wrong with them is told where the registry is connected to.
    let given = setup.credentials(registry.as_ref(), &mut Problems::default());
    let registry = distribution::connect(&setup, registry, problems);
    let (mut api, registry, given, host) = (api?, registry?, given?, host?);
    // Logins are for the registry first; the API shows to anybody what is public, but not all pages of it.
    let login = Login::Given(api.credentials.take());
    let budget = setup.announced_budget(&api);
    let endpoint = setup.endpoint_as(login, api, setup.stranger(), budget, Role::Api);
    Some(DockerHub {
        identity: format!("dockerhub {}", addresses?),
        api: Api::new(endpoint, setup.login(given), host),
        registry,
    })
}

/// What the API tells of a repository.
#[derive(Default)]
struct Listed {
    digests: BTreeMap<String, Sha256>,
    /// Those that it gives without a digest, as it does with old ones, or that are no tags.
    names: Names,
    /// These are all that there are.
    all: bool,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    digest: Option<String>,
}

impl DockerHub {
    async fn listed(&self, about: About<'_>, filter: &TagFilter) -> Result<Listed, SourceError> {
        let mut listed = Listed::default();
        let Some((namespace, name)) = about.repo.split_once('/').filter(|(_, name)| !name.contains('/')) else {
            return Ok(listed);
        };
        let url = self.api.endpoint.url(&format!("namespaces/{namespace}/repositories/{name}"), "tags");
        let (mut seen, mut count) = (HashSet::new(), None);
        let end = self.api.walk(url, pages::TAGS, Who::Anybody, about.effort, |page: Page<Entry>| {
            count = page.count;
            for entry in page.results.0 {
                seen.insert(Digest::of(entry.name.as_bytes()));
                listed.add(entry, filter);
            }
            (seen.len(), false)
        });
        listed.all = match end.await? {
            // A tag that is pushed again while pages are turned may be on none of them.
            End::Last => count.is_none_or(|count| seen.len() >= count),
            // There is none, or it is private; or tags went while pages were turned. Anonymous clients may turn some
            // pages only.
            End::Missing | End::Wall(_) => false,
        };
        Ok(listed)
    }

    async fn all_tags(&self, about: About<'_>, filter: &TagFilter) -> Result<Answer<Tags>, SourceError> {
        let mut listed = self.listed(about, filter).await?;
        if listed.all || !listed.digests.is_empty() {
            about.heard.told(self.api.endpoint.name(), false);
        }
        if !listed.all {
            match self.registry.names(about, filter).await? {
                Answer::Found(names) => {
                    // It is not what is asked first.
                    about.heard.told(self.registry.name(), false);
                    listed.complete(names);
                }
                Answer::Absent(why) if listed.digests.is_empty() => return Ok(Answer::Absent(why)),
                Answer::Absent(why) => {
                    let what = format!("{} has tags of {}, but not all; {why}", self.api.endpoint.name(), about.repo);
                    return Err(SourceError::new(what));
                }
            }
        }
        let mut tags = self.registry.with_digests(about, listed.names).await?;
        tags.tags.extend(listed.digests);
        Ok(Answer::Found(tags))
    }
}

impl Listed {
    fn add(&mut self, entry: Entry, filter: &TagFilter) {
        let digest = entry.digest.and_then(|digest| digest.parse().ok());
        match digest {
            Some(digest) if grammar::is_tag(&entry.name) => {
                if filter.takes(&entry.name) {
                    self.digests.insert(entry.name, digest);
                }
            }
            _ => self.names.add([entry.name], filter),
        }
    }

    /// Adds what the registry's own list has beside.
    fn complete(&mut self, names: Names) {
        self.names.tags.extend(names.tags.into_iter().filter(|tag| !self.digests.contains_key(tag)));
        self.names.refused.extend(names.refused);
    }
}

/// Why there is nothing, with what may be meant: names that are copied from elsewhere begin with a host, as Docker reads
/// them, if there is a dot in their first part.
fn with_hint<T>(repo: &str, answer: Answer<T>) -> Answer<T> {
    match (answer, repo.split_once('/')) {
        (Answer::Absent(why), Some((host, rest))) if host.contains('.') => Answer::Absent(match host {
            "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
                format!("{why}: names have no host here, so `{}` may be meant", qualified(rest))
            }
            _ => format!("{why}: {host} is another registry, and wants a source of its own"),
        }),
        (answer, _) => answer,
    }
}

impl Source for DockerHub {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn concurrency(&self) -> usize {
        self.registry.concurrency()
    }

    fn has_mirrors(&self) -> bool {
        self.registry.has_mirrors()
    }

    fn budget(&self) -> Option<&Arc<Budget>> {
        self.registry.budget()
    }

    fn lister(&self) -> Option<&dyn Lister> {
        Some(self)
    }

    fn searcher(&self) -> Option<&dyn Searcher> {
        Some(self)
    }

    fn told_earlier(&self, repo: &str, since: i64) -> Option<Earlier> {
        self.registry.told_earlier(&qualified(repo), since)
    }

    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags> {
        Box::pin(async move {
            let repo = qualified(about.repo);
            distribution::check(&repo, None)?;
            Ok(with_hint(&repo, self.all_tags(About { repo: &repo, ..about }, filter).await?))
        })
    }

    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
        Box::pin(async move {
            let repo = qualified(about.repo);
            Ok(with_hint(&repo, self.registry.resolve(About { repo: &repo, ..about }, tag).await?))
        })
    }

    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, platform: &'a Platform) -> Answering<'a, Image> {
        Box::pin(async move {
            let repo = qualified(about.repo);
            self.registry.image(About { repo: &repo, ..about }, digest, platform).await
        })
    }

    fn platforms<'a>(&'a self, about: About<'a>, digest: Sha256) -> Answering<'a, Platforms> {
        Box::pin(async move {
            let repo = qualified(about.repo);
            self.registry.platforms(About { repo: &repo, ..about }, digest).await
        })
    }

    fn unpack<'a>(&'a self, about: About<'a>, image: &'a mut Image) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let repo = qualified(about.repo);
            self.registry.unpack(About { repo: &repo, ..about }, image).await
        })
    }
}

impl Lister for DockerHub {
    fn namespace<'a>(&'a self, namespace: &'a str, effort: Effort) -> Answering<'a, Repositories> {
        Box::pin(async move {
            distribution::check(namespace, None)?;
            if namespace.contains('/') {
                return Ok(Answer::Absent(format!("Docker Hub has no namespace {namespace}: it has no `/`")));
            }
            self.api.namespace(namespace, effort).await
        })
    }
}

impl Searcher for DockerHub {
    fn search<'a>(
        &'a self,
        words: &'a str,
        limit: usize,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Repositories, SourceError>> {
        Box::pin(self.api.search(words, limit, effort))
    }
}
