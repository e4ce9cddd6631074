//! Who we are, and who may be told: challenges, tokens, and requests that carry them.
//!
//! There is no ping: the first request to a host goes alone and meets its challenge, which is remembered. A token is
//! fetched once for all that wait for it, and serves until it runs out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::address::{Credentials, Origin, display, is_plain};
use super::flight::Flights;
use super::http::{Fault, Follow, Http, Reply, Request};
use super::words::misread;
use super::{Effort, SourceError};

/// How long a token lasts that does not say; and the least that any does (distribution's token specification).
const SHORTEST_LIFE: u64 = 60;
/// No token is kept longer: a clock that jumps is not believed for ever.
const LONGEST_LIFE: u64 = 24 * 3600;
/// A token that is about to run out is not used any more.
const MARGIN: Duration = Duration::from_secs(10);
const TOKEN_LIMIT: u64 = 1 << 20;
/// Rounds of challenge and answer: the first challenge, a token that ran out, one of another scope.
const ROUNDS_MAX: usize = 4;

/// The requests of one source, with its credentials.
pub struct Session {
    http: Http,
    credentials: Option<Credentials>,
    challenge: RwLock<Option<Arc<Challenge>>>,
    /// The first request goes alone, so that a host challenges once.
    gate: tokio::sync::Mutex<()>,
    met: AtomicBool,
    tokens: Mutex<HashMap<TokenKey, Arc<Token>>>,
    fetches: Flights<TokenKey, Result<Grant, SourceError>>,
}

/// What came of a request.
pub enum Outcome {
    Reply(Reply),
    /// We may not know: an anonymous request was refused, or one with a token that was granted. This is also how hubs
    /// say that there is no such thing.
    Denied(StatusCode),
}

/// How a host wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String>, scope: Option<String> },
}

/// Realm, service and scope.
type TokenKey = (String, Option<String>, String);

struct Token {
    header: HeaderValue,
    granted: Instant,
    lasts: Duration,
}

#[derive(Clone)]
enum Grant {
    Token(Arc<Token>),
    Denied(StatusCode),
}

/// What a request carries.
enum Carried {
    Nothing,
    Basic(HeaderValue),
    Token(TokenKey, Arc<Token>),
}

impl Token {
    fn is_usable(&self, now: Instant) -> bool {
        now.duration_since(self.granted) + MARGIN < self.lasts
    }
}

impl Session {
    pub fn new(http: Http, credentials: Option<Credentials>) -> Self {
        Self {
            http,
            credentials,
            challenge: RwLock::default(),
            gate: tokio::sync::Mutex::default(),
            met: AtomicBool::new(false),
            tokens: Mutex::default(),
            fetches: Flights::default(),
        }
    }

    /// Sends a request about a repository, as often as it takes and is worth it.
    pub async fn send(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, SourceError> {
        self.http.retrying(effort, || self.attempt(request, repo, effort)).await
    }

    async fn attempt(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, Fault> {
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
                    return Ok(outcome(reply));
                }
            }
        }
        self.converse(request, repo, effort).await
    }

    /// Asks with what the host is known to want, and with what it turns out to want.
    async fn converse(&self, request: &Request, repo: &str, effort: Effort) -> Result<Outcome, Fault> {
        let started = Instant::now();
        let mut scope = format!("repository:{repo}:pull");
        for _ in 0..ROUNDS_MAX {
            let carried = match self.carry(&scope, effort).await? {
                Ok(carried) => carried,
                Err(denied) => return Ok(Outcome::Denied(denied)),
            };
            let header = match &carried {
                Carried::Nothing => None,
                Carried::Basic(header) => Some(header),
                Carried::Token(_, token) => Some(&token.header),
            };
            let reply = self.http.attempt(request, header, effort).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                return Ok(outcome(reply));
            }
            let challenge = self.learn(&reply);
            match carried {
                Carried::Nothing if challenge.is_some() => {}
                Carried::Nothing => return Ok(outcome(reply)),
                Carried::Basic(_) => return Err(self.refused(&Origin::of(&request.url)).into()),
                Carried::Token(key, token) => {
                    let other_scope = match challenge.as_deref() {
                        Some(Challenge::Bearer { scope: Some(wanted), .. }) if *wanted != scope => Some(wanted.clone()),
                        _ => None,
                    };
                    // One that was granted before this request may have run out, whatever it said of itself.
                    let ran_out = token.granted < started;
                    self.forget(&key, &token);
                    match other_scope {
                        _ if ran_out => {}
                        Some(wanted) => scope = wanted,
                        None => return Ok(outcome(reply)),
                    }
                }
            }
        }
        Ok(Outcome::Denied(StatusCode::UNAUTHORIZED))
    }

    /// What to carry for a scope; the inner error where we are denied it.
    async fn carry(&self, scope: &str, effort: Effort) -> Result<Result<Carried, StatusCode>, SourceError> {
        let Some(challenge) = self.challenge() else { return Ok(Ok(Carried::Nothing)) };
        let (realm, service) = match &*challenge {
            Challenge::Bearer { realm, service, .. } => (realm, service),
            Challenge::Basic => match &self.credentials {
                Some(credentials) => return Ok(Ok(Carried::Basic(basic(credentials)?))),
                None => return Ok(Err(StatusCode::UNAUTHORIZED)),
            },
        };
        let key = (realm.to_string(), service.clone(), scope.to_owned());
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
        if is_plain(realm) && !self.http.settings().insecure {
            let what = format!("the registry wants tokens to be got at {}, which is not encrypted", display(realm));
            return Err(SourceError::new(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let mut url = realm.clone();
        url.query_pairs_mut().extend_pairs(key.1.iter().map(|s| ("service", s))).append_pair("scope", &key.2);
        let request = Request {
            method: Method::GET,
            url,
            accept: "application/json",
            limit: TOKEN_LIMIT,
            follow: Follow::SameHost,
        };
        let header = self.credentials.as_ref().map(basic).transpose()?;
        let reply = self.http.retrying(effort, || self.http.attempt(&request, header.as_ref(), effort)).await?;
        match reply.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if header.is_some() => {
                return Err(self.refused(&Origin::of(realm)));
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Ok(Grant::Denied(status)),
            status => return Err(SourceError::new(format!("{}: expected a token, but got {status}", request.shown()))),
        }
        let token = read_token(&reply.body).map_err(|e| {
            SourceError::new(format!(
                "{}: expected a token, but what came cannot be read as one ({e})",
                request.shown()
            ))
        })?;
        let token = Arc::new(token);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), token.clone());
        Ok(Grant::Token(token))
    }

    fn cached(&self, key: &TokenKey) -> Option<Arc<Token>> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(key).filter(|token| token.is_usable(Instant::now())).cloned()
    }

    /// Forgets a token, unless another has taken its place.
    fn forget(&self, key: &TokenKey, token: &Arc<Token>) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn refused(&self, by: &Origin) -> SourceError {
        SourceError::new(format!("{by} refuses the credentials that were given"))
            .help("check `username:` and `password:` of the source, or the user part of its `url:`")
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Denied(reply.status),
        _ => Outcome::Reply(reply),
    }
}

