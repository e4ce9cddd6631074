//! The `registry` source: any registry that speaks the OCI distribution-spec, or Docker's registry protocol before it.

use std::sync::Arc;
use std::time::Duration;

use super::address::{self, Address, Credentials};
use super::auth::{Login, Session};
use super::certificates::Certificates;
use super::counter::Counter;
use super::endpoint::Endpoint;
use super::flight::Flights;
use super::grammar;
use super::http::{Http, Settings};
use super::image::Image;
use super::layout::MANIFEST_LIMIT;
use super::lookup::{self, Content, Fetched, Sent};
use super::measure::{self, Measures, Piece, Pieces};
use super::words;
use super::{Answer, Effort, Platform, Reference, Shared, Source, SourceError, TagFilter, Tags, mirrors, pages};
use crate::pipeline::model::{Node, SourceEntry};
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};

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
            doc: "Who to log in as. Without it, the login that Docker or Podman keep for the registry is used.",
        },
        Key {
            name: "password",
            shape: Shape::Text,
            required: false,
            doc: "The password or access token of `username`, as in ${secret.REGISTRY_PASSWORD}.",
        },
        Key {
            name: "credentials",
            shape: Shape::Word(&["files", "none"]),
            required: false,
            doc: "Logins that Docker and Podman keep: `files` uses them where the registry asks for one (the default), \
                  `none` does not.",
        },
        Key {
            name: "mirrors",
            shape: Shape::List(&Shape::Text),
            required: false,
            doc: "Addresses that have the same content and are asked first, in this order.",
        },
        Key {
            name: "ca",
            shape: Shape::Text,
            required: false,
            doc: "A file of certificates (PEM) of authorities that are trusted beside the system's.",
        },
        Key {
            name: "client_cert",
            shape: Shape::Text,
            required: false,
            doc: "A file with the certificate (PEM) that we show to the registry.",
        },
        Key {
            name: "client_key",
            shape: Shape::Text,
            required: false,
            doc: "A file with the key (PEM) of `client_cert`.",
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
            doc: "Allows plain HTTP to another machine, with credentials too, which anyone on the way can read and change.",
        },
    ],
};

const CONCURRENCY: u64 = 32;
const TIMEOUT: Duration = Duration::from_secs(120);
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A registry.
pub struct Distribution {
    identity: String,
    limit: u64,
    concurrency: usize,
    /// Its mirrors, and its own address last.
    endpoints: mirrors::Endpoints,
    flights: Flights<(String, Sha256), Fetched>,
    measures: Measures,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Distribution> {
    let keys = &entry.keys;
    let before = problems.0.len();
    let insecure = keys.get("insecure").and_then(Node::as_bool).unwrap_or(false);
    let parse = |node: &Node, problems: &mut Problems| match address::parse(node.as_text()?, insecure) {
        Ok(address) => Some(address),
        Err(bad) => {
            problems.at(node.span, "not the address of a registry", bad.label).maybe_help(bad.help);
            None
        }
    };
    let address = parse(keys.get("url")?, problems);
    let given = credentials(keys, address.as_ref(), problems);
    let mirrors = keys.get("mirrors").and_then(Node::as_list).unwrap_or_default();
    let mirrors: Vec<_> = mirrors.iter().filter_map(|node| parse(node, problems)).collect();
    let certificates = certificates(keys, shared, problems);
    if problems.0.len() > before {
        return None;
    }
    let own = Address { credentials: given?, ..address? };
    let number = |key: &str, default| keys.get(key).and_then(Node::as_u64).unwrap_or(default);
    let duration = |key: &str, default| keys.get(key).and_then(Node::as_duration).unwrap_or(default);
    let concurrency = number("concurrency", CONCURRENCY) as usize;
    let limit = number("manifest_limit", MANIFEST_LIMIT);
    let is_anonymous = keys.get("credentials").and_then(Node::as_public).is_some_and(|word| word == "none");
    let identity = format!("registry {}", own.base.as_str().trim_end_matches('/'));
    let endpoint = |address: Address, certificates: Certificates| {
        let settings = Settings {
            concurrency,
            timeout: duration("timeout", TIMEOUT),
            idle_timeout: duration("idle_timeout", IDLE_TIMEOUT),
            insecure,
            offline: shared.offline,
            local: address::is_loopback(&address.base),
            certificates,
        };
        let login = match address.credentials {
            None if !is_anonymous => Login::Kept(shared.logins.clone()),
            given => Login::Given(given),
        };
        let session = Session::new(Http::new(settings, shared.traffic.clone()), login, &address.base);
        Endpoint { base: address.base, limit, session }
    };
    // Who we are is for the registry itself to know.
    let for_mirrors = Certificates { client: None, ..certificates.clone() };
    let mirrors = mirrors.into_iter().map(|mirror| endpoint(mirror, for_mirrors.clone())).collect();
    let endpoints = mirrors::Endpoints::new(mirrors, endpoint(own, certificates));
    Some(Distribution {
        identity,
        limit,
        concurrency,
        endpoints,
        flights: Flights::default(),
        measures: Measures::default(),
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

impl Distribution {
    async fn digest(&self, repo: &str, tag: &str, effort: Effort) -> Result<Answer<Sha256>, SourceError> {
        self.endpoints.ask(effort, |endpoint, effort| Box::pin(endpoint.digest(repo, tag, effort))).await
    }

    async fn all_tags(&self, repo: &str, filter: &TagFilter, effort: Effort) -> Result<Answer<Tags>, SourceError> {
        let names = match self
            .endpoints
            .ask(effort, |endpoint, effort| Box::pin(pages::names(endpoint, repo, filter, effort)))
            .await?
        {
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

    fn unpack<'a>(
        &'a self,
        repo: &'a str,
        image: &'a mut Image,
        blobs: &'a Blobs,
        effort: Effort,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { measure::unpack(&Remote { source: self, repo, effort }, blobs, image).await })
    }
}

/// The content of one repository.
struct Remote<'a> {
    source: &'a Distribution,
    repo: &'a str,
    effort: Effort,
}

impl Content for Remote<'_> {
    fn flights(&self) -> &Flights<(String, Sha256), Fetched> {
        &self.source.flights
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Sent>, SourceError>> {
        let ask = |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.manifest(self.repo, digest, effort))
        };
        Box::pin(self.source.endpoints.ask(self.effort, ask))
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
            let ask = |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
                Box::pin(endpoint.blob(self.repo, digest, effort))
            };
            self.source.endpoints.ask(self.effort, ask).await
        })
    }
}

impl Pieces for Remote<'_> {
    fn measures(&self) -> &Measures {
        &self.source.measures
    }

    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>> {
        let ask = |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.blob_size(self.repo, digest, effort))
        };
        Box::pin(self.source.endpoints.ask(self.effort, ask))
    }

    fn piece<'a>(&'a self, digest: &'a Sha256, start: u64, length: u64) -> Piece<'a> {
        let ask = move |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.blob_piece(self.repo, digest, start, length, effort))
        };
        Box::pin(async move { self.source.endpoints.ask(self.effort, ask).await })
    }

    fn count<'a>(
        &'a self,
        digest: &'a Sha256,
        size: u64,
        counter: &'a Arc<Counter>,
    ) -> BoxFuture<'a, Result<Answer<()>, SourceError>> {
        let ask = move |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.count_blob(self.repo, digest, size, counter, effort))
        };
        Box::pin(async move { self.source.endpoints.ask(self.effort, ask).await })
    }
}
