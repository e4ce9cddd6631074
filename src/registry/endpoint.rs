//! One address of a registry, and what can be asked there by the OCI distribution-spec.

use std::sync::Arc;

use reqwest::header::ETAG;
use reqwest::{Method, StatusCode, Url};

use super::address::Origin;
use super::auth::{Outcome, Session};
use super::counter::Counter;
use super::http::{Follow, Reply, Request, Take};
use super::lookup::Sent;
use super::{Answer, Effort, SourceError, Validators, manifest, said, schema1};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// An address, and the requests to it.
pub struct Endpoint {
    pub base: Url,
    /// The largest manifest or config.
    pub limit: u64,
    pub session: Session,
    pub validators: Arc<Validators>,
}

impl Endpoint {
    /// What messages call it.
    pub fn name(&self) -> String {
        Origin::of(&self.base).to_string()
    }

    /// An address below this one. Names and references are in their grammars, which need no escapes.
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// An address below a repository.
    pub fn url(&self, repo: &str, rest: &str) -> Url {
        self.below(&format!("v2/{repo}/{rest}"))
    }

    /// Why there is nothing where we may not look.
    pub fn denied(&self, repo: &str, status: StatusCode) -> String {
        format!("{repo} at {} is not public or does not exist ({status})", self.name())
    }

    /// What is asked for each time and is often the same: where it was kept, the server sends it only if it is another.
    /// What is only read may lie elsewhere: where that is, the server says, which is believed as its own word is.
    pub async fn page(&self, request: &mut Request, repo: &str, effort: Effort) -> Result<Outcome, SourceError> {
        let kept = self.validators.get(&request.url).filter(|_| request.method == Method::GET);
        if request.method == Method::GET {
            request.follow = Follow::Anywhere;
        }
        request.unless = kept.as_ref().map(|page| page.tag.clone());
        let outcome = self.session.send(request, repo, effort).await?;
        Ok(match (outcome, kept) {
            (Outcome::Reply(reply), Some(page)) if reply.status == StatusCode::NOT_MODIFIED => {
                Outcome::Reply(Reply { mask: reply.mask, ..page.again(reply.headers) })
            }
            (outcome, _) => outcome,
        })
    }

    /// Keeps what came of [`Endpoint::page`], and could be read, where its server can say later that it is still so.
    pub fn keep_page(&self, request: &Request, reply: &Reply) {
        if !reply.mask.is_needed(&reply.body) {
            self.validators.put(&request.url, reply);
        }
    }

    fn manifest_request(&self, method: Method, repo: &str, reference: &str) -> Request {
        let url = self.url(repo, &format!("manifests/{reference}"));
        Request { follow: Follow::Anywhere, ..Request::new(method, url, manifest::ACCEPT, self.limit) }
    }

    /// The digest of a tag: what a HEAD says, which hubs do not charge for; where it does not say, that of the content.
    pub async fn digest(
        &self,
        repo: &str,
        tag: &str,
        blobs: &Blobs,
        effort: Effort,
    ) -> Result<Answer<Sha256>, SourceError> {
        let mut request = self.manifest_request(Method::HEAD, repo, tag);
        // There is one only where a HEAD did not say the digest before.
        let kept = self.validators.get(&request.url);
        request.unless = kept.as_ref().map(|page| page.tag.clone());
        let reply = match self.session.send(&request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        match (reply.status, said_digest(&reply), kept) {
            (StatusCode::OK, Some(digest), _) => Ok(Answer::Found(digest)),
            (StatusCode::OK, None, Some(page)) if reply.headers.get(ETAG) == Some(&page.tag) => {
                self.keep_manifest(&request, &page.again(reply.headers), blobs).map(Answer::Found)
            }
            (StatusCode::NOT_MODIFIED, _, Some(page)) => {
                self.keep_manifest(&request, &page.again(reply.headers), blobs).map(Answer::Found)
            }
            (StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED, ..) => {
                self.digest_of_content(repo, tag, blobs, effort).await
            }
            (StatusCode::NOT_FOUND, ..) => Ok(Answer::Absent(self.no_tag(repo, tag))),
            _ => Err(unexpected(&request, &reply)),
        }
    }

    async fn digest_of_content(
        &self,
        repo: &str,
        tag: &str,
        blobs: &Blobs,
        effort: Effort,
    ) -> Result<Answer<Sha256>, SourceError> {
        let mut request = self.manifest_request(Method::GET, repo, tag);
        let reply = match self.page(&mut request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        match reply.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Answer::Absent(self.no_tag(repo, tag))),
            _ => return Err(unexpected(&request, &reply)),
        }
        let digest = self.keep_manifest(&request, &reply, blobs)?;
        self.keep_page(&request, &reply);
        Ok(Answer::Found(digest))
    }

    /// The digest of a manifest that came by its tag. It is kept, so that it need not come by its digest, too.
    fn keep_manifest(&self, request: &Request, reply: &Reply, blobs: &Blobs) -> Result<Sha256, SourceError> {
        let wrong = |what: String| SourceError::new(format!("{}: {what}", request.shown()));
        manifest::parse(&reply.body, reply.header("content-type")).map_err(wrong)?;
        let signed = schema1::payload(&reply.body);
        let digest = Sha256::of(&signed);
        if !blobs.contains(&digest) {
            blobs.put_missing(&digest, &signed).map_err(|e| wrong(format!("cannot write to the store: {e}")))?;
        }
        Ok(digest)
    }