fn basic(credentials: &Credentials) -> Result<HeaderValue, SourceError> {
    let text = format!("{}:{}", credentials.username, credentials.password);
    header(&format!("Basic {}", base64(text.as_bytes()))).map_err(SourceError::new)
}

fn header(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "it has characters that no header can hold")?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all = chunk.iter().fold(0u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(all >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

fn read_token(body: &[u8]) -> Result<Token, String> {
    let reply: TokenReply = serde_json::from_slice(body).map_err(|e| misread(&e))?;
    let token = [reply.token, reply.access_token].into_iter().flatten().find(|t| !t.is_empty());
    let token = token.ok_or("it has no `token`")?;
    Ok(Token {
        header: header(&format!("Bearer {token}"))?,
        granted: Instant::now(),
        lasts: Duration::from_secs(reply.expires_in.unwrap_or(0).clamp(SHORTEST_LIFE, LONGEST_LIFE)),
    })
}

impl Challenge {
    /// The challenge that we can answer best, of all that a reply has.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let all: Vec<_> = texts.flat_map(challenges).collect();
        let bearer = all.iter().find_map(|(scheme, parameters)| {
            let parameter = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let realm = Url::parse(&parameter("realm")?).ok().filter(|r| matches!(r.scheme(), "http" | "https"))?;
            (scheme == "bearer").then(|| Self::Bearer {
                realm,
                service: parameter("service"),
                scope: parameter("scope").filter(|s| !s.is_empty()),
            })
        });
        bearer.or_else(|| all.iter().any(|(scheme, _)| scheme == "basic").then_some(Self::Basic))
    }
}

/// The challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1): schemes, each with parameters; all between commas.
fn challenges(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            match rest.chars().next() {
                // What is no word here is no challenge.
                Some(c) => rest = &rest[c.len_utf8()..],
                None => return found,
            }
            continue;
        }
        let word = word.to_ascii_lowercase();
        match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            Some(value) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word, value));
                }
                rest = after;
            }
            None => {
                found.push((word, Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token, or a quoted string with its escapes undone; and what comes after.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let realm = Url::parse(realm).unwrap();
        Some(Challenge::Bearer { realm, service: service.map(Into::into), scope: scope.map(Into::into) })
    }

    #[test]
    fn challenges_in_all_their_forms() {
        let scope = "repository:a/b:pull,push";
        let expected = bearer("https://auth.example.com/token", Some("reg"), Some(scope));
        for line in [
            r#"Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push""#,
            r#"bearer scope="repository:a/b:pull,push" , service=reg, REALM = "https://auth.example.com/token""#,
            r#"Basic realm="x, y", Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push",error="invalid_token""#,
            r#"Negotiate abc==, Bearer realm="https://auth.example.com/to\ken",service="reg",scope="repository:a/b:pull,push""#,
        ] {
            assert_eq!(challenge(&[line]), expected, "{line}");
        }
        assert_eq!(
            challenge(&["Basic realm=\"r\"", "Bearer realm=\"https://a/t\""]),
            bearer("https://a/t", None, None)
        );
        assert_eq!(challenge(&["Basic realm=\"r\""]), Some(Challenge::Basic));
        for line in
            ["", ",,,", "Bearer", "Bearer realm=", "Bearer realm=\"", "=\"", "Bearer realm=\"file:///x\"", "\"\"\"= \\"]
        {
            assert_eq!(challenge(&[line]), None, "{line}");
        }
    }

    #[test]
    fn base64_of_rfc_4648() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn tokens_and_how_long_they_last() {
        let lasts = |body: &str| read_token(body.as_bytes()).map(|t| t.lasts.as_secs());
        assert_eq!(lasts(r#"{"token": "t"}"#), Ok(60));
        assert_eq!(lasts(r#"{"access_token": "t", "expires_in": 5}"#), Ok(60));
        assert_eq!(lasts(r#"{"token": "", "access_token": "t", "expires_in": 300}"#), Ok(300));
        assert!(lasts("{}").is_err() && lasts("<html>").is_err() && lasts(r#"{"token": "a\nb"}"#).is_err());
        let token = read_token(br#"{"token": "t", "expires_in": 100}"#).unwrap();
        let after = |seconds| token.granted + Duration::from_secs(seconds);
        assert!(token.is_usable(after(89)) && !token.is_usable(after(90)) && !token.is_usable(after(1000)));
    }
}
