//! What is asked for, and what comes.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::Fault;
use crate::registry::SourceError;
use crate::registry::address::display;
use crate::registry::auth::mask::Mask;
use crate::registry::image::counter::Counter;
use crate::registry::image::manifest;

/// Where redirects may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// To the same host, or to its encrypted side.
    SameHost,
    /// Anywhere, without credentials: what is only read is checked by its digest, or believed as the server's own word.
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
    /// What is still of this ETag is not sent.
    pub unless: Option<HeaderValue>,
}

/// What came.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// For whatever of it is shown.
    pub mask: Mask,
}

/// What comes of one exchange, before it is followed.
pub enum Came {
    Reply(Reply),
    Redirect(Url),
}

impl Request {
    /// One without a body, of which the whole answer is taken.
    pub fn new(method: Method, url: Url, accept: &'static str, limit: u64) -> Self {
        Self { method, url, accept, limit, follow: Follow::SameHost, body: None, take: Take::Whole, unless: None }
    }

    /// Whether hubs charge for it: it fetches what is asked for by the types of manifests.
    pub fn is_pull(&self) -> bool {
        self.method == Method::GET && self.accept == manifest::ACCEPT
    }

    /// The request in a message.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, display(&self.url))
    }

    pub fn transient(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Transient { what: format!("{}: {what}", self.shown()), wait: None, in_vain: false, deferral: None }
    }

    pub fn refused(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Final(SourceError::new(format!("{}: {what}", self.shown())))
    }
}

impl Reply {
    pub fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, headers: HeaderMap::new(), body, mask: Mask::default() }
    }

    /// A header, where it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
