//! Docker Hub's API, as far as lists of tags go, before a registry that has what it lists.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::fault::{self, Seen, Server};

/// What the API knows: repository to its tags, each with a digest where it is told.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    repos: BTreeMap<String, Vec<(String, Option<String>)>>,
    /// How many tags anonymous clients may page through; all of them where it is not set.
    pub wall: Option<usize>,
}

impl Hub {
    pub fn put(&mut self, repo: &str, tag: &str, digest: Option<&str>) {
        self.repos.entry(repo.to_owned()).or_default().push((tag.to_owned(), digest.map(Into::into)));
    }

    pub fn serve(self) -> Server {
        Server::start(move |request| self.answer(request))
    }

    pub fn answer(&self, request: &Seen) -> Response {
        let tags = request.path.strip_prefix("/v2/namespaces/").and_then(|path| {
            let (namespace, name) = path.strip_suffix("/tags")?.split_once("/repositories/")?;
            self.repos.get(&format!("{namespace}/{name}"))
        });
        let Some(tags) = tags else {
            return fault::json(StatusCode::NOT_FOUND, &json!({"message": "object not found", "errinfo": {}}));
        };
        let size: usize = request.param("page_size").parse().unwrap_or(10).min(100);
        let page: usize = request.param("page").parse().unwrap_or(1);
        let start = (page - 1) * size;
        if self.wall.is_some_and(|wall| start >= wall) {
            let what = "pagination offset too large for anonymous requests; sign in to page further";
            return fault::json(StatusCode::FORBIDDEN, &json!({"message": what}));
        }
        let at = |page: usize| format!("{}{}?page={page}&page_size={size}", request.server(), request.path);
        let results: Vec<_> = tags.iter().skip(start).take(size).map(entry).collect();
        fault::json(
            StatusCode::OK,
            &json!({"count": tags.len(), "next": (start + size < tags.len()).then(|| at(page + 1)),
                    "previous": (page > 1).then(|| at(page - 1)), "results": results}),
        )
    }
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
