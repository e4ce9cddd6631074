//! Docker Hub's own API: lists of tags and of repositories, a hundred a page, and its search.

use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::registry::address::Credentials;
use crate::registry::auth::logins::HostLogins;
use crate::registry::auth::{Login, Outcome};
use crate::registry::endpoint::{Endpoint, unexpected};
use crate::registry::few::Few;
use crate::registry::http::{Follow, Request};
use crate::registry::pages::{self, REPOSITORIES, Walk};
use crate::registry::{Answer, Effort, Repositories, SourceError};

/// The most that a page has.
const PAGE: &str = "100";
/// What it tells of a tag of many platforms takes some kilobytes.
const PAGE_LIMIT: u64 = 8 << 20;
/// How much of its answer to a login is taken.
const TOKEN_LIMIT: u64 = 1 << 20;
/// Its tokens last for some minutes and do not say how many: another one is got after these.
const TOKEN_LASTS: Duration = Duration::from_secs(240);

/// The API, and who we are there where it wants to know.
pub struct Api {
    pub endpoint: Endpoint,
    account: Account,
}

struct Account {
    login: Login,
    /// The host that Docker and Podman keep the login for.
    host: String,
    /// What came of the last login. One that was refused is not tried again.
    token: tokio::sync::Mutex<Option<Result<(HeaderValue, Instant), SourceError>>>,
}

/// A page of anything.
#[derive(Deserialize)]
pub struct Page<T> {
    /// Of all pages.
    pub count: Option<usize>,
    next: Option<String>,
    pub results: Few<T>,
}

/// Where going through pages ended.
pub enum End {
    /// There are no more.
    Last,
    /// There are more, which we may not see.
    Wall(StatusCode),
    /// There is no such list, or no such page any more.
    Missing,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anybody,
    /// The account of the source's login.
    Account,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
}

#[derive(Deserialize)]
struct Hit {
    repo_name: String,
}

impl Api {
    /// The API at an address. Its registry's login, kept for `host`, is for what it does not show to everybody.
    pub fn new(endpoint: Endpoint, login: Login, host: String) -> Self {
        Self { endpoint, account: Account { login, host, token: tokio::sync::Mutex::default() } }
    }

    /// Goes through the pages of a list `of` something. `take` is given each, and says how many names there were up to
    /// there, and whether that is enough.
    pub async fn walk<T: DeserializeOwned>(
        &self,
        mut next: Url,
        of: &'static str,
        who: Who,
        effort: Effort,
        mut take: impl FnMut(Page<T>) -> (usize, bool),
    ) -> Result<End, SourceError> {
        let mut walk = Walk::from(&next, of);
        next.query_pairs_mut().append_pair("page_size", PAGE);
        loop {
            walk.enters(&next)?;
            let mut request = Request::new(Method::GET, next, "application/json", PAGE_LIMIT);
            let asked = match self.account.token(&self.endpoint, who, effort).await? {
                Some(token) => self.endpoint.session.send_as(&request, &token, effort).await?,
                None => self.endpoint.page(&mut request, "", effort).await?,
            };
            let reply = match asked {
                Outcome::Reply(reply) => reply,
                Outcome::Denied(status) | Outcome::NoToken(status) => return Ok(End::Wall(status)),
            };
            match reply.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(End::Missing),
                _ => return Err(unexpected(&request, &reply)),
            }
            let mut page: Page<T> = pages::read(&request, &reply, of)?;
            if who == Who::Anybody {
                self.endpoint.keep_page(&request, &reply);
            }
            let link = page.next.take().filter(|link| !link.is_empty());
            let (found, is_enough) = take(page);
            walk.has_found(found, &reply)?;
            match link {
                Some(link) if !is_enough => next = pages::follow(&request, &link)?,
                _ => return Ok(End::Last),
            }
        }
    }

    /// All repositories of a namespace. Past a wall for anonymous clients the list is begun again with a login, which may
    /// see others, too, and in another order.
    pub async fn namespace(&self, namespace: &str, effort: Effort) -> Result<Answer<Repositories>, SourceError> {
        let mut who = Who::Anybody;
        loop {
            let mut found = Repositories::default();
            let mut url = self.endpoint.below(format_args!("v2/namespaces/{namespace}/repositories"));
            url.query_pairs_mut().append_pair("ordering", "name");
            let end = self.walk(url, REPOSITORIES, who, effort, |page: Page<Listed>| {
                found.count = page.count;
                page.results.0.into_iter().for_each(|entry| found.add(format!("{namespace}/{}", entry.name)));
                (found.len(), false)
            });
            let api = self.endpoint.name();
            match end.await? {
                End::Last => return Ok(Answer::Found(found)),
                End::Missing if found.is_empty() => {
                    return Ok(Answer::Absent(format!("{api} has no namespace {namespace}")));
                }
                End::Missing => {
                    return Err(SourceError::new(format!(
                        "{api}: a page of the repositories of {namespace} went away"
                    )));
                }
                End::Wall(_) if who == Who::Anybody && self.account.is_there().await? => who = Who::Account,
                End::Wall(status) if found.is_empty() => {
                    return Ok(Answer::Absent(self.endpoint.denied(namespace, status)));
                }
                End::Wall(status) => return Err(self.wall(namespace, &found, status, who)),
            }
        }
    }

    fn wall(&self, namespace: &str, found: &Repositories, status: StatusCode, who: Who) -> SourceError {
        let (to, help) = match who {
            Who::Anybody => (
                "to anonymous clients",
                "say `username:` and `password:` on the source, or log in with Docker or Podman: the list goes on then",
            ),
            Who::Account => ("to this login", "name the repositories in a file, and read it with `{lines: FILE}`"),
        };
        let of = found.count.map(|count| format!(" of the {count}")).unwrap_or_default();
        let (api, shown) = (self.endpoint.name(), found.len());
        SourceError::new(format!("{api} shows the first {shown}{of} repositories of {namespace} {to} ({status})"))
            .help(help)
    }

    /// The first repositories that the search finds.
    pub async fn search(&self, words: &str, limit: usize, effort: Effort) -> Result<Repositories, SourceError> {
        let mut found = Repositories::default();
        let mut url = self.endpoint.below("v2/search/repositories/");
        url.query_pairs_mut().append_pair("query", words);
        let end = self.walk(url, REPOSITORIES, Who::Anybody, effort, |page: Page<Hit>| {
            found.count = page.count;
            for hit in page.results.0 {
                if found.len() < limit {
                    found.add(qualified(&hit.repo_name));
                }
            }
            (found.len(), found.len() == limit)
        });
        match end.await? {
            // Its last page may be gone, and its first one if nothing is found.
            End::Last | End::Missing => Ok(found),
            End::Wall(status) => {
                let (api, shown) = (self.endpoint.name(), found.len());
                let what = format!("{api} shows the first {shown} repositories that it finds for {words:?} ({status})");
                Err(SourceError::new(what).help(format!("say `limit: {}`, or less", shown.max(1))))
            }
        }
    }
}

