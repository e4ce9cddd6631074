//! One address of a registry, and what can be asked there by the OCI distribution-spec.

mod content;
mod digest;
pub(super) mod learnt;
pub(super) mod mirrors;
pub(super) mod said;

use std::fmt::Display;
use std::sync::Arc;

use reqwest::{Method, StatusCode, Url};

use super::auth::{Outcome, Session};
use super::http::{Follow, Reply, Request};
use super::image::manifest;
use super::{Answer, Effort, SourceError, Validators};
use digest::Heads;

/// An address, and the requests to it.
pub struct Endpoint {
    pub base: Url,
    /// The largest manifest or config.
    pub limit: u64,
    pub session: Session,
    pub validators: Arc<Validators>,
    heads: Heads,
}

impl Endpoint {
    pub fn new(base: Url, limit: u64, session: Session, validators: Arc<Validators>) -> Self {
        Self { base, limit, session, validators, heads: Heads::default() }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        self.session.origin.to_string()
    }

    /// An address below this one. Names and references are in their grammars, which need no escapes.
    pub fn below(&self, path: impl Display) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// An address below a repository.
    pub fn url(&self, repo: &str, rest: impl Display) -> Url {
        self.below(format_args!("v2/{repo}/{rest}"))
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

    fn manifest_request(&self, method: Method, repo: &str, reference: impl Display) -> Request {
        let url = self.url(repo, format_args!("manifests/{reference}"));
        Request { follow: Follow::Anywhere, ..Request::new(method, url, manifest::ACCEPT, self.limit) }
    }

    /// What came of a request about a repository; absent where we may not know.
    pub fn known(&self, outcome: Outcome, repo: &str) -> Answer<Reply> {
        match outcome {
            Outcome::Reply(reply) => Answer::Found(reply),
            Outcome::Denied(status) | Outcome::NoToken(status) => Answer::Absent(self.denied(repo, status)),
        }
    }

    async fn ask(&self, request: &Request, repo: &str, effort: Effort) -> Result<Answer<Reply>, SourceError> {
        Ok(self.known(self.session.send(request, repo, effort).await?, repo))
    }

    /// Asks until what comes is right, as often as what fails is asked for again: it may have been damaged on the way.
    /// The inner error says what is wrong with `what`.
    async fn until_right<T, F>(
        &self,
        what: impl Fn() -> String,
        effort: Effort,
        ask: impl Fn() -> F,
    ) -> Result<Answer<T>, SourceError>
    where
        F: Future<Output = Result<Answer<Result<T, String>>, SourceError>>,
    {
        let mut again = effort.retries();
        loop {
            let wrong = match ask().await? {
                Answer::Found(Ok(right)) => return Ok(Answer::Found(right)),
                Answer::Found(Err(wrong)) => wrong,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            self.session.sent_wrong_content();
            if again == 0 {
                return Err(SourceError::new(format!("{} of {}: {wrong}", what(), self.name())));
            }
            again -= 1;
            self.session.asks_again();
        }
    }
}

/// An answer that has no meaning here, with what the registry says of it.
pub fn unexpected(request: &Request, reply: &Reply) -> SourceError {
    SourceError::new(format!("{}: unexpected answer {}{}", request.shown(), reply.status, said::words(reply)))
}
