//! A real registry behind a server that may answer first, and sees all that is asked for.

use std::sync::Mutex;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::fault::{self, Seen, Server};
use super::http;
use super::registry::Registry;

/// What `first` does not answer, the registry does.
pub fn behind(registry: Registry, first: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> Server {
    with_headers(registry, first, |_| Vec::new())
}

/// The same, with headers that are added to what the registry answers.
pub fn with_headers(
    registry: Registry,
    first: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static,
    headers: impl Fn(&Seen) -> Vec<(&'static str, String)> + Send + Sync + 'static,
) -> Server {
    let registry = Mutex::new(registry);
    Server::start(move |seen| {
        first(seen).unwrap_or_else(|| {
            let address = registry.lock().expect("no one panicked").address();
            let query = if seen.query.is_empty() { String::new() } else { format!("?{}", seen.query) };
            let accept = [("Accept", seen.header("accept"))];
            let path = format!("{}{query}", seen.path);
            let came = http::request(address, seen.method.as_str(), &path, &accept, b"");
            let added = headers(seen);
            let kept = ["Content-Type", "Docker-Content-Digest"].into_iter();
            let kept = kept.filter_map(|name| Some((name, came.header(name)?)));
            let all: Vec<_> = kept.chain(added.iter().map(|(name, value)| (*name, value.as_str()))).collect();
            fault::reply(StatusCode::from_u16(came.status).expect("a status"), &all, came.body.clone())
        })
    })
}

/// A registry that gives a token for each repository to whoever asks for one, and wants it.
pub fn with_tokens(registry: Registry) -> Server {
    behind(registry, |seen| {
        if seen.path == "/token" {
            return Some(fault::json(StatusCode::OK, &json!({"token": seen.param("scope"), "expires_in": 300})));
        }
        let repo = seen.path.strip_prefix("/v2/").and_then(|path| {
            let ends = ["/tags/", "/manifests/", "/blobs/"];
            ends.iter().find_map(|end| path.split_once(end)).map(|(repo, _)| repo)
        });
        let scope = format!("repository:{}:pull", repo.unwrap_or_default());
        let escaped = scope.replace(':', "%3A").replace('/', "%2F");
        let granted = seen.header("authorization").strip_prefix("Bearer ");
        let is_open = granted.is_some_and(|token| token == scope || token == escaped);
        let server = seen.server();
        let challenge = format!("Bearer realm=\"{server}/token\",service=\"bed\",scope=\"{scope}\"");
        (!is_open).then(|| fault::challenge(&challenge))
    })
}
