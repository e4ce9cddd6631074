//! A small registry of the tests' own, for what a real one cannot be made to do: pages, tokens, limits, lies.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, Version};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::images::{Manifest, digest};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    /// Without its query.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
    pub version: Version,
    /// How many requests were under way when it came, it among them.
    pub together: usize,
}

impl Seen {
    /// The URL of the server that it came to.
    pub fn server(&self) -> String {
        format!("http://{}", self.header("host"))
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// One value of the query; empty where there is none.
    pub fn param(&self, name: &str) -> &str {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(n, _)| *n == name).map(|(_, v)| v).next().unwrap_or("")
    }
}

/// Serves until it is dropped.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Answers every request as `answer` says.
    pub fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        Self::start_as(Manner::default(), answer)
    }

    /// The same, in a manner of its own.
    pub fn start_as(manner: Manner, answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let (seen, connections) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicUsize>::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let (log, accepted) = (Arc::clone(&seen), Arc::clone(&connections));
        let scheme = if manner.tls.is_some() { "https" } else { "http" };
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("bound")).expect("somebody waits");
                let under_way = Arc::new(AtomicUsize::new(0));
                let app = axum::Router::new().fallback(move |request: Request<Body>| {
                    let (log, answer, under_way) = (Arc::clone(&log), Arc::clone(&answer), Arc::clone(&under_way));
                    async move {
                        let (parts, body) = request.into_parts();
                        let together = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a small body");
                        let request = Seen {
                            method: parts.method,
                            path: parts.uri.path().to_owned(),
                            query: parts.uri.query().unwrap_or("").to_owned(),
                            headers: parts.headers,
                            body: String::from_utf8_lossy(&body).into_owned(),
                            version: parts.version,
                            together,
                        };
                        log.lock().expect("no one panicked").push(request.clone());
                        let response = answer(&request);
                        tokio::time::sleep(manner.latency).await;
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        response
                    }
                });
                let listener = Listener { listener, tls: manner.tls, accepted };
                // Not a graceful end: that would wait for bodies that are never finished.
                tokio::select! {
                    served = axum::serve(listener, app).into_future() => served.expect("served"),
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().expect("the server starts");
        Self { address, scheme, seen, connections, stop: Some(stop), thread: Some(thread) }
    }

    /// Serves what is on a shelf, and nothing else.
    pub fn of(shelf: Shelf) -> Self {
        Self::start(move |request| shelf.answer(request))
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no one panicked").clone()
    }

    /// How many requests so far were for a path that contains this.
    pub fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|s| s.path.contains(path)).count()
    }
}

/// How a server behaves, whatever it answers.
#[derive(Default)]
pub struct Manner {
    /// How long each answer takes.
    pub latency: Duration,
    /// It speaks TLS, as this says.
    pub tls: Option<TlsAcceptor>,
}

/// Counts the connections that it takes.
struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    accepted: Arc<AtomicUsize>,
}

impl axum::serve::Listener for Listener {
    type Io = Box<dyn Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let stream: Self::Io = match &self.tls {
                None => Box::new(stream),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
            };
            return (stream, address);
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server of the test panicked");
        }
    }
}

/// What a well-behaved registry answers from: repositories, tags, manifests, blobs.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Repository to its tags (as they were put, in order) and the digests that they point at.
    tags: BTreeMap<String, Vec<(String, String)>>,
    /// Digest to media type and bytes.
    manifests: HashMap<String, (String, Bytes)>,
    blobs: HashMap<String, Bytes>,
}

impl Shelf {
    /// An image, index or artifact under `REPO:TAG`.
    pub fn put(&mut self, name: &str, manifest: &Manifest) {
        for manifest in std::iter::once(manifest).chain(&manifest.children) {
            let bytes = Bytes::copy_from_slice(&manifest.blob.bytes);
            self.manifests.insert(manifest.digest().to_owned(), (manifest.media_type.to_owned(), bytes));
            for blob in &manifest.blobs {
                self.blobs.insert(blob.digest.clone(), Bytes::copy_from_slice(&blob.bytes));
            }
        }
        self.tag(name, manifest.digest());
    }

