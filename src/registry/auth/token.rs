//! Tokens: how they are asked for, what a token server grants, and for how long (distribution's token specification, `docs/spec/auth/token.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::registry::address::Credentials;
use crate::registry::http::{Follow, Request};
use crate::registry::{SourceError, base64};

/// How much of a token server's answer is taken.
const LIMIT: u64 = 1 << 20;
/// How long a token lasts that does not say; and the least that any does.
pub const SHORTEST_LIFE: u64 = 60;
/// No token is kept longer: a clock that jumps is not believed for ever.
const LONGEST_LIFE: u64 = 24 * 3600;
/// A token that is about to run out is not used any more.
const MARGIN: Duration = Duration::from_secs(10);

/// A token and its times.
pub struct Token {
    /// As requests carry it.
    pub header: HeaderValue,
    /// By a clock that nobody sets. It stands still while a machine sleeps: then a refusal tells that the time is over.
    granted: Instant,
    lasts: Duration,
    /// Whether a registry took it: only then can it have run out.
    taken: AtomicBool,
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// Who grants it.
    pub realm: Url,
    pub service: Option<String>,
    pub scope: String,
    /// The repository, whose login may be one of its own.
    pub repo: String,
}

/// What a request carries.
pub enum Carried {
    Nothing,
    /// The login itself.
    Login(HeaderValue),
    Token(TokenKey, Arc<Token>),
}

impl Carried {
    /// Its `Authorization` header.
    pub fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Login(header) => Some(header),
            Self::Token(_, token) => Some(&token.header),
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl Token {
    /// Reads a token server's answer. The error is in words, which have nothing of the answer in them.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let granted: Granted =
            serde_json::from_slice(body).map_err(|e| format!("at line {}, column {}", e.line(), e.column()))?;
        let token = [granted.token, granted.access_token].into_iter().flatten().find(|t| !t.is_empty());
        let token = token.ok_or("it has no `token`")?;
        Ok(Self {
            header: header(&format!("Bearer {token}"))?,
            granted: Instant::now(),
            lasts: Duration::from_secs(seconds(&granted.expires_in).clamp(SHORTEST_LIFE, LONGEST_LIFE)),
            taken: AtomicBool::new(false),
        })
    }

    /// One whose time is over.
    #[cfg(test)]
    pub fn ran_out(self) -> Self {
        Self { lasts: Duration::ZERO, ..self }
    }

    /// Whether it will still be good when a request with it arrives.
    pub fn is_usable(&self, now: Instant) -> bool {
        now.duration_since(self.granted) + MARGIN < self.lasts
    }

    /// Remembers that a registry took it.
    pub fn is_taken(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    /// Whether a refusal may mean that it ran out, whatever it said of itself: a new one that was never good for
    /// anything says that we may not.
    pub fn may_have_run_out(&self, now: Instant) -> bool {
        self.taken.load(Ordering::Relaxed) || now.duration_since(self.granted) > Duration::from_secs(SHORTEST_LIFE)
    }
}

/// A number of seconds, as far as it can be read as one: what it is for is got without it, too.
fn seconds(value: &Value) -> u64 {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    // What is negative, or no number, is none; what is too large is the most.
    number.unwrap_or(0.0) as u64
}

/// The request for a token: by GET with a password or nothing, by POST with an identity token (distribution's token
/// specification, `docs/spec/auth/oauth.md`).
pub fn request(
    key: &TokenKey,
    credentials: Option<&Credentials>,
) -> Result<(Request, Option<HeaderValue>), SourceError> {
    let mut request = Request::new(Method::GET, key.realm.clone(), "application/json", LIMIT);
    let service = key.service.as_deref().map(|service| ("service", service));
    let scope = [("scope", &*key.scope)];
    let header = match credentials {
        Some(Credentials::IdentityToken(token)) => {
            let fixed = [("grant_type", "refresh_token"), ("client_id", "layermill"), ("refresh_token", token)];
            // Only a URL writes pairs as a form does.
            let mut form = key.realm.clone();
            form.set_query(None);
            form.query_pairs_mut().extend_pairs(fixed).extend_pairs(service).extend_pairs(scope);
            request.body = form.query().map(|form| ("application/x-www-form-urlencoded", form.into()));
            request.method = Method::POST;
            request.follow = Follow::Nowhere;
            None
        }
        other => {
            request.url.query_pairs_mut().extend_pairs(service).extend_pairs(scope);
            match other {
                Some(Credentials::Password { username, password }) => Some(basic(username, password)?),
                _ => None,
            }
        }
    };
    Ok((request, header))
}

/// What a request carries that logs in by a password.
pub fn basic(username: &str, password: &str) -> Result<HeaderValue, SourceError> {
    let text = base64::encode(format!("{username}:{password}").as_bytes());
    header(&format!("Basic {text}")).map_err(SourceError::new)
}

/// What a request carries that shows a token.
pub fn bearer(token: &str) -> Result<HeaderValue, SourceError> {
    header(&format!("Bearer {token}")).map_err(SourceError::new)
}

/// The value of an `Authorization` header, which is never printed.
fn header(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "it has characters that no header can hold")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_how_long_they_last() {
        let lasts = |body: &str| Token::read(body.as_bytes()).map(|t| t.lasts.as_secs());
        assert_eq!(lasts(r#"{"token": "t"}"#), Ok(60));
        assert_eq!(lasts(r#"{"access_token": "t", "expires_in": 5}"#), Ok(60));
        assert_eq!(lasts(r#"{"token": "", "access_token": "t", "expires_in": 300}"#), Ok(300));
        for (expires_in, seconds) in [
            ("-5", 60),
            ("300.5", 300),
            ("\"300\"", 300),
            ("\"soon\"", 60),
            ("null", 60),
            ("[]", 60),
            ("99999999999999999999999", LONGEST_LIFE),
        ] {
            let body = format!(r#"{{"token": "t", "expires_in": {expires_in}}}"#);
            assert_eq!(lasts(&body), Ok(seconds), "{expires_in}");
        }
        assert!(lasts("{}").is_err() && lasts("<html>").is_err() && lasts(r#"{"token": "a\nb"}"#).is_err());
        let Ok(token) = Token::read(br#"{"token": "t", "expires_in": 100}"#) else { panic!("a token") };
        let after = |seconds| token.granted + Duration::from_secs(seconds);
        assert!(token.is_usable(after(89)) && !token.is_usable(after(90)) && !token.is_usable(after(1000)));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        for body in [r#""hidden""#, r#"{"token": ["hidden"]}"#, "hidden", r#"{"token": "hidden\n"}"#] {
            let error = Token::read(body.as_bytes()).err().expect("refused");
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
