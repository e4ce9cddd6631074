//! What is said between us and a host until a request is answered: its challenge, our token or login, and once more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

use super::account::refuses_login;
use super::challenge::Challenge;
use super::demands::Demand;
use super::refusal::{self, Refused, refused_by_others, unchallenged};
use super::token::{self, Carried, Token, TokenKey};
use super::{Outcome, Role, Session};
use crate::registry::address::{Credentials, Origin, display, is_plain};
use crate::registry::endpoint::said;
use crate::registry::http::{Fault, Reply, Request};
use crate::registry::{Effort, SourceError};

/// Rounds of challenge and answer: the first challenge, one of another kind, a token that ran out, one of another scope.
const ROUNDS_MAX: usize = 4;

/// How a conversation stands.
struct Talk<'a> {
    repo: &'a str,
    /// What a token is for, where the host named it.
    theirs: Option<String>,
    /// It turned out to want something else than was supposed.
    is_other_demand: bool,
}

impl Talk<'_> {
    /// What a token is for.
    fn scope(&self) -> String {
        match (&self.theirs, self.repo) {
            (Some(theirs), _) => theirs.clone(),
            (None, "") => "registry:catalog:*".to_owned(),
            (None, repo) => format!("repository:{repo}:pull"),
        }
    }
}

/// Whether what was supposed does not answer what is wanted.
fn differs(supposed: Option<&Demand>, said: &Challenge) -> bool {
    supposed.is_some_and(|demand| !demand.challenge.is_answered_as(said))
}

/// A repository that was open to us, and is no more, whatever token is shown.
fn closed(request: &Request, key: &TokenKey) -> SourceError {
    let at = Origin::of(&request.url);
    let what = format!("{}: {at} answers 401 to what it let us see before", request.shown());
    let tried = format!("a new token from {} did not help", display(&key.realm));
    SourceError::new(format!("{what}, and {tried}"))
        .help("the login may have ended: log in again, and run again; what is done is kept")
}

