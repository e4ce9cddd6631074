//! Requests: sent, bounded, followed and repeated. What the answers mean is for others to say.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::{Origin, display, is_loopback, is_plain};
use super::budget::{self, Announced, Deferral};
use super::certificates::Certificates;
use super::counter::Counter;
use super::words::size;
use super::{Effort, SourceError, Traffic, manifest};

/// Attempts after the first, unless set.
const RETRIES: u32 = 5;
/// The first wait before another attempt; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A server that wants to be left alone for longer is not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// What is counted may be large: the time for one attempt is for so many bytes.
const COUNTED_WITHIN: u64 = 64 << 20;
const REDIRECTS_MAX: usize = 5;
/// How much of the body of an error is read.
const ERROR_LIMIT: u64 = 64 << 10;

/// How a source talks.
pub struct Settings {
    /// Requests at the same time.
    pub concurrency: usize,
    /// For one attempt, from the first byte out to the last byte in.
    pub timeout: Duration,
    /// For the next sign of life.
    pub idle_timeout: Duration,
    /// Plain HTTP was asked for.
    pub insecure: bool,
    pub offline: bool,
    /// The source is on this machine: proxies are for elsewhere.
    pub local: bool,
    pub certificates: Certificates,
}

/// A client with connections that it uses again.
pub struct Http {
    client: OnceLock<Result<Client, String>>,
    /// For hosts that may know who we are: with the client's certificate.
    known: OnceLock<Result<Client, String>>,
    /// For plain HTTP on this machine, which must not hang on the certificates that the system has, or has not.
    plain: OnceLock<Result<Client, String>>,
    settings: Settings,
    permits: Semaphore,
    traffic: Arc<Traffic>,
}

/// Where redirects may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// To the same host, or to its encrypted side.
    SameHost,
    /// Anywhere: the content is checked by its digest.
    Anywhere,
    /// What is sent is for one address only.
    Nowhere,
}

/// What is taken of a body.
#[derive(Clone)]
pub enum Take {
    /// All of it.
    Whole,
    /// So many bytes from a place on; nothing where the server has whole ones only.
    Part { start: u64, length: u64 },
    /// Nothing: it is counted as it comes.
    Count(Arc<Counter>),
}

/// What is asked for.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub accept: &'static str,
    /// The largest body that is taken.
    pub limit: u64,
    pub follow: Follow,
    /// What is sent, after its media type; it may be secret.
    pub body: Option<(&'static str, String)>,
    pub take: Take,
}

/// What came.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why an attempt failed.
pub enum Fault {
    /// Worth another attempt, after a while that the server may have named.
    Transient {
        what: String,
        wait: Option<Duration>,
        /// The server gave nothing that it could charge for.
        in_vain: bool,
        /// It was asked for too much: where no attempt helps, that is to be put off.
        deferral: Option<Box<Deferral>>,
    },
    Final(SourceError),
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Final(error)
    }
}

impl Request {
    /// One without a body, of which the whole answer is taken.
    pub fn new(method: Method, url: Url, accept: &'static str, limit: u64) -> Self {
        Self { method, url, accept, limit, follow: Follow::SameHost, body: None, take: Take::Whole }
    }

    /// Whether hubs charge for it: it fetches what is asked for by the types of manifests.
    pub fn is_pull(&self) -> bool {
        self.method == Method::GET && self.accept == manifest::ACCEPT
    }

    /// The request in a message.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, display(&self.url))
    }

    fn transient(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Transient { what: format!("{}: {what}", self.shown()), wait: None, in_vain: false, deferral: None }
    }

    fn refused(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Final(SourceError::new(format!("{}: {what}", self.shown())))
    }
}

