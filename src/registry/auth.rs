//! Who we are, and who may be told: requests that carry what their host wants to see.
//!
//! There is no ping: the first request to a host goes alone and meets its challenge, which is remembered. A token is
//! fetched once for all that wait for it, and serves until it runs out.

mod account;
mod challenge;
mod conversation;
mod demands;
mod helper;
pub(super) mod logins;
pub(super) mod mask;
mod refusal;
mod token;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};

use super::address::{self, Origin};
use super::http::{Fault, Http, Reply, Request};
use super::{Budget, Effort, SourceError};
use account::Account;
use demands::Demands;
use tokens::Tokens;

pub use account::Login;

/// The requests to one registry, with its credentials.
pub struct Session {
    http: Http,
    budget: Arc<Budget>,
    account: Account,
    pub origin: Origin,
    role: Role,
    demands: Demands,
    /// The first request goes alone, so that a host challenges once.
    gate: tokio::sync::Mutex<()>,
    met: AtomicBool,
    tokens: Tokens,
}

/// What an address is to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Own,
    /// No registry, but what lists its repositories.
    Api,
    /// Passed over where it has no more to give.
    Mirror,
}

/// What came of a request.
pub enum Outcome {
    Reply(Reply),
    /// We may not know: an anonymous request was refused, or one with a token that was granted. This is also how hubs
    /// say that there is no such thing.
    Denied(StatusCode),
    /// The same, as whoever grants tokens says it: the registry itself was not asked.
    NoToken(StatusCode),
}

impl Session {
    /// Requests to the registry at `base`.
    pub fn new(http: Http, budget: Arc<Budget>, login: Login, base: &Url, role: Role) -> Self {
        Self {
            http,
            budget,
            account: Account::new(login, address::host(base)),
            origin: Origin::of(base),
            role,
            demands: Demands::default(),
            gate: tokio::sync::Mutex::default(),
            met: AtomicBool::new(false),
            tokens: Tokens::default(),
        }
    }

    /// Sends a request about a repository (without one: about the registry), as often as it takes and is worth it.
    pub async fn send(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, SourceError> {
        self.patiently(request, effort, || self.met(request, repo, effort)).await
    }

    /// Sends a request with an authorization of its own, where no challenge says how to get one.
    pub async fn send_as(
        &self,
        request: &Request,
        authorization: &HeaderValue,
        effort: Effort,
    ) -> Result<Outcome, SourceError> {
        let attempt = || -> BoxFuture<'_, _> {
            Box::pin(async {
                let mut reply = self.http.attempt(request, Some(authorization), effort).await?;
                reply.mask = self.account.mask(authorization, "").await?;
                self.outcome(request, reply, Some(authorization), "").await
            })
        };
        self.patiently(request, effort, attempt).await
    }

    async fn patiently<'a>(
        &self,
        request: &Request,
        effort: Effort,
        ask: impl Fn() -> BoxFuture<'a, Result<Outcome, Fault>>,
    ) -> Result<Outcome, SourceError> {
        loop {
            match self.http.retrying(effort, || self.attempt(request, ask())).await {
                Err(SourceError { deferral: Some(why), .. }) if self.http.settings().patient && self.budget.waits() => {
                    self.budget.wait_for(&why).await;
                    self.http.repeats();
                }
                sent => return sent,
            }
        }
    }

    /// Whether it is known that there are only so many pulls.
    pub fn counts_pulls(&self) -> bool {
        self.budget.counts()
    }

    /// Whether a pull could be made now, as far as is known.
    pub fn has_pulls(&self) -> bool {
        self.budget.has_pulls()
    }

    /// Notes that the host sent what is not of the digest that was asked for.
    pub fn sent_wrong_content(&self) {
        self.http.note(&self.origin, |host| host.wrong_content += 1);
    }

    /// Counts a request that is sent once more.
    pub fn asks_again(&self) {
        self.http.repeats();
    }

    /// One attempt, within the budget.
    async fn attempt(&self, request: &Request, asked: BoxFuture<'_, Result<Outcome, Fault>>) -> Result<Outcome, Fault> {
        if self.http.settings().offline {
            return asked.await;
        }
        let mut pass = self.budget.enter(request.is_pull(), self.http.settings().patient).await?;
        let mut outcome = asked.await;
        match &mut outcome {
            Ok(Outcome::Reply(reply)) => {
                pass.answered(&reply.headers);
                if reply.status == StatusCode::NOT_MODIFIED {
                    pass.in_vain();
                }
            }
            Ok(Outcome::Denied(_) | Outcome::NoToken(_)) => pass.denied(),
            Err(
                Fault::Transient { in_vain: true, .. }
                | Fault::Unreached(_)
                | Fault::Final(SourceError { is_outage: true, .. }),
            ) => pass.failed(),
            Err(Fault::Final(SourceError { deferral: Some(why), .. })) => **why = pass.refused((**why).clone()),
            Err(_) => {}
        }
        outcome
    }
}
