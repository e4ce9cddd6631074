//! The digest that a tag points at.

use std::sync::atomic::Ordering;

use reqwest::header::ETAG;
use reqwest::{Method, StatusCode};

use super::{Endpoint, unexpected};
use crate::registry::http::{Reply, Request};
use crate::registry::{Answer, Effort, SourceError, manifest, schema1};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

impl Endpoint {
    /// The digest of a tag: what a HEAD says, which hubs do not charge for; where it does not say, that of the content.
    pub async fn digest(
        &self,
        repo: &str,
        tag: &str,
        blobs: &Blobs,
        effort: Effort,
    ) -> Result<Answer<Sha256>, SourceError> {
        if self.has_no_heads.load(Ordering::Relaxed) {
            return self.digest_of_content(repo, tag, blobs, effort).await;
        }
        let mut request = self.manifest_request(Method::HEAD, repo, tag);
        // There is one only where a HEAD did not say the digest before.
        let kept = self.validators.get(&request.url);
        request.unless = kept.as_ref().map(|page| page.tag.clone());
        let reply = match self.ask(&request, repo, effort).await? {
            Answer::Found(reply) => reply,
            Answer::Absent(why) => return Ok(Answer::Absent(why)),
        };
        match (reply.status, said_digest(&reply), kept) {
            (StatusCode::OK, Some(digest), _) => Ok(Answer::Found(digest)),
            (StatusCode::OK, None, Some(page)) if reply.headers.get(ETAG) == Some(&page.tag) => {
                keep(&request, &page.again(reply.headers), blobs).map(Answer::Found)
            }
            (StatusCode::NOT_MODIFIED, _, Some(page)) => {
                keep(&request, &page.again(reply.headers), blobs).map(Answer::Found)
            }
            (StatusCode::OK, ..) => self.digest_of_content(repo, tag, blobs, effort).await,
            (StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED, ..) => {
                let answer = self.digest_of_content(repo, tag, blobs, effort).await?;
                // Only then: what is wrong may have been the tag.
                if matches!(answer, Answer::Found(_)) {
                    self.has_no_heads.store(true, Ordering::Relaxed);
                }
                Ok(answer)
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
        let ask = || async {
            let mut request = self.manifest_request(Method::GET, repo, tag);
            let reply = match self.known(self.page(&mut request, repo, effort).await?, repo) {
                Answer::Found(reply) => reply,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            match reply.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(Answer::Absent(self.no_tag(repo, tag))),
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
        self.until_right(&format!("{repo}:{tag}"), effort, ask).await
    }

    fn no_tag(&self, repo: &str, tag: &str) -> String {
        format!("{} has no {repo}:{tag}", self.name())
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
