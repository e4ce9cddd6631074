//! Docker Hub's API, as far as lists and its search go, before a registry that has what it lists.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::fault::{self, Seen, Server};

/// What the API knows: repository to its tags, each with a digest where it is told.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    repos: BTreeMap<String, Vec<(String, Option<String>)>>,
    /// How many tags, or repositories, anonymous clients may page through; all of them where it is not set.
    pub wall: Option<usize>,
    /// Who may log in, and by which password.
    pub account: Option<(&'static str, &'static str)>,
}

/// What a login is given.
const TOKEN: &str = "eyJ0b2tlbiI6MX0.hub";

impl Hub {
    pub fn put(&mut self, repo: &str, tag: &str, digest: Option<&str>) {
        self.repos.entry(repo.to_owned()).or_default().push((tag.to_owned(), digest.map(Into::into)));
    }

    pub fn serve(self) -> Server {
        Server::start(move |request| self.answer(request))
    }

    pub fn answer(&self, request: &Seen) -> Response {
        let below = |namespace: &str, name: &str| name.strip_prefix(&format!("{namespace}/")).map(str::to_owned);
        match request.path.as_str() {
            "/v2/auth/token" => return self.login(request),
            "/v2/search/repositories/" => {
                let hits = self.repos.keys().filter(|name| name.contains(request.param("query")));
                // As the Hub does: official ones by their bare names.
                let hit = |name: &String| {
                    json!({"repo_name": name.strip_prefix("library/").unwrap_or(name),
                                                 "short_description": "", "star_count": 7, "is_official": false})
                };
                return self.page(request, &hits.map(hit).collect::<Vec<_>>());
            }
            _ => {}
        }
        let path = request.path.strip_prefix("/v2/namespaces/").unwrap_or_default();
        if let Some(namespace) = path.strip_suffix("/repositories") {
            let names = self.repos.keys().filter_map(|name| below(namespace, name));
            let listed = |name| {
                json!({"name": name, "namespace": namespace, "repository_type": "image", "status": 1,
                                       "is_private": false, "star_count": 0, "pull_count": 1})
            };
            let listed: Vec<_> = names.map(listed).collect();
            return if listed.is_empty() { not_found() } else { self.page(request, &listed) };
        }
        let tags = path.strip_suffix("/tags").and_then(|path| {
            let (namespace, name) = path.split_once("/repositories/")?;
            self.repos.get(&format!("{namespace}/{name}"))
        });
        tags.map_or_else(not_found, |tags| self.page(request, &tags.iter().map(entry).collect::<Vec<_>>()))
    }

    fn page(&self, request: &Seen, all: &[Value]) -> Response {
        let size: usize = request.param("page_size").parse().unwrap_or(10).min(100);
        let page: usize = request.param("page").parse().unwrap_or(1);
        let start = (page - 1) * size;
        let authorization = request.header("authorization");
        if !authorization.is_empty() && authorization != format!("Bearer {TOKEN}") {
            return fault::json(StatusCode::UNAUTHORIZED, &json!({"message": "unauthorized"}));
        }
        if authorization.is_empty() && self.wall.is_some_and(|wall| start >= wall) {
            let what = "pagination offset too large for anonymous requests; sign in to page further";
            return fault::json(StatusCode::FORBIDDEN, &json!({"message": what}));
        }
        let others: String = ["ordering", "query"]
            .iter()
            .filter(|key| !request.param(key).is_empty())
            .map(|key| format!("&{key}={}", request.param(key)))
            .collect();
        let at = |page: usize| format!("{}{}?page={page}&page_size={size}{others}", request.server(), request.path);
        let results: Vec<_> = all.iter().skip(start).take(size).collect();
        fault::json(
            StatusCode::OK,
            &json!({"count": all.len(), "next": (start + size < all.len()).then(|| at(page + 1)),
                    "previous": (page > 1).then(|| at(page - 1)), "results": results}),
        )
    }

    fn login(&self, request: &Seen) -> Response {
        let sent: Value = serde_json::from_str(&request.body).unwrap_or_default();
        match self.account {
            Some((name, password)) if sent == json!({"identifier": name, "secret": password}) => {
                fault::json(StatusCode::OK, &json!({"access_token": TOKEN}))
            }
            _ => fault::json(StatusCode::UNAUTHORIZED, &json!({"message": format!("no such login: {sent}")})),
        }
    }
}

fn not_found() -> Response {
    fault::json(StatusCode::NOT_FOUND, &json!({"message": "object not found", "errinfo": {}}))
}

/// A tag with all that the Hub says of one.
fn entry((tag, digest): &(String, Option<String>)) -> Value {
    let image = json!({"architecture": "amd64", "features": "", "variant": null, "os": "linux", "os_version": null,
                       "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
                       "size": 1113000, "status": "active", "last_pushed": "2024-05-18T23:00:00Z"});
    let mut entry = json!({"creator": 7, "id": 42, "images": [image], "last_updated": "2024-05-18T23:00:00Z",
        "last_updater": 7, "last_updater_username": "doijanky", "name": tag, "repository": 21171,
        "full_size": 1113000, "v2": true, "tag_status": "active", "media_type": "application/vnd.oci.image.index.v1+json",
        "content_type": "image"});
    if let Some(digest) = digest {
        entry["digest"] = json!(digest);
    }
    entry
}
