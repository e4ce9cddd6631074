//! Who we are at one registry: the login, looked for once and offered only as long as it may be good for anything.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use tokio::sync::OnceCell;

use crate::registry::SourceError;
use crate::registry::address::{Credentials, Origin};
use crate::registry::auth::logins::{HostLogins, Logins};
use crate::registry::auth::mask::Mask;
use crate::registry::http::{Fault, Reply, Request};
use crate::sync::lock;

/// Where credentials come from.
pub enum Login {
    /// These, or none.
    Given(Option<Credentials>),
    /// What Docker and Podman keep for the host.
    Kept(Logins),
}

/// The login to one registry, and how it fared.
pub struct Account {
    login: Login,
    /// The host, and its port where that is not the usual one.
    host: String,
    logins: OnceCell<Result<HostLogins, SourceError>>,
    /// Credentials that were refused before they were ever good for anything are not offered again.
    refused: OnceLock<SourceError>,
    /// So that this is known before others offer them, the first offer is made alone.
    offers: tokio::sync::Mutex<()>,
    offered: AtomicBool,
    /// Repositories that were open to us.
    opened: Mutex<HashSet<String>>,
}

impl Account {
    pub fn new(login: Login, host: String) -> Self {
        Self {
            login,
            host,
            logins: OnceCell::new(),
            refused: OnceLock::new(),
            offers: tokio::sync::Mutex::default(),
            offered: AtomicBool::new(false),
            opened: Mutex::default(),
        }
    }

    /// The credentials for a repository, looked for once.
    pub async fn credentials(&self, repo: &str) -> Result<Option<&Credentials>, SourceError> {
        let look = || async {
            match &self.login {
                Login::Given(credentials) => Ok(HostLogins::given(credentials.clone())),
                Login::Kept(logins) => logins.of_host(&self.host).await,
            }
        };
        let logins = self.logins.get_or_init(look).await;
        Ok(logins.as_ref().map_err(Clone::clone)?.of_repo(&self.host, repo))
    }

    /// For what a host repeats of our credentials.
    pub async fn mask(&self, header: &HeaderValue, repo: &str) -> Result<Mask, SourceError> {
        let carried = header.to_str().ok().and_then(|text| text.split_once(' ')).map(|(_, secret)| secret);
        let kept = self.credentials(repo).await?.map(|credentials| match credentials {
            Credentials::Password { password, .. } => password.as_str(),
            Credentials::IdentityToken(token) | Credentials::RegistryToken(token) => token,
        });
        Ok(Mask::of([carried, kept].into_iter().flatten()))
    }

    /// Sends a login; where it is the first time, nobody else does meanwhile, and nobody at all once it is refused.
    pub async fn offer(
        &self,
        request: &Request,
        sent: impl Future<Output = Result<Reply, Fault>>,
        is_refused: impl Fn(&Reply) -> bool,
    ) -> Result<Reply, Fault> {
        let is_known = || self.offered.load(Ordering::Acquire);
        let turn = if is_known() { None } else { Some(self.offers.lock().await) };
        let turn = turn.filter(|_| !is_known());
        self.not_refused()?;
        let reply = sent.await;
        if reply.as_ref().is_ok_and(is_refused) && lock(&self.opened).is_empty() {
            let _ = self.refused.set(self.refuses(&Origin::of(&request.url)));
        }
        // Also after a failure: a host that hangs is not to be waited for by one after the other.
        self.offered.store(true, Ordering::Release);
        drop(turn);
        reply
    }

    /// Another kind of login is wanted than there is.
    pub fn is_no_password(&self) -> SourceError {
        let host = &self.host;
        SourceError::new(format!("{host} wants a password, and the login that is kept for it is an identity token"))
    }

    pub fn not_refused(&self) -> Result<(), SourceError> {
        self.refused.get().map_or(Ok(()), |refused| Err(refused.clone()))
    }

    /// Notes that a repository is open to us.
    pub fn opens(&self, repo: &str) {
        if !self.was_opened(repo) {
            lock(&self.opened).insert(repo.to_owned());
        }
    }

    pub fn was_opened(&self, repo: &str) -> bool {
        lock(&self.opened).contains(repo)
    }

    pub fn refuses(&self, by: &Origin) -> SourceError {
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

/// Whether an answer is about the login itself: OAuth2 has a 400 for a refresh token that is not taken (RFC 6749, 5.2).
pub fn refuses_login(request: &Request, status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || (status == StatusCode::BAD_REQUEST && request.body.is_some())
}
