//! A real registry (Debian's `docker-registry`), one for each test that wants one, with its access log.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::http::{self, Response};
use super::images::{Blob, Manifest};
use super::until;

/// Runs until it is dropped.
pub struct Registry {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    /// Where its content is.
    data: PathBuf,
    /// The blobs that it has, as (repository, digest).
    pushed: RefCell<HashSet<(String, String)>>,
}

/// A moment in the access log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

/// A line of the access log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub status: u16,
}

impl Registry {
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        Self::serve(folder, data, "", "")
    }

    /// Another one with the same content, which asks who is there: more entries of `http`, more lines.
    pub fn guarded(&self, http: &str, more: &str) -> Self {
        Self::serve(TempDir::new().expect("a temporary folder"), self.data.clone(), http, more)
    }

    fn serve(folder: TempDir, data: PathBuf, http: &str, more: &str) -> Self {
        // Port 0 lets the system choose, so that tests beside this one cannot take the same; the log tells which it was.
        let config = format!(
            "version: 0.1\n\
             log: {{level: info}}\n\
             storage:\n  \
               filesystem: {{rootdirectory: \"{}\"}}\n  \
               delete: {{enabled: true}}\n  \
               maintenance: {{uploadpurging: {{enabled: false}}}}\n\
             http: {{addr: \"127.0.0.1:0\", secret: bed, relativeurls: true{http}}}\n\
             compatibility: {{schema1: {{enabled: true}}}}\n\
             {more}",
            data.display()
        );
        let file = |name: &str| folder.path().join(name);
        fs::write(file("config.yml"), config).expect("written");
        let (child, address) = run(folder.path());
        Self { child, address, folder, data, pushed: RefCell::default() }
    }

    /// Ends it, in the middle of whatever it does.
    pub fn stop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ran");
    }

    /// Starts it again where it was, after [`Registry::stop`].
    pub fn resume(&mut self) {
        let config = self.folder.path().join("config.yml");
        let text = fs::read_to_string(&config).expect("its configuration");
        fs::write(config, text.replace("127.0.0.1:0", &self.address.to_string())).expect("written");
        (self.child, _) = run(self.folder.path());
    }

    /// As sources name it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an image (or an index with its images, or an artifact) under a name, `REPO:TAG`, moving the tag where it
    /// pointed elsewhere.
    pub fn push(&self, name: &str, manifest: &Manifest) {
        let (repo, tag) = name.rsplit_once(':').expect("REPO:TAG");
        for child in &manifest.children {
            self.put_manifest(repo, child.digest(), child);
        }
        self.put_manifest(repo, tag, manifest);
    }

    fn put_manifest(&self, repo: &str, reference: &str, manifest: &Manifest) {
        for blob in &manifest.blobs {
            self.put_blob(repo, blob);
        }
        let path = format!("/v2/{repo}/manifests/{reference}");
        self.ask("PUT", &path, &[("Content-Type", manifest.media_type)], &manifest.blob.bytes).expect(201);
    }

    fn put_blob(&self, repo: &str, blob: &Blob) {
        if !self.pushed.borrow_mut().insert((repo.to_owned(), blob.digest.clone())) {
            return;
        }
        let upload = self.ask("POST", &format!("/v2/{repo}/blobs/uploads/"), &[], b"").expect(202);
        let place = upload.header("Location").expect("where to put it");
        let octets = [("Content-Type", "application/octet-stream")];
        self.ask("PUT", &format!("{place}&digest={}", blob.digest), &octets, &blob.bytes).expect(201);
    }

    /// Removes a manifest, and with it all tags that point at it.
    pub fn delete(&self, repo: &str, manifest: &Manifest) {
        self.ask("DELETE", &format!("/v2/{repo}/manifests/{}", manifest.digest()), &[], b"").expect(202);
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request(self.address, method, path, headers, body)
    }

    /// This moment, for [`Registry::requests_since`].
    pub fn mark(&self) -> Mark {
        Mark(self.log().len())
    }

    /// The requests whose answers were sent since. An answer's last bytes leave the registry after its line is in the
    /// log, so what a client saw answered is here.
    pub fn requests_since(&self, mark: Mark) -> Vec<Request> {
        let log = self.log();
        log[mark.0..].lines().map(|line| Request::parse(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }

    /// All whole lines: one that it is writing is not there yet.
    fn log(&self) -> String {
        let mut log = fs::read_to_string(self.folder.path().join("access.log")).expect("the access log");
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }
}

/// Starts one with the configuration in a folder, where its logs go, too; and where it listens.
fn run(folder: &Path) -> (Child, SocketAddr) {
    let file = |name: &str| folder.join(name);
    let access = File::options().create(true).append(true).open(file("access.log"));
    let mut child = Command::new("docker-registry")
        .arg("serve")
        .arg(file("config.yml"))
        .stdin(Stdio::null())
        .stdout(access.expect("opened"))
        .stderr(File::create(file("error.log")).expect("created"))
        .spawn()
        .unwrap_or_else(|e| {
            panic!(
                "cannot start docker-registry: {e}\n\
                 These tests talk to a real registry. On Debian or Ubuntu: apt-get install docker-registry \
                 (tests/run does that)"
            )
        });
    let address = until("docker-registry says where it listens", || {
        let log = fs::read_to_string(file("error.log")).unwrap_or_default();
        if let Ok(Some(status)) = child.try_wait() {
            panic!("docker-registry ended with {status}:\n{log}");
        }
        let (_, rest) = log.split_once("listening on ")?;
        rest.split(['"', ',']).next()?.parse().ok()
    });
    (child, address)
}

impl Request {
    /// From a combined log line: `… "GET /v2/ HTTP/1.1" 200 2 "" "agent"`.
    fn parse(line: &str) -> Option<Self> {
        let mut quoted = line.split('"');
        let mut request = quoted.nth(1)?.split(' ');
        let status = quoted.next()?.trim().split(' ').next()?.parse().ok()?;
        Some(Self { method: request.next()?.to_owned(), path: request.next()?.to_owned(), status })
    }

    /// Whether it fetches (rather than looks at) a manifest or blob.
    pub fn fetches(&self) -> bool {
        self.method == "GET" && (self.path.contains("/manifests/") || self.path.contains("/blobs/"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have died already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
