//! The `imagelayers` source: a server that speaks the API of imagelayers, and gives layer files as they are.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::auth::Outcome;
use super::auth::Role;
use super::endpoint::{Endpoint, unexpected};
use super::few::FewNamed;
use super::http::{Reply, Request};
use super::image::Image;
use super::layer_file::{self, Analyzed};
use super::pages;
use super::setup::{self, Setup};
use super::words::shown;
use super::{About, Analyst, Answer, Answering, Effort, Platform, Shared, Source, SourceError, TagFilter, Tags};
use super::{distribution, grammar};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;

/// The kind `imagelayers` and its keys.
pub const KIND: Kind = Kind {
    name: "imagelayers",
    doc: "A server with the API of imagelayers: tags with ids of Docker's old kind, and layer files as it makes them.",
    keys: &[
        Key { name: "url", shape: Shape::Text, required: true, doc: "Its address, as in http://127.0.0.1:8008." },
        setup::CA,
        setup::CONCURRENCY,
        setup::TIMEOUT,
        Key {
            name: "idle_timeout",
            shape: Shape::Duration,
            required: false,
            doc: "How long the server may be silent (default 60s).",
        },
        setup::MANIFEST_LIMIT,
        setup::INSECURE,
    ],
};

/// It asks a registry about each layer before it says a word.
const PATIENCE: Duration = Duration::from_secs(60);
const NOT_AN_ID: &str = "its id is not 64 hexadecimal digits";

/// An imagelayers server.
pub struct ImageLayers {
    identity: String,
    concurrency: usize,
    server: Endpoint,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<ImageLayers> {
    let setup = Setup::read(entry, shared, problems).patient(PATIENCE);
    let address = setup.address("url", None, problems)?;
    let budget = setup.announced_budget(&address);
    setup.is_fine(problems).then(|| ImageLayers {
        identity: format!("imagelayers {}", address.shown()),
        concurrency: setup.concurrency(),
        server: setup.endpoint(address, setup.stranger(), budget, Role::Own),
    })
}

impl ImageLayers {
    fn request(&self, method: Method, path: &str, limit: u64) -> Request {
        let url = self.server.below(format_args!("registry/{path}"));
        Request::new(method, url, "application/json", limit)
    }

    async fn send(&self, request: &mut Request, repo: &str, effort: Effort) -> Result<Answer<Reply>, SourceError> {
        Ok(match self.server.page(request, repo, effort).await? {
            Outcome::Reply(reply) if reply.status == StatusCode::OK => Answer::Found(reply),
            Outcome::Reply(reply) if reply.status == StatusCode::NOT_FOUND && request.method == Method::GET => {
                Answer::Absent(format!("{} has no repository {repo}", self.server.name()))
            }
            Outcome::Reply(reply) => return Err(unexpected(request, &reply)),
            Outcome::Denied(status) | Outcome::NoToken(status) => Answer::Absent(self.server.denied(repo, status)),
        })
    }

    async fn all_tags(&self, repo: &str, filter: &TagFilter, effort: Effort) -> Result<Answer<Tags>, SourceError> {
        let mut request = self.request(Method::GET, &format!("images/{repo}/tags"), pages::PAGE_LIMIT);
        let reply = match self.send(&mut request, repo, effort).await? {
            Answer::Found(reply) => reply,
            Answer::Absent(why) => return Ok(Answer::Absent(why)),
        };
        // It has `null` for what it could not find.
        let ids: Option<FewNamed<String, { pages::NAMES_MAX }>> = pages::read(&request, &reply, pages::TAGS)?;
        self.server.keep_page(&request, &reply);
        let Some(FewNamed(ids)) = ids else {
            return Ok(Answer::Absent(format!("{} has no tags of {repo}", self.server.name())));
        };
        let mut tags = Tags::default();
        for (tag, id) in ids {
            if !grammar::is_tag(&tag) {
                tags.left_out.push((shown(&tag), grammar::NOT_A_TAG.into()));
            } else if filter.takes(&tag) {
                match Sha256::from_hex(&id) {
                    Some(id) => drop(tags.tags.insert(tag, id)),
                    None => tags.left_out.push((tag, NOT_AN_ID.into())),
                }
            }
        }
        tags.left_out.sort();
        Ok(Answer::Found(tags))
    }

    fn no_tag(&self, repo: &str, tag: &str) -> String {
        format!("{} has no {repo}:{tag}", self.server.name())
    }
}

impl Source for ImageLayers {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags> {
        Box::pin(async move {
            distribution::check(about.repo, None)?;
            self.all_tags(about.repo, filter, about.effort).await
        })
    }

    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
        Box::pin(async move {
            let repo = about.repo;
            distribution::check(repo, Some(tag))?;
            Ok(match self.all_tags(repo, &TagFilter::default(), about.effort).await? {
                Answer::Found(tags) => match tags.tags.get(tag) {
                    Some(id) => Answer::Found(*id),
                    None => Answer::Absent(self.no_tag(repo, tag)),
                },
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn image<'a>(&'a self, _: About<'a>, _: Sha256, _: &'a Platform) -> Answering<'a, Image> {
        let what = format!("{} gives layer files, and no manifests", self.server.name());
        Box::pin(async move { Err(SourceError::new(what)) })
    }

    fn analyst(&self) -> Option<&dyn Analyst> {
        Some(self)
    }
}

impl Analyst for ImageLayers {
    fn layer_file<'a>(&'a self, repo: &'a str, tag: &'a str, effort: Effort) -> Answering<'a, Vec<u8>> {
        Box::pin(async move {
            distribution::check(repo, Some(tag))?;
            let mut request = self.request(Method::POST, "analyze", self.server.limit);
            let wanted = json!({"repos": [{"name": repo, "tag": tag}]});
            request.body = Some(("application/json", wanted.to_string()));
            let reply = match self.send(&mut request, repo, effort).await? {
                Answer::Found(reply) => reply,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            match layer_file::analyzed(&reply.body, repo, tag) {
                Ok(Analyzed::Found(file)) => Ok(Answer::Found(file)),
                Ok(Analyzed::Missing) => Ok(Answer::Absent(self.no_tag(repo, tag))),
                Err(what) => Err(SourceError::new(format!("{}: {what}", request.shown()))),
            }
        })
    }
}
