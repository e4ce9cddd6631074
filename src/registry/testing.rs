//! A server that answers as a test tells it, and images to put behind it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Heard, Shared, Source, Traffic};
use crate::pipeline::model::{Name, Node, SourceEntry, Text, Value as NodeValue};
use crate::pipeline::problem::{Problems, Span};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// A request, as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// With its query.
    pub path: String,
    pub accept: String,
    pub authorization: Option<String>,
    /// Requests of the same method and path before this one.
    pub before: usize,
}

impl Seen {
    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// How a body is sent.
#[derive(PartialEq)]
enum Way {
    Whole,
    /// Without saying how long it is.
    Streamed,
    /// The connection breaks in its middle.
    Broken,
}

/// What the server answers.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    way: Way,
    delay: Duration,
}

pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into(), way: Way::Whole, delay: Duration::ZERO }
}

impl Reply {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn broken(mut self) -> Self {
        self.way = Way::Broken;
        self
    }

    pub fn streamed(mut self) -> Self {
        self.way = Way::Streamed;
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Where it does not matter who answered.
pub static NOBODY: Heard = Heard::new();

/// A server on this machine, for as long as the test's runtime lives.
pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts one. `answer` is told the server's own address.
    pub async fn start(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let (kept, own) = (log.clone(), url.clone());
        let answer = Arc::new(answer);
        let app = Router::new().fallback(move |request: Request| {
            let seen = {
                let mut log = kept.lock().unwrap();
                let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
                let mut seen = Seen {
                    method: request.method().to_string(),
                    path: request.uri().to_string(),
                    accept: header("accept").unwrap_or_default(),
                    authorization: header("authorization"),
                    before: 0,
                };
                seen.before = log.iter().filter(|s| s.line() == seen.line()).count();
                log.push(seen.clone());
                seen
            };
            let reply = answer(&seen, &own);
            async move {
                tokio::time::sleep(reply.delay).await;
                response(reply)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, log }
    }

    pub fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// Method and path of every request.
    pub fn lines(&self) -> Vec<String> {
        self.log().iter().map(Seen::line).collect()
    }

    /// How many requests there were whose line has `part` in it.
    pub fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }
}

fn response(reply: Reply) -> Response {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    match reply.way {
        Way::Whole => return response.body(Body::from(reply.body)).unwrap(),
        Way::Streamed => {
            let pieces: Vec<_> =
                reply.body.chunks(64 << 10).map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c))).collect();
            return response.body(Body::from_stream(futures_util::stream::iter(pieces))).unwrap();
        }
        Way::Broken => {}
    }
    let half = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
    let pieces = [Ok(half), Err(std::io::Error::other("broken"))];
    // The first half must be out before the connection breaks.
    let pieces = futures_util::stream::unfold(pieces.into_iter(), |mut rest| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((rest.next()?, rest))
    });
    response.header("content-length", reply.body.len()).body(Body::from_stream(pieces)).unwrap()
}

/// A source entry of these keys.
pub fn entry(kind: &str, keys: &[(&str, &str)]) -> SourceEntry {
    let span = Span::default();
    let keys = keys
        .iter()
        .map(|(key, value)| {
            let value = NodeValue::Scalar { text: Text::plain(*value), plain: true };
            (Name { text: (*key).into(), span }, Node { value, span })
        })
        .collect();
    SourceEntry {
        name: "s".into(),
        kind: kind.into(),
        keys: Node { value: NodeValue::Map(keys), span },
        span,
        faulty: false,
        loose: false,
    }
}

/// Where nothing is, and nothing can be kept.
pub fn no_store() -> Blobs {
    Blobs::look(std::path::Path::new("/nowhere"))
}

/// What sources share, in this folder.
pub fn shared(root: &std::path::Path) -> Shared {
    Shared {
        traffic: Arc::new(Traffic::default()),
        budgets: Arc::default(),
        validators: Arc::default(),
        fetches: Arc::default(),
        root: root.into(),
        logins: super::Logins::default(),
        offline: false,
    }
}

/// A source, opened; what is wrong with it ends the test.
pub fn open(kind: &str, keys: &[(&str, &str)], shared: &Shared) -> Arc<dyn Source> {
    let mut problems = Problems::default();
    let source = super::open(&entry(kind, keys), shared, &mut problems);
    source.unwrap_or_else(|| panic!("{problems:?}"))
}

/// A registry source of this server.
pub fn registry(url: &str) -> Arc<dyn Source> {
    open("registry", &[("url", url), ("idle_timeout", "5s")], &shared(std::path::Path::new("/")))
}

/// A store in a folder of its own.
pub fn store() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&dir.path().join("store")).unwrap();
    (dir, blobs)
}

/// An image of one layer: the bytes of its manifest and of its config.
pub fn image(architecture: &str, command: &str) -> (Vec<u8>, Vec<u8>) {
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [Sha256::of(command.as_bytes()).to_string()]},
        "history": [{"created_by": command}, {"created_by": "CMD sh", "empty_layer": true}]})
    .to_string();
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 1000 + command.len(),
                    "digest": Sha256::of(format!("{command}.gz").as_bytes()).to_string()}]});
    (manifest.to_string().into_bytes(), config.into_bytes())
}

/// What points at these bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "size": bytes.len(), "digest": Sha256::of(bytes).to_string()})
}

/// An index of these manifests, each with a platform where one is given.
pub fn index(manifests: &[(&[u8], Option<&str>)]) -> Vec<u8> {
    let manifests: Vec<_> = manifests
        .iter()
        .map(|(bytes, platform)| {
            let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", bytes);
            if let Some((os, architecture)) = platform.and_then(|p| p.split_once('/')) {
                entry["platform"] = json!({"os": os, "architecture": architecture});
            }
            entry
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
        .to_string()
        .into_bytes()
}
