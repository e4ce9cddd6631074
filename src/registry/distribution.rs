//! The `registry` source: any registry that speaks the OCI distribution-spec, or Docker's registry protocol before it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::address::{self, Address, Credentials, Origin};
use super::auth::{Outcome, Session};
use super::flight::Flights;
use super::grammar;
use super::http::{Follow, Http, Reply, Request, Settings};
use super::image::Image;
use super::layout::MANIFEST_LIMIT;
use super::lookup::{self, Content, Fetched, Sent};
use super::words::{self, shortened};
use super::{Answer, Effort, Platform, Reference, Shared, Source, SourceError, TagFilter, Tags, manifest, pages};
use crate::pipeline::model::{Node, SourceEntry};
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

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
        Key {
            name: "username",
            shape: Shape::Text,
            required: false,
            doc: "Who to log in as. Without it, the registry is asked anonymously.",
        },
        Key {
            name: "password",
            shape: Shape::Text,
            required: false,
            doc: "The password or access token of `username`, as in ${secret.REGISTRY_PASSWORD}.",
        },
        Key {
            name: "concurrency",
            shape: Shape::Int(1, 1024),
            required: false,
            doc: "How many requests may be under way at once (default 32).",
        },
        Key {
            name: "timeout",
            shape: Shape::Duration,
            required: false,
            doc: "How long one attempt of a request may take in all (default 120s).",
        },
        Key {
            name: "idle_timeout",
            shape: Shape::Duration,
            required: false,
            doc: "How long the registry may be silent (default 20s).",
        },
        Key {
            name: "manifest_limit",
            shape: Shape::Int(1, 1 << 30),
            required: false,
            doc: "The largest manifest or config that is taken, in bytes (default 4194304).",
        },
        Key {
            name: "insecure",
            shape: Shape::Bool,
            required: false,
            doc: "Allows plain HTTP to another machine, which anyone on the way can read and change.",
        },
    ],
};

