//! Who we are, and who may be told: requests that carry what their host wants to see.
//!
//! There is no ping: the first request to a host goes alone and meets its challenge, which is remembered. A token is
//! fetched once for all that wait for it, and serves until it runs out.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};
use tokio::sync::OnceCell;

use super::address::{self, Credentials, Origin, display, is_plain};
use super::challenge::Challenge;
use super::flight::Flights;
use super::http::{Fault, Http, Reply, Request};
use super::logins::{HostLogins, Logins};
use super::mask::Mask;
use super::setup::Role;
use super::token::{self, Carried, Token, TokenKey};
use super::words::shown;
use super::{Budget, Effort, SourceError, said};

/// Rounds of challenge and answer: the first challenge, a token that ran out, one of another scope.
const ROUNDS_MAX: usize = 4;
/// How often one token may be renewed before its time, within the time that a token lasts at least.
const RENEWALS_MAX: usize = 4;
const RENEWALS_WITHIN: Duration = Duration::from_secs(token::SHORTEST_LIFE);

/// Where credentials come from.
pub enum Login {
    /// These, or none.
    Given(Option<Credentials>),
    /// What Docker and Podman keep for the host.
    Kept(Logins),
}

/// The requests to one registry, with its credentials.
pub struct Session {
    http: Http,
    budget: Arc<Budget>,
    login: Login,
    /// The host, and its port where that is not the usual one.
    host: String,
    origin: Origin,
    role: Role,
    logins: OnceCell<Result<HostLogins, SourceError>>,
    /// Credentials that were refused before they were ever good for anything are not offered again.
    refused: OnceLock<SourceError>,
    /// So that this is known before others offer them, the first offer is made alone.
    offers: tokio::sync::Mutex<()>,
    offered: AtomicBool,
    challenge: RwLock<Option<Arc<Challenge>>>,
    /// The first request goes alone, so that a host challenges once.
    gate: tokio::sync::Mutex<()>,
    met: AtomicBool,
    tokens: Mutex<HashMap<TokenKey, Arc<Token>>>,
    fetches: Flights<TokenKey, Result<Grant, SourceError>>,
    renewals: Mutex<HashMap<TokenKey, Vec<Instant>>>,
    /// Repositories that were open to us.
    opened: Mutex<HashSet<String>>,
}

/// What came of a request.
pub enum Outcome {
    Reply(Reply),
    /// We may not know: an anonymous request was refused, or one with a token that was granted. This is also how hubs
    /// say that there is no such thing.
    Denied(StatusCode),
}

#[derive(Clone)]
enum Grant {
    Token(Arc<Token>),
    Denied(StatusCode),
}

