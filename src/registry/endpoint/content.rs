//! Manifests and blobs by their digests: whole and checked, in parts, or only how large they are.

use std::sync::Arc;

use reqwest::{Method, StatusCode};

use super::{Endpoint, unexpected};
use crate::registry::http::{Follow, Reply, Request, Take};
use crate::registry::image::counter::Counter;
use crate::registry::image::genuine::{Genuine, Sent};
use crate::registry::{Answer, Effort, SourceError};
use crate::store::Sha256;

impl Endpoint {
    /// A manifest by its digest.
    pub async fn manifest(&self, repo: &str, digest: &Sha256, effort: Effort) -> Result<Answer<Genuine>, SourceError> {
        self.content(self.manifest_request(Method::GET, repo, digest), repo, digest, effort).await
    }

    /// A blob by its digest.
    pub async fn blob(&self, repo: &str, digest: &Sha256, effort: Effort) -> Result<Answer<Genuine>, SourceError> {
        self.content(self.blob_request(Method::GET, repo, digest), repo, digest, effort).await
    }

    async fn content(
        &self,
        request: Request,
        repo: &str,
        digest: &Sha256,
        effort: Effort,
    ) -> Result<Answer<Genuine>, SourceError> {
        let ask = || async {
            Ok(self.get(&request, repo, digest, effort).await?.map(|reply| {
                let content_type = reply.header("content-type").map(Into::into);
                Sent { bytes: reply.body, content_type }.checked(digest)
            }))
        };
        self.until_right(|| format!("{repo}@{digest}"), effort, ask).await
    }

    fn blob_request(&self, method: Method, repo: &str, digest: &Sha256) -> Request {
        let url = self.url(repo, format_args!("blobs/{digest}"));
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
        let reply = match self.ask(&request, repo, effort).await? {
            Answer::Found(reply) => reply,
            Answer::Absent(why) => return Ok(Answer::Absent(why)),
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

    /// Counts a blob of this size as it comes, until it is that of the digest.
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
        let ask = || async {
            Ok(self.get(&request, repo, digest, effort).await?.map(|_| match counter.digest() {
                came if came == *digest => Ok(()),
                came => Err(format!("expected content of this digest, but what came is {came}")),
            }))
        };
        self.until_right(|| format!("{repo}@{digest}"), effort, ask).await
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
        match self.ask(request, repo, effort).await? {
            Answer::Found(reply) => match reply.status {
                StatusCode::OK => Ok(Answer::Found(reply)),
                StatusCode::NOT_FOUND => Ok(Answer::Absent(self.no_blob(repo, digest))),
                _ => Err(unexpected(request, &reply)),
            },
            absent => Ok(absent),
        }
    }
}