const CONCURRENCY: u64 = 32;
const TIMEOUT: Duration = Duration::from_secs(120);
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A registry.
pub struct Distribution {
    identity: String,
    base: Url,
    limit: u64,
    concurrency: usize,
    pub(super) session: Session,
    flights: Flights<(String, Sha256), Fetched>,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Distribution> {
    let keys = &entry.keys;
    let insecure = keys.get("insecure").and_then(Node::as_bool).unwrap_or(false);
    let url = keys.get("url")?;
    let address = match address::parse(url.as_text()?, insecure) {
        Ok(address) => Some(address),
        Err(bad) => {
            problems.at(url.span, "not the address of a registry", bad.label).maybe_help(bad.help);
            None
        }
    };
    let credentials = credentials(keys, address.as_ref(), problems)?;
    let base = address?.base;
    let number = |key: &str, default| keys.get(key).and_then(Node::as_u64).unwrap_or(default);
    let duration = |key: &str, default| keys.get(key).and_then(Node::as_duration).unwrap_or(default);
    let concurrency = number("concurrency", CONCURRENCY) as usize;
    let settings = Settings {
        concurrency,
        timeout: duration("timeout", TIMEOUT),
        idle_timeout: duration("idle_timeout", IDLE_TIMEOUT),
        insecure,
        offline: shared.offline,
        local: address::is_loopback(&base),
    };
    Some(Distribution {
        identity: format!("registry {}", base.as_str().trim_end_matches('/')),
        base,
        limit: number("manifest_limit", MANIFEST_LIMIT),
        concurrency,
        session: Session::new(Http::new(settings, shared.traffic.clone()), credentials),
        flights: Flights::default(),
    })
}

/// The credentials of the keys, or of the address. `None` where they are wrong.
fn credentials(keys: &Node, address: Option<&Address>, problems: &mut Problems) -> Option<Option<Credentials>> {
    let in_address = address.and_then(|a| a.credentials.clone());
    let (username, password) = (keys.get("username"), keys.get("password"));
    match (username, password) {
        (None, None) => Some(in_address),
        (Some(node), _) | (_, Some(node)) if in_address.is_some() => {
            problems.at(node.span, "credentials are given twice", "the user part of `url:` has some already");
            None
        }
        (Some(username), Some(password)) => {
            Some(Some(Credentials { username: username.as_text()?.expose(), password: password.as_text()?.expose() }))
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

impl Distribution {
    /// What messages call it.
    pub(super) fn name(&self) -> String {
        Origin::of(&self.base).to_string()
    }

    /// An address below a repository. Names and references are in their grammars, which need no escapes.
    pub(super) fn url(&self, repo: &str, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v2/{repo}/{rest}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Why there is nothing where we may not look.
    pub(super) fn denied(&self, repo: &str, status: StatusCode) -> String {
        format!("{repo} at {} is not public or does not exist ({status})", self.name())
    }

    fn manifest_request(&self, method: Method, repo: &str, reference: &str) -> Request {
        let url = self.url(repo, &format!("manifests/{reference}"));
        Request { method, url, accept: manifest::ACCEPT, limit: self.limit, follow: Follow::SameHost }
    }

    /// The digest of a tag: what a HEAD says, which hubs do not charge for; where it does not say, that of the content.
    async fn digest(&self, repo: &str, tag: &str, effort: Effort) -> Result<Answer<Sha256>, SourceError> {
        let request = self.manifest_request(Method::HEAD, repo, tag);
        let reply = match self.session.send(&request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        match reply.status {
            StatusCode::OK => match said_digest(&reply) {
                Some(digest) => Ok(Answer::Found(digest)),
                None => self.digest_of_content(repo, tag, effort).await,
            },
            StatusCode::NOT_FOUND => Ok(Answer::Absent(self.no_tag(repo, tag))),
            StatusCode::METHOD_NOT_ALLOWED => self.digest_of_content(repo, tag, effort).await,
            _ => Err(unexpected(&request, &reply)),
        }
    }

    async fn digest_of_content(&self, repo: &str, tag: &str, effort: Effort) -> Result<Answer<Sha256>, SourceError> {
        let request = self.manifest_request(Method::GET, repo, tag);
        let reply = match self.session.send(&request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        match reply.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Answer::Absent(self.no_tag(repo, tag))),
            _ => return Err(unexpected(&request, &reply)),
        }
        if let Some(digest) = said_digest(&reply) {
            return Ok(Answer::Found(digest));
        }
        let sent = reply.header("content-type");
        if manifest::is_schema1(&reply.body, sent) {
            return Ok(Answer::Absent(format!("{}, and its digest is not told", manifest::SCHEMA1)));
        }
        manifest::parse(&reply.body, sent).map_err(|e| SourceError::new(format!("{}: {e}", request.shown())))?;
        Ok(Answer::Found(Sha256::of(&reply.body)))
    }

    fn no_tag(&self, repo: &str, tag: &str) -> String {
        format!("{} has no {repo}:{tag}", self.name())
    }

    async fn all_tags(&self, repo: &str, filter: &TagFilter, effort: Effort) -> Result<Answer<Tags>, SourceError> {
        let names = match pages::names(self, repo, filter, effort).await? {
            Answer::Found(names) => names,
            Answer::Absent(why) => return Ok(Answer::Absent(why)),
        };
        let digests: Vec<(String, Answer<Sha256>)> = stream::iter(names.tags)
            .map(|tag| async { Ok::<_, SourceError>((self.digest(repo, &tag, effort).await?, tag)) })
            .buffer_unordered(self.concurrency)
            .map_ok(|(digest, tag)| (tag, digest))
            .try_collect()
            .await?;
        let mut tags = Tags::default();
        for (tag, digest) in digests {
            match digest {
                Answer::Found(digest) => drop(tags.tags.insert(tag, digest)),
                Answer::Absent(why) => tags.left_out.push((tag, format!("gone when it was asked about: {why}"))),
            }
        }
        tags.left_out.extend(names.refused.into_values().map(|tag| (tag, grammar::NOT_A_TAG.into())));
        tags.left_out.sort();
        Ok(Answer::Found(tags))
    }
}

/// Refuses what would not be the address that it is meant to be.
fn check(repo: &str, tag: Option<&str>) -> Result<(), SourceError> {
    grammar::repository(repo).and_then(|()| tag.map_or(Ok(()), grammar::tag)).map_err(SourceError::new)
}

fn said_digest(reply: &Reply) -> Option<Sha256> {
    reply.header("docker-content-digest")?.trim().parse().ok()
}

/// An answer that has no meaning here, with what the registry says of it.
pub(super) fn unexpected(request: &Request, reply: &Reply) -> SourceError {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let errors: Option<Errors> = serde_json::from_slice(&reply.body).ok();
    let said = errors.and_then(|e| e.errors.into_iter().next()).map(|e| format!(": {} {}", e.code, e.message));
    let said = shortened(said.as_deref().unwrap_or_default(), 200);
    SourceError::new(format!("{}: unexpected answer {}{said}", request.shown(), reply.status))
}

impl Source for Distribution {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn tags<'a>(
        &'a self,
        repo: &'a str,
        filter: &'a TagFilter,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Answer<Tags>, SourceError>> {
        Box::pin(async move {
            check(repo, None)?;
            self.all_tags(repo, filter, effort).await
        })
    }

    fn resolve<'a>(
        &'a self,
        repo: &'a str,
        tag: &'a str,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Answer<Sha256>, SourceError>> {
        Box::pin(async move {
            check(repo, Some(tag))?;
            self.digest(repo, tag, effort).await
        })
    }

    fn image<'a>(
        &'a self,
        repo: &'a str,
        reference: &'a Reference,
        platform: &'a Platform,
        blobs: &'a Blobs,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Answer<Image>, SourceError>> {
        Box::pin(async move {
            check(repo, None)?;
            let digest = match reference {
                Reference::Digest(digest) => *digest,
                // What is in the store already is not fetched for its name.
                Reference::Tag(tag) => match self.resolve(repo, tag, effort).await? {
                    Answer::Found(digest) => digest,
                    Answer::Absent(why) => return Ok(Answer::Absent(why)),
                },
            };
            lookup::image(&Remote { source: self, repo, effort }, blobs, repo, digest, platform).await
        })
    }
}

/// The content of one repository.
struct Remote<'a> {
    source: &'a Distribution,
    repo: &'a str,
    effort: Effort,
}

impl Remote<'_> {
    async fn get(&self, request: &Request, digest: &Sha256) -> Result<Answer<Reply>, SourceError> {
        let (source, repo) = (self.source, self.repo);
        let reply = match source.session.send(request, repo, self.effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(source.denied(repo, status))),
        };
        match reply.status {
            StatusCode::OK => Ok(Answer::Found(reply)),
            StatusCode::NOT_FOUND => Ok(Answer::Absent(format!("{} has no {digest} in {repo}", source.name()))),
            _ => Err(unexpected(request, &reply)),
        }
    }
}

