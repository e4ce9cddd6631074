//! Requests that were refused, and what is said of them.

use reqwest::{StatusCode, Url};

use super::Outcome;
use crate::registry::SourceError;
use crate::registry::address::display;
use crate::registry::endpoint::said;
use crate::registry::http::{Fault, Reply, Request};
use crate::registry::words::shown;

/// Why there is no token, or no login.
#[derive(Clone)]
pub enum Refused {
    /// There is none for us.
    Denied(StatusCode),
    Failed(SourceError),
}

impl Refused {
    /// What comes of a request that would have carried it.
    pub fn outcome(self) -> Result<Outcome, Fault> {
        match self {
            Self::Denied(status) => Ok(Outcome::NoToken(status)),
            Self::Failed(error) => Err(error.into()),
        }
    }
}

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// A refusal that is not in the form of a registry's.
pub fn refused_by_others(request: &Request, reply: &Reply) -> SourceError {
    let kind = said::media_type(reply).map_or_else(|| "of no type".into(), |t| format!("`{}`", shown(&t)));
    let what = format!("{}, but no error of a registry; what came is {kind}{}", reply.status, said::words(reply));
    let error = SourceError::new(format!("{}: {what}", request.shown()))
        .help("it may be a firewall or proxy on the way: see what this address shows there, or ask who runs it");
    SourceError { is_refusal: true, ..error }
}

/// A 401 that does not say how to log in.
pub fn unchallenged(request: &Request, reply: &Reply, has_login: bool) -> SourceError {
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

/// A token server that would be told over a wire that anybody can read.
pub fn plain_realm(realm: &Url) -> SourceError {
    let what = format!("the registry wants tokens to be got at {}, which is not encrypted", display(realm));
    SourceError::new(what).help("say `insecure: true` on the source where its network is trusted")
}

/// An answer of a token server that has none.
pub fn no_token(request: &Request, what: &str) -> SourceError {
    SourceError::new(format!("{}: expected a token, but {what}", request.shown()))
}