impl Session {
    /// Requests to the registry at `base`.
    pub fn new(http: Http, budget: Arc<Budget>, login: Login, base: &Url, role: Role) -> Self {
        Self {
            http,
            budget,
            login,
            host: address::host(base),
            origin: Origin::of(base),
            role,
            logins: OnceCell::new(),
            refused: OnceLock::new(),
            offers: tokio::sync::Mutex::default(),
            offered: AtomicBool::new(false),
            challenge: RwLock::default(),
            gate: tokio::sync::Mutex::default(),
            met: AtomicBool::new(false),
            tokens: Mutex::default(),
            fetches: Flights::default(),
            renewals: Mutex::default(),
            opened: Mutex::default(),
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
            reply.mask = self.mask(authorization, "").await?;
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
                Carried::Login(header) => self.offer(request, Some(header), effort).await?,
                other => self.http.attempt(request, other.header(), effort).await?,
            };
            if let Some(header) = carried.header() {
                reply.mask = self.mask(header, repo).await?;
            }
            if reply.status != StatusCode::UNAUTHORIZED {
                self.is_good(&carried, &reply, repo);
                return self.outcome(request, reply, carried.header(), repo).await;
            }
            let challenge = self.learn(&reply);
            match carried {
                Carried::Nothing if challenge.is_some() => {}
                Carried::Nothing => return self.outcome(request, reply, None, repo).await,
                Carried::Login(_) => return Err(self.refuses(&Origin::of(&request.url)).into()),
                Carried::Token(key, token) => {
                    let other_scope = match challenge.as_deref() {
                        Some(Challenge::Bearer { scope: Some(wanted), .. }) if *wanted != scope => Some(wanted.clone()),
                        _ => None,
                    };
                    if self.may_renew(&key, &token) {
                        self.forget(&key, &token);
                        self.http.repeats();
                    } else if let Some(wanted) = other_scope.filter(|_| !is_theirs) {
                        is_theirs = true;
                        scope = wanted;
                    } else if self.was_opened(repo) {
                        let at = Origin::of(&request.url);
                        let what = format!("{}: {at} answers 401 to what it let us see before", request.shown());
                        let tried = format!("a new token from {} did not help", shown_realm(&key));
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

    /// Sends a login; where it is the first time, nobody else does meanwhile, and nobody at all once it is refused.
    async fn offer(&self, request: &Request, header: Option<&HeaderValue>, effort: Effort) -> Result<Reply, Fault> {
        let is_known = || self.offered.load(Ordering::Acquire);
        let turn = if is_known() { None } else { Some(self.offers.lock().await) };
        let turn = turn.filter(|_| !is_known());
        self.not_refused()?;
        let reply = self.http.attempt(request, header, effort).await;
        let is_refused = reply.as_ref().is_ok_and(|reply| refuses_login(request, reply.status));
        if is_refused && self.opened().is_empty() {
            let _ = self.refused.set(self.refuses(&Origin::of(&request.url)));
        }
        // Also after a failure: a host that hangs is not to be waited for by one after the other.
        self.offered.store(true, Ordering::Release);
        drop(turn);
        reply
    }

    /// What to carry for a scope; the inner error where we are denied it.
    async fn carry(&self, scope: &str, repo: &str, effort: Effort) -> Result<Result<Carried, StatusCode>, SourceError> {
        let Some(challenge) = self.challenge() else { return Ok(Ok(Carried::Nothing)) };
        if let Some(Credentials::RegistryToken(token)) = self.credentials(repo).await? {
            self.not_refused()?;
            return Ok(Ok(Carried::Login(token::bearer(token)?)));
        }
        let (realm, service) = match &*challenge {
            Challenge::Bearer { realm, service, .. } => (realm, service),
            Challenge::Basic => {
                self.not_refused()?;
                return match self.credentials(repo).await? {
                    Some(Credentials::Password { username, password }) => {
                        Ok(Ok(Carried::Login(token::basic(username, password)?)))
                    }
                    Some(_) => Err(SourceError::new(format!(
                        "{} wants a password, and the login that is kept for it is an identity token",
                        self.host
                    ))),
                    None => Ok(Err(StatusCode::UNAUTHORIZED)),
                };
            }
        };
        let key = (realm.to_string(), service.clone(), scope.to_owned(), repo.to_owned());
        let grant = match self.cached(&key) {
            Some(token) => Grant::Token(token),
            None => self.fetches.run(key.clone(), self.fetch(realm, &key, effort)).await?,
        };
        Ok(match grant {
            Grant::Token(token) => Ok(Carried::Token(key, token)),
            Grant::Denied(status) => Err(status),
        })
    }

    async fn fetch(&self, realm: &Url, key: &TokenKey, effort: Effort) -> Result<Grant, SourceError> {
        if let Some(token) = self.cached(key) {
            return Ok(Grant::Token(token));
        }
        self.not_refused()?;
        if is_plain(realm) && !self.http.settings().insecure {
            let what = format!("the registry wants tokens to be got at {}, which is not encrypted", display(realm));
            return Err(SourceError::new(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let credentials = self.credentials(&key.3).await?;
        let (request, header) = token::request(realm, key.1.as_deref(), &key.2, credentials)?;
        let attempt = || async {
            match credentials {
                Some(_) => self.offer(&request, header.as_ref(), effort).await,
                None => self.http.attempt(&request, None, effort).await,
            }
        };
        let reply = self.http.retrying(effort, attempt).await?;
        match reply.status {
            StatusCode::OK => {}
            status if credentials.is_some() && refuses_login(&request, status) => {
                return Err(self.refuses(&Origin::of(realm)));
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                // The specification has no form for it.
                let is_theirs = said::is_object(&reply) || Challenge::of(&reply.headers).is_some();
                return match credentials {
                    _ if !is_theirs => Err(refused_by_others(&request, &reply)),
                    Some(_) => Err(self.refuses(&Origin::of(realm))),
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
        let token = Arc::new(token);
        lock(&self.tokens).insert(key.clone(), token.clone());
        Ok(Grant::Token(token))
    }

    /// The credentials for a repository, looked for once.
    async fn credentials(&self, repo: &str) -> Result<Option<&Credentials>, SourceError> {
        let look = || async {
            match &self.login {
                Login::Given(credentials) => Ok(HostLogins::given(credentials.clone())),
                Login::Kept(logins) => logins.of_host(&self.host).await,
            }
        };
        let logins = self.logins.get_or_init(look).await;
        Ok(logins.as_ref().map_err(Clone::clone)?.of_repo(&self.host, repo))
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
                let has_login = matches!(self.credentials(repo).await, Ok(Some(_)));
                Err(unchallenged(request, &reply, has_login).into())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_theirs() => Ok(Outcome::Denied(reply.status)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refused_by_others(request, &reply).into()),
            _ => Ok(Outcome::Reply(reply)),
        }
    }

    /// For what a host repeats of our credentials.
    async fn mask(&self, header: &HeaderValue, repo: &str) -> Result<Mask, SourceError> {
        let carried = header.to_str().ok().and_then(|text| text.split_once(' ')).map(|(_, secret)| secret);
        let kept = self.credentials(repo).await?.map(|credentials| match credentials {
            Credentials::Password { password, .. } => password.as_str(),
            Credentials::IdentityToken(token) | Credentials::RegistryToken(token) => token,
        });
        Ok(Mask::of([carried, kept].into_iter().flatten()))
    }

    fn not_refused(&self) -> Result<(), SourceError> {
        self.refused.get().map_or(Ok(()), |refused| Err(refused.clone()))
    }

    fn is_good(&self, carried: &Carried, reply: &Reply, repo: &str) {
        if reply.status == StatusCode::FORBIDDEN {
            return;
        }
        if let Carried::Token(_, token) = carried {
            token.is_taken();
        }
        if !matches!(carried, Carried::Nothing) && !self.was_opened(repo) {
            self.opened().insert(repo.to_owned());
        }
    }

    fn was_opened(&self, repo: &str) -> bool {
        self.opened().contains(repo)
    }

    fn opened(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.opened)
    }

    fn cached(&self, key: &TokenKey) -> Option<Arc<Token>> {
        lock(&self.tokens).get(key).filter(|token| token.is_usable(Instant::now())).cloned()
    }

    /// Whether another token may help where this one was refused. A host that refuses whatever it is shown is not given
    /// reason to be asked for tokens without end.
    fn may_renew(&self, key: &TokenKey, token: &Arc<Token>) -> bool {
        let now = Instant::now();
        if lock(&self.tokens).get(key).is_none_or(|kept| !Arc::ptr_eq(kept, token)) {
            // Somebody has done it, or is at it: of many that are under way when a token ends, one renews it.
            return true;
        }
        if !token.may_have_run_out(now) {
            return false;
        }
        let mut renewals = lock(&self.renewals);
        let recent = renewals.entry(key.clone()).or_default();
        recent.retain(|at| now.duration_since(*at) < RENEWALS_WITHIN);
        let may = recent.len() < RENEWALS_MAX;
        if may {
            recent.push(now);
        }
        may
    }

    /// Forgets a token, unless another has taken its place.
    fn forget(&self, key: &TokenKey, token: &Arc<Token>) {
        let mut tokens = lock(&self.tokens);
        if tokens.get(key).is_some_and(|kept| Arc::ptr_eq(kept, token)) {
            tokens.remove(key);
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

    fn refuses(&self, by: &Origin) -> SourceError {
        let (what, help) = match self.login {
            Login::Given(_) => {
                ("that were given", "check `username:` and `password:` of the source, or the user part of its `url:`")
            }
            Login::Kept(_) => (
                "that Docker or Podman keep for it",
                "log in again, or say `credentials: none` on the source to ask anonymously",
            ),
        };
        SourceError::new(format!("{by} refuses the credentials {what}")).help(help)
    }
}

/// A refusal that is not in the form of a registry's.
fn refused_by_others(request: &Request, reply: &Reply) -> SourceError {
    let kind = said::media_type(reply).map_or_else(|| "of no type".into(), |t| format!("`{}`", shown(&t)));
    let what = format!("{}, but no error of a registry; what came is {kind}{}", reply.status, said::words(reply));
    SourceError::new(format!("{}: {what}", request.shown()))
        .help("it may be a firewall or proxy on the way: see what this address shows there, or ask who runs it")
}

/// A 401 that does not say how to log in.
fn unchallenged(request: &Request, reply: &Reply, has_login: bool) -> SourceError {
    let how = match reply.header("www-authenticate") {
        Some(text) => format!("in a way that is none of ours: `{}`", shown(text)),
        None => "without saying how".into(),
    };
    let then = if has_login { "; the login that there is could not be offered" } else { "" };
    let what = format!("{}, which asks for a login {how}{}{then}", reply.status, said::words(reply));
    SourceError::new(format!("{}: {what}", request.shown())).help(
        "registries ask by `Basic`, or by `Bearer` with the URL of a token server: is it a registry that answers?",
    )
}

/// Whether an answer is about the login itself: OAuth2 has a 400 for a refresh token that is not taken (RFC 6749, 5.2).
fn refuses_login(request: &Request, status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || (status == StatusCode::BAD_REQUEST && request.body.is_some())
}

fn shown_realm(key: &TokenKey) -> String {
    Url::parse(&key.0).map(|realm| display(&realm)).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