impl Session {
    /// Asks a host, alone where it is the first time. It is on the heap, as [`Http::attempt`](crate::registry::http::Http)
    /// is: whoever waits for it is moved about.
    pub(super) fn met<'a>(
        &'a self,
        request: &'a Request,
        repo: &'a str,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Outcome, Fault>> {
        Box::pin(async move {
            if !self.met.load(Ordering::Acquire) {
                let gate = self.gate.lock().await;
                if !self.met.load(Ordering::Acquire) {
                    let reply = self.http.attempt(request, None, effort).await;
                    let challenge = reply.as_ref().ok().and_then(|reply| self.learn(reply, repo));
                    // Also after a failure: a host that hangs is not to be waited for by one after the other.
                    self.met.store(true, Ordering::Release);
                    drop(gate);
                    let reply = reply?;
                    if challenge.is_none() {
                        return self.outcome(request, reply, None, repo).await;
                    }
                }
            }
            self.converse(request, repo, effort).await
        })
    }

    /// Asks with what the host is known to want, and with what it turns out to want.
    async fn converse(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, Fault> {
        let mut talk = Talk { repo, theirs: None, is_other_demand: false };
        for _ in 0..ROUNDS_MAX {
            if let Some(outcome) = self.round(request, repo, effort, &mut talk).await? {
                return Ok(outcome);
            }
        }
        let at = Origin::of(&request.url);
        Err(SourceError::new(format!("{}: {at} answers 401 to all of {ROUNDS_MAX} attempts", request.shown())).into())
    }

    /// Asks once; `None` where it then is known better how to ask.
    async fn round(
        &self,
        request: &Request,
        repo: &str,
        effort: Effort,
        talk: &mut Talk<'_>,
    ) -> Result<Option<Outcome>, Fault> {
        let demand = self.demands.of(repo);
        let carried = match self.carry(demand.as_ref(), talk, repo, effort).await {
            Ok(carried) => carried,
            Err(refused) => return self.without(refused, request, repo, demand.as_ref(), effort).await,
        };
        let reply = self.show(&carried, request, repo, demand.as_ref(), effort).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            self.is_good(&carried, &reply, repo);
            return self.outcome(request, reply, carried.header(), repo).await.map(Some);
        }
        let challenge = self.learn(&reply, repo);
        if !talk.is_other_demand && challenge.as_deref().is_some_and(|said| differs(demand.as_ref(), said)) {
            talk.is_other_demand = true;
            return Ok(None);
        }
        match carried {
            Carried::Nothing if challenge.is_some() => Ok(None),
            Carried::Nothing => self.outcome(request, reply, None, repo).await.map(Some),
            Carried::Login(_) => Err(self.account.refuses(&Origin::of(&request.url)).into()),
            Carried::Token(key, token) => {
                if self.may_ask_again(&key, &token, challenge.as_deref(), talk) {
                    return Ok(None);
                }
                if self.account.was_opened(repo) {
                    return Err(closed(request, &key).into());
                }
                self.outcome(request, reply, Some(&token.header), repo).await.map(Some)
            }
        }
    }

    /// There is nothing to carry. Where it was only supposed what the repository wants, it is asked itself: what others of
    /// the host want may not be for this one.
    async fn without(
        &self,
        refused: Refused,
        request: &Request,
        repo: &str,
        demand: Option<&Demand>,
        effort: Effort,
    ) -> Result<Option<Outcome>, Fault> {
        if !demand.is_some_and(|demand| demand.is_supposed) || self.account.not_refused().is_err() {
            return refused.outcome().map(Some);
        }
        let reply = self.http.attempt(request, None, effort).await?;
        match self.learn(&reply, repo) {
            Some(challenge) if differs(demand, &challenge) => Ok(None),
            Some(_) => refused.outcome().map(Some),
            None => self.outcome(request, reply, None, repo).await.map(Some),
        }
    }

    /// Sends the request with what it carries.
    async fn show(
        &self,
        carried: &Carried,
        request: &Request,
        repo: &str,
        demand: Option<&Demand>,
        effort: Effort,
    ) -> Result<Reply, Fault> {
        let mut reply = match carried {
            Carried::Login(header) => {
                let is_refused = |reply: &Reply| {
                    reply.status == StatusCode::UNAUTHORIZED
                        && !Challenge::of(&reply.headers).is_some_and(|said| differs(demand, &said))
                };
                self.account.offer(request, self.http.attempt(request, Some(header), effort), is_refused).await?
            }
            other => self.http.attempt(request, other.header(), effort).await?,
        };
        if let Some(header) = carried.header() {
            reply.mask = self.account.mask(header, repo).await?;
        }
        Ok(reply)
    }

    /// Whether another token may help where this one was refused: a new one of the same scope, or, once, one of the scope
    /// that the host names.
    fn may_ask_again(
        &self,
        key: &TokenKey,
        token: &Arc<Token>,
        challenge: Option<&Challenge>,
        talk: &mut Talk<'_>,
    ) -> bool {
        if self.tokens.may_renew(key, token) {
            self.tokens.forget(key, token);
            self.http.repeats();
            return true;
        }
        match challenge {
            Some(Challenge::Bearer { scope: Some(wanted), .. }) if talk.theirs.is_none() && *wanted != talk.scope() => {
                talk.theirs = Some(wanted.clone());
                true
            }
            _ => false,
        }
    }

    /// What to carry for a scope.
    async fn carry(
        &self,
        demand: Option<&Demand>,
        talk: &Talk<'_>,
        repo: &str,
        effort: Effort,
    ) -> Result<Carried, Refused> {
        let Some(demand) = demand else { return Ok(Carried::Nothing) };
        if let Some(Credentials::RegistryToken(token)) = self.account.credentials(repo).await? {
            self.account.not_refused()?;
            return Ok(Carried::Login(token::bearer(token)?));
        }
        let (realm, service) = match &*demand.challenge {
            Challenge::Bearer { realm, service, .. } => (realm.clone(), service.clone()),
            Challenge::Basic => {
                self.account.not_refused()?;
                return match self.account.credentials(repo).await? {
                    Some(Credentials::Password { username, password }) => {
                        Ok(Carried::Login(token::basic(username, password)?))
                    }
                    Some(_) => Err(self.account.is_no_password().into()),
                    None => Err(Refused::Denied(StatusCode::UNAUTHORIZED)),
                };
            }
        };
        let key = TokenKey { realm, service, scope: talk.scope(), repo: repo.to_owned() };
        let token = Box::pin(self.tokens.of(&key, self.fetch(&key, effort))).await?;
        Ok(Carried::Token(key, token))
    }

    async fn fetch(&self, key: &TokenKey, effort: Effort) -> Result<Token, Refused> {
        self.account.not_refused()?;
        if is_plain(&key.realm) && !self.http.settings().insecure {
            return Err(refusal::plain_realm(&key.realm).into());
        }
        let credentials = self.account.credentials(&key.repo).await?;
        let (request, header) = token::request(key, credentials)?;
        let is_refused = |reply: &Reply| refuses_login(&request, reply.status);
        let attempt = || async {
            let sent = self.http.attempt(&request, header.as_ref(), effort);
            match credentials {
                Some(_) => self.account.offer(&request, sent, is_refused).await,
                None => sent.await,
            }
        };
        let reply = self.http.retrying(effort, attempt).await?;
        match reply.status {
            StatusCode::OK => {}
            _ if credentials.is_some() && is_refused(&reply) => {
                return Err(self.account.refuses(&Origin::of(&key.realm)).into());
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                // The specification has no form for it.
                let is_theirs = said::is_object(&reply) || Challenge::of(&reply.headers).is_some();
                return Err(match credentials {
                    _ if !is_theirs => refused_by_others(&request, &reply).into(),
                    Some(_) => self.account.refuses(&Origin::of(&key.realm)).into(),
                    None => Refused::Denied(status),
                });
            }
            _ => return Err(refusal::no_token(&request, &format!("got {}", reply.status)).into()),
        }
        let unread = |e| refusal::no_token(&request, &format!("what came cannot be read as one ({e})"));
        Ok(Token::read(&reply.body).map_err(unread)?)
    }

    /// What a 401 or 403 means. It says that there is nothing for us only where it is the registry that says it.
    pub(super) async fn outcome(
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

    /// Remembers how a repository wants to be asked, where a reply says it.
    fn learn(&self, reply: &Reply, repo: &str) -> Option<Arc<Challenge>> {
        let challenge = Challenge::of(&reply.headers).filter(|_| reply.status == StatusCode::UNAUTHORIZED)?;
        Some(self.demands.learn(repo, challenge))
    }
}
