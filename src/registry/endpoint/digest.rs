//! The digest that a tag points at.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::ETAG;
use reqwest::{Method, StatusCode};

use super::{Endpoint, unexpected};
use crate::registry::auth::Outcome;
use crate::registry::http::{Reply, Request};
use crate::registry::image::{manifest, schema1};
use crate::registry::{About, Answer, SourceError, pages};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// What an address's HEADs are good for, as far as it has shown.
#[derive(Default)]
pub struct Heads {
    /// One told what there is, or the list or a GET agreed that there is nothing: what they say holds.
    tell: AtomicBool,
    /// The last one said the digest of a tag, so that no page is kept to ask by.
    say_digests: AtomicBool,
    /// There are none: digests are those of what GETs bring.
    are_none: AtomicBool,
    /// It came to no answer when that was looked into: each looks by itself.
    are_unclear: AtomicBool,
    /// Who looks otherwise for what a HEAD did not find, while it is not known whether HEADs hold.
    turn: tokio::sync::Mutex<()>,
}

impl Heads {
    fn tell(&self) -> bool {
        self.tell.load(Ordering::Relaxed)
    }

    fn are_none(&self) -> bool {
        self.are_none.load(Ordering::Relaxed)
    }

    fn are_unclear(&self) -> bool {
        self.are_unclear.load(Ordering::Relaxed)
    }

    fn told(&self) {
        self.tell.store(true, Ordering::Relaxed);
    }

    fn were_none(&self) {
        self.are_none.store(true, Ordering::Relaxed);
    }

    fn were_unclear(&self) {
        self.are_unclear.store(true, Ordering::Relaxed);
    }
}

/// What a HEAD says.
enum Head {
    Digest(Sha256),
    /// Only the content says the digest.
    Silence,
    /// It may be that there is no HEAD, or that it is bad for this tag.
    Unfit,
    /// There is no such tag.
    Missing,
    /// It is not for us: what that comes to, where HEADs are believed.
    Denied(Result<Answer<Sha256>, SourceError>),
    /// It was not sent, since there is no token for us.
    Unsent(Answer<Sha256>),
}

impl Endpoint {
    /// The digest of a tag: what a HEAD says, which hubs do not charge for; where it does not say, that of the content.
    pub async fn digest(&self, about: About<'_>, tag: &str) -> Result<Answer<Sha256>, SourceError> {
        if self.heads.are_none() {
            return self.digest_of_content(about, tag).await;
        }
        let head = self.head(about, tag).await?;
        match head {
            Head::Digest(digest) => {
                self.heads.told();
                return Ok(Answer::Found(digest));
            }
            Head::Unsent(answer) => return Ok(answer),
            // To look more closely is not worth a wait.
            Head::Denied(believed) if self.heads.tell() || !self.session.has_pulls() => return believed,
            Head::Missing if self.heads.tell() => return Ok(self.without(about.repo, tag)),
            Head::Silence => self.heads.told(),
            Head::Missing | Head::Denied(_) | Head::Unfit => {}
        }
        // One that is missing is looked into, and the others learn from that.
        let is_missing = matches!(head, Head::Missing);
        let turn = if is_missing { Some(self.heads.turn.lock().await) } else { None };
        let turn = turn.filter(|_| !self.heads.are_none() && !self.heads.are_unclear());
        if is_missing && self.heads.tell() || turn.is_some() && self.is_unlisted(about, tag).await {
            self.heads.told();
            return Ok(self.without(about.repo, tag));
        }
        let answer = self.digest_of_content(about, tag).await;
        match (&head, &answer) {
            (Head::Missing, Ok(Answer::Absent(_))) => self.heads.told(),
            // The others are not to wait for that one by one.
            (Head::Missing, Err(_)) => self.heads.were_unclear(),
            // A HEAD that is bad for one tag says nothing of the others, unless there is something.
            (Head::Unfit, Ok(Answer::Found(_))) => self.heads.were_none(),
            (Head::Missing | Head::Denied(_), Ok(Answer::Found(_))) if !self.heads.tell() => self.heads.were_none(),
            _ => {}
        }
        answer
    }