impl Reply {
    /// A header, where it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    pub fn new(settings: Settings, traffic: Arc<Traffic>) -> Self {
        let permits = Semaphore::new(settings.concurrency);
        Self { client: OnceLock::new(), known: OnceLock::new(), plain: OnceLock::new(), settings, permits, traffic }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts a request that is sent once more.
    pub fn repeats(&self) {
        self.traffic.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes attempts until one succeeds, fails for good, or is the last.
    pub async fn retrying<T, F>(&self, effort: Effort, mut attempt: impl FnMut() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let retries = effort.retries.unwrap_or(RETRIES);
        let mut made = 0;
        loop {
            let (what, wait, deferral) = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Transient { what, wait, deferral, .. }) => (what, wait, deferral),
            };
            if made == retries {
                if let Some(deferral) = deferral {
                    return Err(SourceError::deferred(*deferral));
                }
                let attempts = if retries == 0 { "one attempt".into() } else { format!("{} attempts", retries + 1) };
                return Err(SourceError { is_outage: true, ..SourceError::new(format!("{what} ({attempts})")) });
            }
            if let Some(wait) = wait.filter(|w| *w > LONGEST_RETRY_AFTER) {
                return Err(SourceError::new(format!("{what}, to be asked again in {} s", wait.as_secs()))
                    .help("run again then: what is done is kept"));
            }
            made += 1;
            self.repeats();
            tokio::time::sleep(wait.unwrap_or_else(|| backoff(made))).await;
        }
    }

    /// One attempt, redirects included.
    pub async fn attempt(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
        effort: Effort,
    ) -> Result<Reply, Fault> {
        if self.settings.offline {
            return Err(request.refused("offline, and this is not in the store").help("run without `--offline`"));
        }
        // Waiting for one's turn is not waiting for the server.
        let _permit = self.permits.acquire().await.map_err(|e| request.refused(e))?;
        let most = effort.timeout.unwrap_or(self.settings.timeout);
        let most = match request.take {
            Take::Count(_) => most * u32::try_from(1 + request.limit / COUNTED_WITHIN).unwrap_or(u32::MAX),
            _ => most,
        };
        match timeout(most, self.exchange(request, authorization)).await {
            Ok(reply) => reply,
            Err(_) => Err(request.transient(format_args!("not done within {most:?}"))),
        }
    }

    async fn exchange(&self, request: &Request, authorization: Option<&HeaderValue>) -> Result<Reply, Fault> {
        let origin = Origin::of(&request.url);
        let mut url = request.url.clone();
        let mut authorization = authorization;
        for _ in 0..=REDIRECTS_MAX {
            let client = self.client(&url, Origin::of(&url) == origin).map_err(|e| request.refused(e))?;
            let mut sent = client.request(request.method.clone(), url.clone()).header(ACCEPT, request.accept);
            if let Some(value) = authorization {
                sent = sent.header(AUTHORIZATION, value);
            }
            if let Take::Part { start, length } = request.take {
                sent = sent.header(RANGE, format!("bytes={start}-{}", start + length - 1));
            }
            if let Some((media_type, body)) = &request.body {
                sent = sent.header(CONTENT_TYPE, *media_type).body(body.clone());
            }
            self.traffic.requests.fetch_add(1, Ordering::Relaxed);
            let response = match timeout(self.settings.idle_timeout, sent.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(fault(request, error)),
                Err(_) => return Err(self.silence(request)),
            };
            let Some(location) = redirect(&response) else {
                let reply = self.receive(request, response).await?;
                // Links to a store of blobs are good for minutes: another attempt gets another one.
                if Origin::of(&url) != origin && reply.status.is_client_error() {
                    let what = format!(
                        "{} answers {} to the link that it was redirected to",
                        url.host_str().unwrap_or_default(),
                        reply.status
                    );
                    return Err(request.transient(what));
                }
                return Ok(reply);
            };
            let next = url.join(location).map_err(|_| request.refused("redirects to what is no URL"))?;
            self.may_follow(request, &url, &next)?;
            // Credentials are for the origin that asked, and do not come back by a detour.
            if Origin::of(&next) != origin {
                authorization = None;
            }
            url = next;
        }
        Err(request.refused(format_args!("redirects more than {REDIRECTS_MAX} times")))
    }

    fn may_follow(&self, request: &Request, from: &Url, to: &Url) -> Result<(), Fault> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err(request.refused(format_args!("redirects to `{}:`", to.scheme())));
        }
        if is_plain(to) && !is_plain(from) && !self.settings.insecure {
            let what = format!("redirects to {}, which is not encrypted", display(to));
            return Err(request.refused(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let same_host = Origin::of(from) == Origin::of(to)
            || (from.host_str() == to.host_str() && from.scheme() == "http" && to.scheme() == "https");
        if request.follow == Follow::Nowhere || (request.follow == Follow::SameHost && !same_host) {
            return Err(request.refused(format_args!("redirects to another host, {}", Origin::of(to))));
        }
        Ok(())
    }

    async fn receive(&self, request: &Request, response: Response) -> Result<Reply, Fault> {
        let (status, headers) = (response.status(), response.headers().clone());
        let limit = if status.is_success() { request.limit } else { ERROR_LIMIT };
        let body = match &request.take {
            _ if request.method == Method::HEAD => Vec::new(),
            Take::Part { .. } if status == StatusCode::OK => Vec::new(),
            Take::Count(counter) if status == StatusCode::OK => {
                counter.restart();
                self.body(request, response, limit, true, |_, chunk| counter.take(chunk)).await?
            }
            _ => self.body(request, response, limit, status.is_success(), Vec::extend_from_slice).await?,
        };
        let reply = Reply { status, headers, body };
        let Some(wait) = worth_another(&reply) else { return Ok(reply) };
        let deferral = (status == StatusCode::TOO_MANY_REQUESTS).then(|| Box::new(deferral(request, &reply)));
        match deferral {
            Some(deferral) if limit_is_spent(&reply) || wait.is_some_and(|w| w > LONGEST_RETRY_AFTER) => {
                let help = "a login may have a higher limit";
                Err(Fault::Final(SourceError::deferred(*deferral).help(help)))
            }
            deferral => {
                let what = format!("{}: {status}", request.shown());
                Err(Fault::Transient { what, wait, in_vain: true, deferral })
            }
        }
    }

    /// Takes the body, up to the limit. That of an error is cut off there, any other is refused.
    async fn body(
        &self,
        request: &Request,
        mut response: Response,
        limit: u64,
        whole: bool,
        take: impl Fn(&mut Vec<u8>, &[u8]),
    ) -> Result<Vec<u8>, Fault> {
        let too_large = || request.refused(format_args!("more than the {} that are the most", size(limit)));
        if whole && response.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let (mut body, mut came) = (Vec::new(), 0);
        loop {
            let chunk = match timeout(self.settings.idle_timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(fault(request, error)),
                Err(_) => return Err(self.silence(request)),
            };
            self.traffic.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            take(&mut body, &chunk);
            came += chunk.len() as u64;
            if came > limit {
                if whole {
                    return Err(too_large());
                }
                return Ok(body);
            }
        }
    }

    fn silence(&self, request: &Request) -> Fault {
        request.transient(format_args!("nothing came for {:?}", self.settings.idle_timeout))
    }

    /// The client for a URL, made when it is first needed: the system's certificates take a while to read. With our own
    /// certificate where the host `may_know` us.
    fn client(&self, url: &Url, may_know: bool) -> Result<&Client, String> {
        let is_plain = url.scheme() == "http" && is_loopback(url);
        let is_known = may_know && url.scheme() == "https" && self.settings.certificates.client.is_some();
        let build = || {
            // Another source, or a library's user, may have been first.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut builder = Client::builder()
                .user_agent(concat!("layermill/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(self.settings.idle_timeout);
            builder = if is_plain {
                builder.tls_certs_only([])
            } else {
                self.settings.certificates.add_to(builder, is_known)?
            };
            // A proxy is for elsewhere.
            if is_plain || self.settings.local {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|e| {
                let help = "the system's are in the package `ca-certificates`, or where `SSL_CERT_FILE` says";
                format!("certificates: {} ({help})", root_cause(&e))
            })
        };
        let kept = match (is_plain, is_known) {
            (true, _) => &self.plain,
            (_, true) => &self.known,
            _ => &self.client,
        };
        kept.get_or_init(build).as_ref().map_err(Clone::clone)
    }
}

impl Fault {
    fn help(self, help: &str) -> Self {
        match self {
            Self::Final(error) => Self::Final(error.help(help)),
            other => other,
        }
    }
}

fn redirect(response: &Response) -> Option<&str> {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| response.headers().get(LOCATION)?.to_str().ok())
        .flatten()
}

/// `Some` where another attempt may bring more, with the wait that the server asks for.
fn worth_another(reply: &Reply) -> Option<Option<Duration>> {
    let status = reply.status;
    let passing =
        matches!(status.as_u16(), 408 | 429) || (status.is_server_error() && !matches!(status.as_u16(), 501 | 505));
    let wait = |name: &str| budget::retry_after(reply.headers.get(name)?.to_str().ok()?, SystemTime::now());
    // Docker Hub's API says it by a name of its own.
    passing.then(|| wait(RETRY_AFTER.as_str()).or_else(|| wait("x-retry-after")))
}

/// Whether a quota is used up: the server counts, or says so. Any other refusal is one of the moment.
fn limit_is_spent(reply: &Reply) -> bool {
    let counts = |name: &str| {
        matches!(name, "docker-ratelimit-source") || name.starts_with("ratelimit-") || name.starts_with("x-ratelimit-")
    };
    let says_so = || String::from_utf8_lossy(&reply.body).to_ascii_uppercase().contains("TOOMANYREQUESTS");
    reply.status == StatusCode::TOO_MANY_REQUESTS
        && (reply.headers.keys().any(|name| counts(name.as_str())) || says_so())
}

/// What a server that has no more to give says of it.
fn deferral(request: &Request, reply: &Reply) -> Deferral {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    Deferral {
        source: Origin::of(&request.url).to_string(),
        why: format!("the registry answers {}: its limit of requests is spent", reply.status),
        until: budget::until(&reply.headers, now),
        window: Announced::of(&reply.headers, now).and_then(|announced| announced.window),
    }
}

/// Exponential, and spread out, so that many that failed together do not come back together.
fn backoff(attempt: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Why a request failed below HTTP. All of it may pass, but for what TLS takes exception to.
fn fault(request: &Request, error: reqwest::Error) -> Fault {
    let cause = root_cause(&error);
    match tls_error(&error) {
        Some(rustls::Error::InvalidMessage(_)) => {
            request.refused(cause).help("the server does not speak TLS there: is its address one of `http://`?")
        }
        Some(_) => request.refused(cause),
        None if error.is_builder() => request.refused(cause),
        None => match request.transient(cause) {
            Fault::Transient { what, wait, deferral, .. } => {
                Fault::Transient { what, wait, in_vain: error.is_connect(), deferral }
            }
            other => other,
        },
    }
}

/// The innermost reason, which is the one that says something.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    text.unwrap_or_else(|| error.to_string())
}

fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(found) = wrapped(inner) {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// An I/O error hides what it wraps from its own sources.
fn wrapped<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| wrapped(error.downcast_ref::<std::io::Error>()?.get_ref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        for attempt in 1..40 {
            let longest = Duration::from_millis(250 * (1 << (attempt - 1).min(10))).min(LONGEST_WAIT);
            let wait = backoff(attempt);
            assert!(wait >= longest / 2 && wait <= longest, "{attempt}: {wait:?}");
        }
    }
}
