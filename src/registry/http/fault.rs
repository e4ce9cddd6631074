//! Why an attempt failed, and whether another one may bring more.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

use super::request::Came;
use super::{LONGEST_RETRY_AFTER, Reply, Request, tls};
use crate::registry::SourceError;
use crate::registry::address::Origin;
use crate::registry::budget::{self, Announced, Deferral};

/// Who refuses for longer counts more than requests a second.
const LONGEST_OF_A_RATE: Duration = Duration::from_secs(60);

const UNREACHED: &str = "is its address right, does it run, and does the network lead there (or the proxy)? build again \
                         then: what is done is kept";

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
    /// Nobody was there to ask.
    Unreached(Unreached),
}

/// What came of a request, as far as its host's strength goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Well,
    /// It failed, broke off or was silent.
    Fault,
    /// It has too much to do, as this answer says, and may say for how long it wants to be left alone.
    Refusal(StatusCode, Option<Duration>),
}

/// A host is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub left: Duration,
    /// What it answered.
    pub status: StatusCode,
}

/// A host that cannot be reached, in words that are the same for all that want it.
pub struct Unreached {
    pub error: SourceError,
    /// Another attempt would come to the same.
    pub lasts: bool,
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Final(error)
    }
}

impl Fault {
    pub fn help(self, help: &str) -> Self {
        match self {
            Self::Final(error) => Self::Final(error.help(help)),
            other => other,
        }
    }
}

/// A reply, unless it is a failure that may pass, or says that there is no more to get.
pub fn unless_passing(request: &Request, reply: Reply) -> Result<Reply, Fault> {
    let Some(wait) = worth_another(&reply) else { return Ok(reply) };
    let deferral = (reply.status == StatusCode::TOO_MANY_REQUESTS).then(|| Box::new(deferral(request, &reply)));
    match deferral {
        Some(deferral) if limit_is_spent(&reply, wait) || wait.is_some_and(|w| w > LONGEST_RETRY_AFTER) => {
            let help = "a login may have a higher limit";
            Err(Fault::Final(SourceError::deferred(*deferral).help(help)))
        }
        deferral => {
            let what = format!("{}: {}", request.shown(), reply.status);
            Err(Fault::Transient { what, wait, in_vain: true, deferral })
        }
    }
}

/// What an exchange says of its host's strength.
pub fn sign(came: &Result<Came, Fault>) -> Option<Sign> {
    match came {
        Ok(Came::Reply(reply)) => match worth_another(reply) {
            None => Some(Sign::Well),
            // Who counts is not tired.
            Some(wait) if limit_is_spent(reply, wait) => None,
            Some(wait) if matches!(reply.status.as_u16(), 429 | 503) => Some(Sign::Refusal(reply.status, wait)),
            Some(_) => Some(Sign::Fault),
        },
        Ok(Came::Redirect(_)) => Some(Sign::Well),
        Err(Fault::Transient { .. }) => Some(Sign::Fault),
        // Whom nobody reaches has nothing to bear.
        Err(Fault::Final(_) | Fault::Unreached(_)) => None,
    }
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

/// Whether a quota is used up: the server counts, or says so. Any other refusal is one of the moment, and so is one that
/// names a short wait, by which some answer to more requests a second than they allow.
fn limit_is_spent(reply: &Reply, wait: Option<Duration>) -> bool {
    let counts = |name: &str| {
        matches!(name, "docker-ratelimit-source") || name.starts_with("ratelimit-") || name.starts_with("x-ratelimit-")
    };
    let says_so = || {
        wait.is_none_or(|wait| wait > LONGEST_OF_A_RATE)
            && String::from_utf8_lossy(&reply.body).to_ascii_uppercase().contains("TOOMANYREQUESTS")
    };
    reply.status == StatusCode::TOO_MANY_REQUESTS
        && (reply.headers.keys().any(|name| counts(name.as_str())) || says_so())
}

/// A host that asked somebody else to leave it alone: where it counts, that is to be put off as if it had said it to us.
pub fn resting(request: &Request, at: &Origin, rest: Rest) -> Fault {
    let deferral = (rest.status == StatusCode::TOO_MANY_REQUESTS).then(|| {
        let until = budget::now_ms().saturating_add(budget::millis(rest.left));
        Box::new(Deferral { until: Some(until), ..spent(request, rest.status) })
    });
    let what = format!("{}: {at} asks to be left alone ({})", request.shown(), rest.status);
    Fault::Transient { what, wait: Some(rest.left), in_vain: true, deferral }
}

/// What a server that has no more to give says of it.
fn deferral(request: &Request, reply: &Reply) -> Deferral {
    let now = budget::now_ms();
    Deferral {
        until: budget::until(&reply.headers, now),
        window: Announced::of(&reply.headers, now).and_then(|announced| announced.window),
        ..spent(request, reply.status)
    }
}

fn spent(request: &Request, status: StatusCode) -> Deferral {
    let why = format!("the registry answers {status}: its limit of requests is spent");
    Deferral { source: Origin::of(&request.url).to_string(), why, until: None, window: None }
}

/// Why a request to a host failed below HTTP. All of it may pass, but for what TLS takes exception to.
pub fn below(request: &Request, at: &Origin, error: reqwest::Error) -> Fault {
    let objection = tls::objection(&error);
    let lasts = objection.is_some();
    if error.is_connect() {
        return match objection {
            Some(tls) => unreached(at, &tls.what, tls.help, lasts),
            None if error.is_timeout() => unanswered(at),
            None => unreached(at, &root_cause(&error), UNREACHED, lasts),
        };
    }
    match objection {
        Some(tls) => request.refused(format_args!("{at}: {}", tls.what)).help(tls.help),
        None if error.is_builder() => request.refused(root_cause(&error)),
        None => request.transient(root_cause(&error)),
    }
}

/// A host to which no connection came about in time.
pub fn unanswered(at: &Origin) -> Fault {
    unreached(at, "it does not answer", UNREACHED, false)
}

fn unreached(at: &Origin, what: &str, help: &str, lasts: bool) -> Fault {
    let error = SourceError::new(format!("{at} cannot be reached: {what}")).help(help);
    Fault::Unreached(Unreached { error: SourceError { is_outage: true, ..error }, lasts })
}

/// The innermost reason, which is the one that says something.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    text.unwrap_or_else(|| error.to_string())
}
