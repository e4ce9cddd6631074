//! Who we are, and who may be told: requests that carry what their host wants to see.
//!
//! There is no ping: the first request to a host goes alone and meets its challenge, which is remembered. A token is
//! fetched once for all that wait for it, and serves until it runs out.

mod account;
mod challenge;
mod refusal;
mod token;
mod tokens;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};

use super::address::{self, Credentials, Origin, display, is_plain};
use super::http::{Fault, Http, Reply, Request};
use super::setup::Role;
use super::{Budget, Effort, SourceError, said};
use account::{Account, refuses_login};
use challenge::Challenge;
use refusal::{refused_by_others, unchallenged};
use token::{Carried, Token, TokenKey};
use tokens::{Grant, Tokens};

pub use account::Login;

/// Rounds of challenge and answer: the first challenge, a token that ran out, one of another scope.
const ROUNDS_MAX: usize = 4;

/// The requests to one registry, with its credentials.
pub struct Session {
    http: Http,
    budget: Arc<Budget>,
    account: Account,
    origin: Origin,
    role: Role,
    challenge: RwLock<Option<Arc<Challenge>>>,
    /// The first request goes alone, so that a host challenges once.
    gate: tokio::sync::Mutex<()>,
    met: AtomicBool,
    tokens: Tokens,
}