    /// Whether the list of tags agrees that there is none, which is asked where a GET would cost a pull that others need.
    async fn is_unlisted(&self, About { repo, effort, .. }: About<'_>, tag: &str) -> bool {
        if !self.session.counts_pulls() {
            return false;
        }
        matches!(pages::lists(self, repo, tag, effort).await, Ok(Some(false)))
    }

    async fn head(&self, About { repo, blobs, effort, .. }: About<'_>, tag: &str) -> Result<Head, SourceError> {
        let mut request = self.manifest_request(Method::HEAD, repo, tag);
        // There is one only where a HEAD did not say the digest before.
        let say_digests = self.heads.say_digests.load(Ordering::Relaxed);
        let kept = if say_digests { None } else { self.validators.get(&request.url) };
        request.unless = kept.as_ref().map(|page| page.tag.clone());
        let reply = match self.session.send(&request, repo, effort).await {
            Ok(Outcome::Reply(reply)) => reply,
            Ok(Outcome::Denied(status)) => return Ok(Head::Denied(Ok(Answer::Absent(self.denied(repo, status))))),
            Ok(Outcome::NoToken(status)) => return Ok(Head::Unsent(Answer::Absent(self.denied(repo, status)))),
            Err(error) if error.is_refusal => return Ok(Head::Denied(Err(error))),
            Err(error) => return Err(error),
        };
        let said = said_digest(&reply);
        if reply.status == StatusCode::OK {
            self.heads.say_digests.store(said.is_some(), Ordering::Relaxed);
        }
        match (reply.status, said, kept) {
            (StatusCode::OK, Some(digest), _) => Ok(Head::Digest(digest)),
            (StatusCode::OK, None, Some(page)) if reply.headers.get(ETAG) == Some(&page.tag) => {
                keep(&request, &page.again(reply.headers), blobs).map(Head::Digest)
            }
            (StatusCode::NOT_MODIFIED, _, Some(page)) => {
                keep(&request, &page.again(reply.headers), blobs).map(Head::Digest)
            }
            (StatusCode::OK, ..) => Ok(Head::Silence),
            (StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED, ..) => {
                Ok(Head::Unfit)
            }
            (StatusCode::NOT_FOUND, ..) => Ok(Head::Missing),
            _ => Err(unexpected(&request, &reply)),
        }
    }

    async fn digest_of_content(
        &self,
        About { repo, blobs, effort, .. }: About<'_>,
        tag: &str,
    ) -> Result<Answer<Sha256>, SourceError> {
        let ask = || async {
            let mut request = self.manifest_request(Method::GET, repo, tag);
            let reply = match self.known(self.page(&mut request, repo, effort).await?, repo) {
                Answer::Found(reply) => reply,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            match reply.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(self.without(repo, tag)),
                _ => return Err(unexpected(&request, &reply)),
            }
            let came = Sha256::of(&schema1::payload(&reply.body));
            if let Some(said) = said_digest(&reply).filter(|said| *said != came) {
                // Neither is what was kept, if it was that.
                self.validators.forget(&request.url);
                return Ok(Answer::Found(Err(format!("expected {said}, as it says, but what came is {came}"))));
            }
            keep(&request, &reply, blobs)?;
            self.keep_page(&request, &reply);
            Ok(Answer::Found(Ok(came)))
        };
        self.until_right(|| format!("{repo}:{tag}"), effort, ask).await
    }

    /// There is no such tag.
    fn without<T>(&self, repo: &str, tag: &str) -> Answer<T> {
        Answer::Absent(format!("{} has no {repo}:{tag}", self.name()))
    }
}

/// The digest of a manifest that came by its tag. It is kept, so that it need not come by its digest, too.
fn keep(request: &Request, reply: &Reply, blobs: &Blobs) -> Result<Sha256, SourceError> {
    let wrong = |what: String| SourceError::new(format!("{}: {what}", request.shown()));
    manifest::parse(&reply.body, reply.header("content-type")).map_err(wrong)?;
    let signed = schema1::payload(&reply.body);
    let digest = Sha256::of(&signed);
    if !blobs.contains(&digest) {
        blobs.put_missing(&digest, &signed).map_err(|e| wrong(format!("cannot write to the store: {e}")))?;
    }
    Ok(digest)
}

fn said_digest(reply: &Reply) -> Option<Sha256> {
    reply.header("docker-content-digest")?.trim().parse().ok()
}