    /// Any bytes as a manifest under `REPO:TAG`. Returns their digest.
    pub fn put_bytes(&mut self, name: &str, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        self.manifests.insert(digest.clone(), (media_type.to_owned(), bytes));
        self.tag(name, &digest);
        digest
    }

    /// Any bytes as a blob.
    pub fn put_blob(&mut self, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        self.blobs.insert(digest.clone(), bytes);
        digest
    }

    /// A tag that points at a digest.
    pub fn tag(&mut self, name: &str, digest: &str) {
        let (repo, tag) = name.split_once(':').expect("REPO:TAG");
        self.tags.entry(repo.to_owned()).or_default().push((tag.to_owned(), digest.to_owned()));
    }

    /// The tags of a repository, as they were put.
    pub fn tags(&self, repo: &str) -> Vec<&str> {
        self.tags.get(repo).into_iter().flatten().map(|(tag, _)| tag.as_str()).collect()
    }

    /// The digest that a tag points at.
    pub fn digest(&self, name: &str) -> &str {
        let (repo, tag) = name.split_once(':').expect("REPO:TAG");
        &self.tags[repo].iter().rfind(|(t, _)| t == tag).expect("put before").1
    }

    pub fn answer(&self, request: &Seen) -> Response {
        self.find(request).unwrap_or_else(|| not_found("NAME_UNKNOWN"))
    }

    fn find(&self, request: &Seen) -> Option<Response> {
        let path = request.path.strip_prefix("/v2/")?;
        if let Some(repo) = path.strip_suffix("/tags/list") {
            let tags = self.tags.get(repo)?;
            return Some(tag_list(repo, tags.iter().map(|(tag, _)| tag.as_str())));
        }
        if let Some((repo, reference)) = path.split_once("/manifests/") {
            let tags = self.tags.get(repo)?;
            let named = tags.iter().rfind(|(tag, _)| tag == reference).map(|(_, digest)| digest.as_str());
            let digest = named.unwrap_or(reference);
            let (media_type, bytes) = self.manifests.get(digest)?;
            return Some(content(request, media_type, digest, bytes.clone()));
        }
        let (_, digest) = path.split_once("/blobs/")?;
        let bytes = self.blobs.get(digest)?;
        Some(content(request, "application/octet-stream", digest, bytes.clone()))
    }
}

/// Content under a digest (be it true or not), as a registry sends it; without a body where HEAD asked.
pub fn content(request: &Seen, media_type: &str, digest: &str, bytes: Bytes) -> Response {
    let response = Response::builder()
        .header("Content-Type", media_type)
        .header("Docker-Content-Digest", digest)
        .header("Content-Length", bytes.len());
    let body = if request.method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
    response.body(body).expect("plain headers")
}

/// The answer of `tags/list`.
pub fn tag_list<'a>(repo: &str, tags: impl IntoIterator<Item = &'a str>) -> Response {
    let tags: Vec<_> = tags.into_iter().collect();
    json(StatusCode::OK, &serde_json::json!({"name": repo, "tags": tags}))
}

pub fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    reply(status, &[("Content-Type", "application/json")], body.to_string())
}

/// A registry's error.
pub fn error(status: StatusCode, code: &str) -> Response {
    json(status, &serde_json::json!({"errors": [{"code": code, "message": code.to_lowercase()}]}))
}

pub fn not_found(code: &str) -> Response {
    error(StatusCode::NOT_FOUND, code)
}

/// A demand for credentials.
pub fn challenge(challenge: &str) -> Response {
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    response.headers_mut().insert("WWW-Authenticate", challenge.parse().expect("a header"));
    response
}

/// Any answer.
pub fn reply(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let start = Response::builder().status(status);
    headers.iter().fold(start, |r, (name, value)| r.header(*name, *value)).body(body.into()).expect("plain headers")
}

/// An answer that begins, and then nothing more comes.
pub fn stalls() -> Response {
    let beginning = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
    reply(
        StatusCode::OK,
        &[("Content-Type", "application/json")],
        Body::from_stream(beginning.chain(stream::pending())),
    )
}

/// An answer that begins, and then the connection is gone.
pub fn breaks_off() -> Response {
    let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    reply(StatusCode::OK, &[("Content-Type", "application/json")], Body::from_stream(cut))
}
