//! Clients without an engine, for crawl.py: `clients bare|keeping|oci HOST:PORT REPOSITORIES CONCURRENCY`.
//!
//! `bare` is the least that a crawl can be: the requests that layermill makes (tags/list, a HEAD a tag, a GET for each
//! distinct manifest and config), digests verified, nothing kept. `keeping` does the same and has in `kept/` afterwards
//! what a crawl is for: a file for each manifest and config, by digest, and the history of each tag's image as JSON; all
//! are put in place whole. `oci` is a loop over the crate oci-client. Each prints how many images it saw; any failure
//! ends it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use oci_client::Reference;
use oci_client::client::{Client as OciClient, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use reqwest::{Client, Method};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, host, repositories, concurrency] = &arguments[..] else {
        return Err("clients bare|keeping|oci HOST:PORT REPOSITORIES CONCURRENCY".into());
    };
    let repositories = std::fs::read_to_string(repositories)?;
    let repositories: Vec<&str> = repositories.lines().collect();
    let concurrency = concurrency.parse()?;
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "two providers")?;
    let images = match client.as_str() {
        "bare" => bare(host, &repositories, concurrency, None).await?,
        "keeping" => {
            std::fs::create_dir_all("kept")?;
            bare(host, &repositories, concurrency, Some(Kept::default())).await?
        }
        _ => oci(host, &repositories, concurrency).await?,
    };
    println!("{images}");
    Ok(())
}

#[derive(Deserialize)]
struct Tags {
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
}

#[derive(Deserialize)]
struct Config {
    history: Vec<serde_json::Value>,
}

/// What was seen so far is not asked for again.
struct Bare {
    client: Client,
    base: String,
    seen: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    kept: Option<Kept>,
}

async fn bare(host: &str, repositories: &[&str], concurrency: usize, kept: Option<Kept>) -> Result<usize> {
    // All is plain HTTP: the system's certificates need not be read.
    let client = Client::builder().tls_certs_only([]).build()?;
    let bare = &Bare { client, base: format!("http://{host}/v2"), seen: Mutex::default(), kept };
    let tags = stream::iter(repositories).map(|repo| async move {
        let body = bare.client.get(format!("{}/{repo}/tags/list?n=1000", bare.base)).send().await?.bytes().await?;
        let Tags { tags } = serde_json::from_slice(&body)?;
        Result::Ok(stream::iter(tags.into_iter().map(move |tag| Result::Ok((*repo, tag)))))
    });
    let images = tags.buffer_unordered(concurrency).try_flatten().map_ok(|(repo, tag)| bare.image(repo, tag));
    images.try_buffer_unordered(concurrency).try_fold(0, |sum, ()| async move { Ok(sum + 1) }).await
}

impl Bare {
    async fn image(&self, repo: &str, tag: String) -> Result<()> {
        let head = self.client.request(Method::HEAD, format!("{}/{repo}/manifests/{tag}", self.base));
        let head = head.header("Accept", ACCEPT).send().await?.error_for_status()?;
        let mut digest = head.headers()["docker-content-digest"].to_str()?.to_owned();
        loop {
            let Some(manifest) = self.content(repo, "manifests", &digest).await? else { return Ok(()) };
            let manifest: Manifest = serde_json::from_slice(&manifest)?;
            if let Some(config) = manifest.config {
                let config = self.content(repo, "blobs", &config.digest).await?;
                let Some((kept, config)) = self.kept.as_ref().zip(config) else { return Ok(()) };
                return kept.image(repo, &tag, &config);
            }
            let is_ours = |d: &Descriptor| d.platform.as_ref().is_some_and(|p| p.architecture == "amd64");
            digest = manifest.manifests.into_iter().find(is_ours).ok_or("no image for amd64")?.digest;
        }
    }

    /// What came; of what was seen before, what was kept of it.
    async fn content(&self, repo: &str, kind: &str, digest: &str) -> Result<Option<Vec<u8>>> {
        let seen = self.seen.lock().expect("no panics").entry(digest.to_owned()).or_default().clone();
        let mut came = None;
        let fetches = async || Result::Ok(came = Some(self.fetched(repo, kind, digest).await?));
        seen.get_or_try_init(fetches).await?;
        match (came, &self.kept) {
            (None, Some(_)) => Ok(Some(std::fs::read(Path::new("kept").join(blob(digest)))?)),
            (came, _) => Ok(came),
        }
    }

    async fn fetched(&self, repo: &str, kind: &str, digest: &str) -> Result<Vec<u8>> {
        let get = self.client.get(format!("{}/{repo}/{kind}/{digest}", self.base)).header("Accept", ACCEPT);
        let body = get.send().await?.error_for_status()?.bytes().await?;
        if digest != format!("sha256:{:x}", Sha256::digest(&body)) {
            return Err(format!("{digest} is something else").into());
        }
        if let Some(kept) = &self.kept {
            kept.file(&blob(digest), &body)?;
        }
        Ok(body.into())
    }
}

fn blob(digest: &str) -> String {
    let (start, rest) = digest["sha256:".len()..].split_at(2);
    format!("store/{start}/{rest}")
}

/// How many files were written.
#[derive(Default)]
struct Kept(AtomicU64);

impl Kept {
    fn image(&self, repo: &str, tag: &str, config: &[u8]) -> Result<()> {
        let Config { history } = serde_json::from_slice(config)?;
        self.file(&format!("layers/{repo}/{tag}.json"), &serde_json::to_vec_pretty(&history)?)
    }

    fn file(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = Path::new("kept").join(path);
        let temporary = format!("kept/{}", self.0.fetch_add(1, Ordering::Relaxed));
        std::fs::write(&temporary, bytes)?;
        // A folder that is there need not be asked for.
        if std::fs::rename(&temporary, &path).is_err() {
            std::fs::create_dir_all(path.parent().expect("below kept"))?;
            std::fs::rename(&temporary, &path)?;
        }
        Ok(())
    }
}

async fn oci(host: &str, repositories: &[&str], concurrency: usize) -> Result<usize> {
    let client = &OciClient::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let tags = stream::iter(repositories).map(|repo| async move {
        let reference = Reference::with_tag(host.to_owned(), (*repo).to_owned(), "latest".to_owned());
        let listed = client.list_tags(&reference, &RegistryAuth::Anonymous, None, None).await?;
        Result::Ok(stream::iter(listed.tags.into_iter().map(move |tag| Result::Ok((*repo, tag)))))
    });
    let images = tags.buffer_unordered(concurrency).try_flatten().map_ok(|(repo, tag)| async move {
        let reference = Reference::with_tag(host.to_owned(), (*repo).to_owned(), tag);
        client.pull_manifest_and_config(&reference, &RegistryAuth::Anonymous).await?;
        Ok(())
    });
    images.try_buffer_unordered(concurrency).try_fold(0, |sum, ()| async move { Ok(sum + 1) }).await
}
