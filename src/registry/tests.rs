//! The `registry` source against servers that answer what a real registry cannot be made to.

mod faults;
mod images;
mod logins;
mod tags;

use std::collections::HashMap;
use std::sync::Arc;

use super::image::Image;
use super::testing::{self, Reply, Seen, Server, image, open, registry, reply, shared, store};
use super::{About, Answer, Effort, Platform, Source, SourceError, TagFilter, Tags, grammar};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const ONCE: Effort = Effort { retries: Some(0), timeout: None, learnt_since: None };

fn digest() -> String {
    Sha256::of(b"some manifest").to_string()
}

fn list(tags: &[&str]) -> Vec<u8> {
    serde_json::json!({"name": "a", "tags": tags}).to_string().into_bytes()
}

/// A HEAD of any tag finds it.
fn head() -> Reply {
    reply(200, "").header("docker-content-digest", digest())
}

fn is_list(seen: &Seen) -> bool {
    seen.path.contains("/tags/list")
}

async fn tags(source: &Arc<dyn Source>) -> Result<Answer<Tags>, SourceError> {
    source
        .tags(
            About { repo: "a", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY },
            &TagFilter::default(),
        )
        .await
}

fn found(answer: Result<Answer<Tags>, SourceError>) -> Tags {
    match answer {
        Ok(Answer::Found(tags)) => tags,
        other => panic!("{other:?}"),
    }
}

fn names(tags: &Tags) -> Vec<&str> {
    tags.tags.keys().map(String::as_str).collect()
}

async fn get(source: &Arc<dyn Source>, digest: Sha256, blobs: &Blobs) -> Result<Answer<Image>, SourceError> {
    source.image(About { repo: "a", blobs, effort: ONCE, heard: &testing::NOBODY }, digest, &Platform::default()).await
}

/// Serves manifests and blobs by digest.
fn content(pieces: &[&[u8]]) -> impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static {
    let by_digest: HashMap<String, Vec<u8>> =
        pieces.iter().map(|bytes| (Sha256::of(bytes).to_string(), bytes.to_vec())).collect();
    move |seen, _| match by_digest.get(seen.path.rsplit('/').next().unwrap()) {
        Some(bytes) => reply(200, bytes.clone()),
        None => reply(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
    }
}

#[test]
fn entries_that_are_wrong_are_named() {
    let wrong = |keys: &[(&str, &str)]| {
        let mut problems = crate::pipeline::problem::Problems::default();
        let entry = super::testing::entry("registry", keys);
        assert!(super::open(&entry, &shared("/".as_ref()), &mut problems).is_none());
        problems.0[0].message.clone()
    };
    let url = ("url", "https://r.example.com");
    assert_eq!(wrong(&[("url", "http://r.example.com")]), "not the address of a registry");
    assert_eq!(wrong(&[url, ("username", "me")]), "`username` without `password`");
    assert_eq!(wrong(&[url, ("password", "pw")]), "`password` without `username`");
    let twice = [("url", "https://me:pw@r.example.com"), ("username", "me"), ("password", "pw")];
    assert_eq!(wrong(&twice), "credentials are given twice");
}