/// A bare name is one of the library.
pub fn qualified(repo: &str) -> String {
    if repo.contains('/') { repo.to_owned() } else { format!("library/{repo}") }
}

impl Account {
    /// Whether there is a login.
    async fn is_there(&self) -> Result<bool, SourceError> {
        Ok(self.password().await?.is_some())
    }

    async fn password(&self) -> Result<Option<(String, String)>, SourceError> {
        let logins = match &self.login {
            Login::Given(credentials) => HostLogins::given(credentials.clone()),
            Login::Kept(logins) => logins.of_host(&self.host).await?,
        };
        Ok(match logins.of_repo(&self.host, "") {
            Some(Credentials::Password { username, password }) => Some((username.clone(), password.clone())),
            // The API takes no others.
            Some(Credentials::IdentityToken(_) | Credentials::RegistryToken(_)) | None => None,
        })
    }

    /// What requests carry, got once for as long as it lasts.
    async fn token(&self, api: &Endpoint, who: Who, effort: Effort) -> Result<Option<HeaderValue>, SourceError> {
        if who == Who::Anybody {
            return Ok(None);
        }
        let mut kept = self.token.lock().await;
        match &*kept {
            Some(Ok((token, got))) if got.elapsed() < TOKEN_LASTS => return Ok(Some(token.clone())),
            Some(Err(refused)) => return Err(refused.clone()),
            _ => {}
        }
        let Some((username, password)) = self.password().await? else { return Ok(None) };
        let fetched = fetch(api, &username, &password, effort).await;
        *kept = match &fetched {
            Ok(token) => Some(Ok((token.clone(), Instant::now()))),
            Err(error) if error.is_outage || error.deferral.is_some() => None,
            Err(refused) => Some(Err(refused.clone())),
        };
        fetched.map(Some)
    }
}

/// Exchanges a password, or an access token, for a token of the API. Nothing of the answer is ever shown.
async fn fetch(api: &Endpoint, username: &str, password: &str, effort: Effort) -> Result<HeaderValue, SourceError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
    }
    let mut request = Request::new(Method::POST, api.below("v2/auth/token"), "application/json", TOKEN_LIMIT);
    request.follow = Follow::Nowhere;
    let body = serde_json::json!({"identifier": username, "secret": password});
    request.body = Some(("application/json", body.to_string()));
    let status = match api.session.send(&request, "", effort).await? {
        Outcome::Reply(reply) if reply.status == StatusCode::OK => {
            let token = serde_json::from_slice::<Granted>(&reply.body).ok();
            let header = token.and_then(|t| HeaderValue::from_str(&format!("Bearer {}", t.access_token)).ok());
            let mut header = header.ok_or_else(|| {
                SourceError::new(format!("{}: expected a token, but what came cannot be read as one", request.shown()))
            })?;
            header.set_sensitive(true);
            return Ok(header);
        }
        Outcome::Reply(reply) => reply.status,
        Outcome::Denied(status) | Outcome::NoToken(status) => status,
    };
    Err(SourceError::new(format!("{} refuses the login of the source ({status})", api.name()))
        .help("check `username:` and `password:` of the source, or what Docker or Podman keep for Docker Hub"))
}