/// What came of a request.
pub enum Outcome {
    Reply(Reply),
    /// We may not know: an anonymous request was refused, or one with a token that was granted. This is also how hubs
    /// say that there is no such thing.
    Denied(StatusCode),
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
            challenge: RwLock::default(),
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
        let attempt = || async {
            let mut reply = self.http.attempt(request, Some(authorization), effort).await?;
            reply.mask = self.account.mask(authorization, "").await?;
            self.outcome(request, reply, Some(authorization), "").await
        };
        self.patiently(request, effort, attempt).await
    }

    async fn patiently<F>(&self, request: &Request, effort: Effort, ask: impl Fn() -> F) -> Result<Outcome, SourceError>
    where
        F: Future<Output = Result<Outcome, Fault>>,
    {
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

    /// Notes that the host sent what is not of the digest that was asked for.
    pub fn sent_wrong_content(&self) {
        self.http.note(&self.origin, |host| host.wrong_content += 1);
    }

    /// One attempt, within the budget.
    async fn attempt(
        &self,
        request: &Request,
        asked: impl Future<Output = Result<Outcome, Fault>>,
    ) -> Result<Outcome, Fault> {
        if self.http.settings().offline {
            return asked.await;
        }
        let mut pass = self.budget.enter(request.is_pull(), self.http.settings().patient).await?;
        let mut outcome = asked.await;
        match &mut outcome {
            Ok(Outcome::Reply(reply)) => pass.answered(&reply.headers),
            Ok(Outcome::Denied(_)) | Err(Fault::Transient { in_vain: true, .. }) => pass.in_vain(),
            Err(Fault::Final(SourceError { deferral: Some(why), .. })) => **why = pass.refused((**why).clone()),
            Err(_) => {}
        }
        outcome
    }

    /// Asks a host, alone where it is the first time.
    async fn met(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, Fault> {
        if !self.met.load(Ordering::Acquire) {
            let gate = self.gate.lock().await;
            if !self.met.load(Ordering::Acquire) {
                let reply = self.http.attempt(request, None, effort).await;
                if let Ok(reply) = &reply {
                    self.learn(reply);
                }
                // Also after a failure: a host that hangs is not to be waited for by one after the other.
                self.met.store(true, Ordering::Release);
                drop(gate);
                let reply = reply?;
                if reply.status != StatusCode::UNAUTHORIZED || self.challenge().is_none() {
                    return self.outcome(request, reply, None, repo).await;
                }
            }
        }
        self.converse(request, repo, effort).await
    }

    /// Asks with what the host is known to want, and with what it turns out to want.
    async fn converse(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, Fault> {
        let mut scope = match repo {
            "" => "registry:catalog:*".to_owned(),
            repo => format!("repository:{repo}:pull"),
        };
        let mut is_theirs = false;
        for _ in 0..ROUNDS_MAX {
            let carried = match self.carry(&scope, repo, effort).await? {
                Ok(carried) => carried,
                Err(denied) => return Ok(Outcome::Denied(denied)),
            };
            let mut reply = match &carried {
                Carried::Login(header) => {
                    self.account.offer(request, self.http.attempt(request, Some(header), effort)).await?
                }
                other => self.http.attempt(request, other.header(), effort).await?,
            };
            if let Some(header) = carried.header() {
                reply.mask = self.account.mask(header, repo).await?;
            }
            if reply.status != StatusCode::UNAUTHORIZED {
                self.is_good(&carried, &reply, repo);
                return self.outcome(request, reply, carried.header(), repo).await;
            }
            let challenge = self.learn(&reply);
            match carried {
                Carried::Nothing if challenge.is_some() => {}
                Carried::Nothing => return self.outcome(request, reply, None, repo).await,
                Carried::Login(_) => return Err(self.account.refuses(&Origin::of(&request.url)).into()),
                Carried::Token(key, token) => {
                    let other_scope = match challenge.as_deref() {
                        Some(Challenge::Bearer { scope: Some(wanted), .. }) if *wanted != scope => Some(wanted.clone()),
                        _ => None,
                    };
                    if self.tokens.may_renew(&key, &token) {
                        self.tokens.forget(&key, &token);
                        self.http.repeats();
                    } else if let Some(wanted) = other_scope.filter(|_| !is_theirs) {
                        is_theirs = true;
                        scope = wanted;
                    } else if self.account.was_opened(repo) {
                        let at = Origin::of(&request.url);
                        let what = format!("{}: {at} answers 401 to what it let us see before", request.shown());
                        let tried = format!("a new token from {} did not help", display(&key.realm));
                        return Err(SourceError::new(format!("{what}, and {tried}"))
                            .help("the login may have ended: log in again, and run again; what is done is kept")
                            .into());
                    } else {
                        return self.outcome(request, reply, Some(&token.header), repo).await;
                    }
                }
            }
        }
        let at = Origin::of(&request.url);
        Err(SourceError::new(format!("{}: {at} answers 401 to all of {ROUNDS_MAX} attempts", request.shown())).into())
    }

    /// What to carry for a scope; the inner error where we are denied it.
    async fn carry(&self, scope: &str, repo: &str, effort: Effort) -> Result<Result<Carried, StatusCode>, SourceError> {
        let Some(challenge) = self.challenge() else { return Ok(Ok(Carried::Nothing)) };
        if let Some(Credentials::RegistryToken(token)) = self.account.credentials(repo).await? {
            self.account.not_refused()?;
            return Ok(Ok(Carried::Login(token::bearer(token)?)));
        }
        let (realm, service) = match &*challenge {
            Challenge::Bearer { realm, service, .. } => (realm, service),
            Challenge::Basic => {
                self.account.not_refused()?;
                return match self.account.credentials(repo).await? {
                    Some(Credentials::Password { username, password }) => {
                        Ok(Ok(Carried::Login(token::basic(username, password)?)))
                    }
                    Some(_) => Err(SourceError::new(format!(
                        "{} wants a password, and the login that is kept for it is an identity token",
                        self.account.host
                    ))),
                    None => Ok(Err(StatusCode::UNAUTHORIZED)),
                };
            }
        };
        let (realm, service) = (realm.clone(), service.clone());
        let key = TokenKey { realm, service, scope: scope.to_owned(), repo: repo.to_owned() };
        Ok(match self.tokens.of(&key, self.fetch(&key, effort)).await? {
            Grant::Token(token) => Ok(Carried::Token(key, token)),
            Grant::Denied(status) => Err(status),
        })
    }

    async fn fetch(&self, key: &TokenKey, effort: Effort) -> Result<Grant, SourceError> {
        self.account.not_refused()?;
        if is_plain(&key.realm) && !self.http.settings().insecure {
            let what =
                format!("the registry wants tokens to be got at {}, which is not encrypted", display(&key.realm));
            return Err(SourceError::new(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let credentials = self.account.credentials(&key.repo).await?;
        let (request, header) = token::request(key, credentials)?;
        let attempt = || async {
            match credentials {
                Some(_) => self.account.offer(&request, self.http.attempt(&request, header.as_ref(), effort)).await,
                None => self.http.attempt(&request, None, effort).await,
            }
        };
        let reply = self.http.retrying(effort, attempt).await?;
        match reply.status {
            StatusCode::OK => {}
            status if credentials.is_some() && refuses_login(&request, status) => {
                return Err(self.account.refuses(&Origin::of(&key.realm)));
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                // The specification has no form for it.
                let is_theirs = said::is_object(&reply) || Challenge::of(&reply.headers).is_some();
                return match credentials {
                    _ if !is_theirs => Err(refused_by_others(&request, &reply)),
                    Some(_) => Err(self.account.refuses(&Origin::of(&key.realm))),
                    None => Ok(Grant::Denied(status)),
                };
            }
            status => return Err(SourceError::new(format!("{}: expected a token, but got {status}", request.shown()))),
        }
        let token = Token::read(&reply.body).map_err(|e| {
            SourceError::new(format!(
                "{}: expected a token, but what came cannot be read as one ({e})",
                request.shown()
            ))
        })?;
        Ok(Grant::Token(Arc::new(token)))
    }

    /// What a 401 or 403 means. It says that there is nothing for us only where it is the registry that says it.
    async fn outcome(
        &self,
        request: &Request,
        reply: Reply,
        carried: Option<&HeaderValue>,
        repo: &str,
    ) -> Result<Outcome, Fault> {
        let is_theirs = || match self.role {
            Role::Api => said::is_object(&reply),
            Role::Own | Role::Mirror => said::is_error(request, &reply),
        };
        match reply.status {
            StatusCode::UNAUTHORIZED if Challenge::of(&reply.headers).is_some() => Ok(Outcome::Denied(reply.status)),
            StatusCode::UNAUTHORIZED if carried.is_none() && self.role != Role::Api => {
                let has_login = matches!(self.account.credentials(repo).await, Ok(Some(_)));
                Err(unchallenged(request, &reply, has_login).into())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_theirs() => Ok(Outcome::Denied(reply.status)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refused_by_others(request, &reply).into()),
            _ => Ok(Outcome::Reply(reply)),
        }
    }

    fn is_good(&self, carried: &Carried, reply: &Reply, repo: &str) {
        if reply.status == StatusCode::FORBIDDEN {
            return;
        }
        if let Carried::Token(_, token) = carried {
            token.is_taken();
        }
        if !matches!(carried, Carried::Nothing) {
            self.account.opens(repo);
        }
    }

    fn challenge(&self) -> Option<Arc<Challenge>> {
        self.challenge.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how the host wants to be asked, where a reply says it.
    fn learn(&self, reply: &Reply) -> Option<Arc<Challenge>> {
        if reply.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        let challenge = Arc::new(Challenge::of(&reply.headers)?);
        *self.challenge.write().unwrap_or_else(PoisonError::into_inner) = Some(challenge.clone());
        Some(challenge)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