impl Content for Remote<'_> {
    fn flights(&self) -> &Flights<(String, Sha256), Fetched> {
        &self.source.flights
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Sent>, SourceError>> {
        Box::pin(async move {
            let request = self.source.manifest_request(Method::GET, self.repo, &digest.to_string());
            Ok(match self.get(&request, digest).await? {
                Answer::Found(reply) => {
                    let content_type = reply.header("content-type").map(Into::into);
                    Answer::Found(Sent { bytes: reply.body, content_type })
                }
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn blob<'a>(&'a self, digest: &'a Sha256, size: u64) -> BoxFuture<'a, Result<Answer<Vec<u8>>, SourceError>> {
        Box::pin(async move {
            let limit = self.source.limit;
            if size > limit {
                let what = format!(
                    "{}@{digest}: {size} bytes, more than the {} that are the most",
                    self.repo,
                    words::size(limit)
                );
                return Err(SourceError::new(what).help("raise `manifest_limit:` of the source"));
            }
            let url = self.source.url(self.repo, &format!("blobs/{digest}"));
            let request = Request { method: Method::GET, url, accept: "*/*", limit, follow: Follow::Anywhere };
            Ok(match self.get(&request, digest).await? {
                Answer::Found(reply) => Answer::Found(reply.body),
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }
}