    fn no_tag(&self, repo: &str, tag: &str) -> String {
        format!("{} has no {repo}:{tag}", self.name())
    }

    /// A manifest by its digest.
    pub async fn manifest(&self, repo: &str, digest: &Sha256, effort: Effort) -> Result<Answer<Sent>, SourceError> {
        let request = self.manifest_request(Method::GET, repo, &digest.to_string());
        Ok(match self.get(&request, repo, digest, effort).await? {
            Answer::Found(reply) => {
                let content_type = reply.header("content-type").map(Into::into);
                Answer::Found(Sent { bytes: reply.body, content_type })
            }
            Answer::Absent(why) => Answer::Absent(why),
        })
    }

    fn blob_request(&self, method: Method, repo: &str, digest: &Sha256) -> Request {
        let url = self.url(repo, &format!("blobs/{digest}"));
        Request { follow: Follow::Anywhere, ..Request::new(method, url, "*/*", self.limit) }
    }

    /// How large a blob is.
    pub async fn blob_size(&self, repo: &str, digest: &Sha256, effort: Effort) -> Result<Answer<u64>, SourceError> {
        let request = self.blob_request(Method::HEAD, repo, digest);
        Ok(match self.get(&request, repo, digest, effort).await? {
            Answer::Found(reply) => {
                let size = reply.header("content-length").and_then(|text| text.parse().ok());
                let none = || SourceError::new(format!("{}: the answer does not say how large it is", request.shown()));
                Answer::Found(size.ok_or_else(none)?)
            }
            Answer::Absent(why) => Answer::Absent(why),
        })
    }

    /// Some bytes of a blob; `None` where the server does not give parts.
    pub async fn blob_piece(
        &self,
        repo: &str,
        digest: &Sha256,
        start: u64,
        length: u64,
        effort: Effort,
    ) -> Result<Answer<Option<Vec<u8>>>, SourceError> {
        let take = Take::Part { start, length };
        let request = Request { take, limit: length, ..self.blob_request(Method::GET, repo, digest) };
        let reply = match self.session.send(&request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        Ok(match reply.status {
            StatusCode::PARTIAL_CONTENT => {
                let range = format!("bytes {start}-{}/", start + length - 1);
                let is_it = reply.header("content-range").is_some_and(|said| said.starts_with(&range));
                Answer::Found(Some(reply.body).filter(|b| is_it && b.len() as u64 == length))
            }
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => Answer::Found(None),
            StatusCode::NOT_FOUND => Answer::Absent(self.no_blob(repo, digest)),
            _ => return Err(unexpected(&request, &reply)),
        })
    }

    /// Counts a blob of this size as it comes.
    pub async fn count_blob(
        &self,
        repo: &str,
        digest: &Sha256,
        size: u64,
        counter: &Arc<Counter>,
        effort: Effort,
    ) -> Result<Answer<()>, SourceError> {
        let take = Take::Count(counter.clone());
        let request = Request { take, limit: size, ..self.blob_request(Method::GET, repo, digest) };
        Ok(match self.get(&request, repo, digest, effort).await? {
            Answer::Found(_) => Answer::Found(()),
            Answer::Absent(why) => Answer::Absent(why),
        })
    }

    /// A blob by its digest.
    pub async fn blob(&self, repo: &str, digest: &Sha256, effort: Effort) -> Result<Answer<Vec<u8>>, SourceError> {
        let request = self.blob_request(Method::GET, repo, digest);
        Ok(match self.get(&request, repo, digest, effort).await? {
            Answer::Found(reply) => Answer::Found(reply.body),
            Answer::Absent(why) => Answer::Absent(why),
        })
    }

    fn no_blob(&self, repo: &str, digest: &Sha256) -> String {
        format!("{} has no {digest} in {repo}", self.name())
    }

    async fn get(
        &self,
        request: &Request,
        repo: &str,
        digest: &Sha256,
        effort: Effort,
    ) -> Result<Answer<Reply>, SourceError> {
        let reply = match self.session.send(request, repo, effort).await? {
            Outcome::Reply(reply) => reply,
            Outcome::Denied(status) => return Ok(Answer::Absent(self.denied(repo, status))),
        };
        match reply.status {
            StatusCode::OK => Ok(Answer::Found(reply)),
            StatusCode::NOT_FOUND => Ok(Answer::Absent(self.no_blob(repo, digest))),
            _ => Err(unexpected(request, &reply)),
        }
    }
}

fn said_digest(reply: &Reply) -> Option<Sha256> {
    reply.header("docker-content-digest")?.trim().parse().ok()
}

/// An answer that has no meaning here, with what the registry says of it.
pub fn unexpected(request: &Request, reply: &Reply) -> SourceError {
    SourceError::new(format!("{}: unexpected answer {}{}", request.shown(), reply.status, said::words(reply)))
}
