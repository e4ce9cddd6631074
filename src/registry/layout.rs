//! The `oci-layout` source: an OCI image layout in a folder or a tar, or what `docker save` wrote.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::archive::Archive;
use super::flight::Flights;
use super::grammar::{self, shown};
use super::image::Image;
use super::lookup::{self, Content, Fetched, Sent};
use super::{Answer, Effort, Platform, Reference, Shared, Source, SourceError, TagFilter, Tags};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// The kind `oci-layout` and its keys.
pub const KIND: Kind = Kind {
    name: "oci-layout",
    doc: "Images on this machine: an OCI image layout (a folder, or a tar of one), or an archive of `docker save`.",
    keys: &[
        Key {
            name: "path",
            shape: Shape::Text,
            required: true,
            doc: "The folder or the tar file, relative to the pipeline's folder.",
        },
        Key {
            name: "repo",
            shape: Shape::Text,
            required: false,
            doc: "The repository of images that the layout names by a bare tag.",
        },
        Key {
            name: "manifest_limit",
            shape: Shape::Int(1, 1 << 30),
            required: false,
            doc: "The largest manifest or config that is read, in bytes (default 4194304).",
        },
    ],
};

/// The largest list of images that is read.
const INDEX_LIMIT: u64 = 64 << 20;
/// The largest manifest or config, unless set.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// Reading files does not wait; this is for the steps' bookkeeping.
const CONCURRENCY: usize = 32;
/// How many names a message lists.
const NAMES_SHOWN: usize = 8;

/// An OCI image layout, or an archive.
pub struct Layout {
    identity: String,
    /// As the pipeline names it.
    name: String,
    path: PathBuf,
    repo: Option<String>,
    limit: u64,
    flights: Flights<(String, Sha256), Fetched>,
    /// What it had when it was read last, and how its file looked then.
    catalog: tokio::sync::Mutex<Option<(Stamp, Arc<Catalog>)>>,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Layout> {
    let path = entry.keys.get("path")?;
    let name = path.as_public()?;
    let before = problems.0.len();
    let trimmed = name.trim_start_matches("./").trim_end_matches('/');
    if let Err(why) = pattern::safe_path(trimmed)
        && name != "."
    {
        problems.at(path.span, "not the path of a layout", why);
    }
    let repo = entry.keys.get("repo");
    if let Some(repo) = repo
        && let Err(why) = grammar::repository(&repo.as_public().unwrap_or_default())
    {
        problems.at(repo.span, "not a repository's name", why);
    }
    let repo = repo.and_then(|r| r.as_public());
    let identity = match &repo {
        Some(repo) => format!("oci-layout {name} repo={repo}"),
        None => format!("oci-layout {name}"),
    };
    (problems.0.len() == before).then(|| Layout {
        identity,
        path: shared.root.join(&name),
        name,
        repo,
        limit: entry.keys.get("manifest_limit").and_then(|n| n.as_u64()).unwrap_or(MANIFEST_LIMIT),
        flights: Flights::default(),
        catalog: tokio::sync::Mutex::new(None),
    })
}

/// How a file looked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    mtime: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let seen = fs::metadata(path)?;
        Ok(Self { size: seen.len(), mtime: (seen.mtime(), seen.mtime_nsec()), inode: seen.ino() })
    }
}

/// The images of a layout, by name.
struct Catalog {
    files: Files,
    /// Repository to tag to what it names.
    repos: BTreeMap<String, BTreeMap<String, Named>>,
    /// A tag without a repository, where the source has none to give it.
    bare: Option<String>,
}

/// What a name stands for.
enum Named {
    Digest(Sha256),
    /// It cannot be used, and why.
    Unclear(String),
}

/// Where content is read.
enum Files {
    Folder(PathBuf),
    Archive(Archive),
    /// Manifests and configs of an archive that names them by no digest.
    Made(HashMap<Sha256, Vec<u8>>),
}

impl Files {
    fn read(&self, digest: &Sha256, limit: u64) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Folder(root) => read_file(&root.join("blobs/sha256").join(digest.hex()), limit),
            Self::Archive(archive) => archive.read(&format!("blobs/sha256/{}", digest.hex()), limit),
            Self::Made(content) => Ok(content.get(digest).cloned()),
        }
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match fs::metadata(path) {
        Ok(seen) if seen.len() > limit => {
            return Err(format!("`{name}` in it has {} bytes; {limit} are the most", seen.len()));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    fs::read(path).map(Some).map_err(|e| format!("`{name}` in it: {e}"))
}

#[derive(Deserialize)]
struct Index {
    manifests: Option<Vec<IndexEntry>>,
}

#[derive(Deserialize)]
struct IndexEntry {
    digest: String,
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

/// How an image is named in a layout.
#[derive(Debug, PartialEq, Eq)]
enum ImageName {
    Full(String, String),
    Bare(String),
}

impl IndexEntry {
    /// `org.opencontainers.image.ref.name` where it is `REPO:TAG`; containerd and Docker put the bare tag there, and
    /// the full name elsewhere.
    fn name(&self) -> Option<ImageName> {
        let annotation = |key: &str| self.annotations.as_ref()?.get(key)?.as_str();
        let name = annotation("org.opencontainers.image.ref.name");
        let full = [name, annotation("io.containerd.image.name")].into_iter().flatten().find_map(full_name);
        full.or_else(|| name.filter(|n| !n.contains(['/', '@'])).map(|tag| ImageName::Bare(tag.to_owned())))
    }
}

/// Reads `REPO:TAG`. A registry's host is part of the repository, but for Docker Hub, and for one with a port, which no
/// repository's name can hold.
fn full_name(name: &str) -> Option<ImageName> {
    let (repo, tag) = name.rsplit_once(':').filter(|(repo, tag)| !tag.contains('/') && !repo.contains('@'))?;
    let repo = match repo.split_once('/') {
        Some((host, rest)) if host.contains(':') || matches!(host, "docker.io" | "index.docker.io") => rest,
        _ => repo,
    };
    Some(ImageName::Full(repo.to_owned(), tag.to_owned()))
}

impl Catalog {
    fn load(path: &Path, repo: Option<&str>, limit: u64) -> Result<Self, String> {
        if path.is_dir() {
            let index = read_file(&path.join("index.json"), INDEX_LIMIT)?;
            let index = index.ok_or("no OCI image layout: it has no `index.json`")?;
            return Self::of_layout(Files::Folder(path.to_owned()), &index, repo);
        }
        let archive = Archive::open(path)?;
        let is_saved = archive.contains("manifest.json");
        let Some(index) = archive.read("index.json", INDEX_LIMIT)? else {
            if is_saved {
                return Self::of_saved(&archive, limit);
            }
            return Err("neither an OCI image layout nor an archive of `docker save`: it has no `index.json` and no \
                        `manifest.json`"
                .into());
        };
        let catalog = Self::of_layout(Files::Archive(archive), &index, repo)?;
        // Some builders name their images in Docker's list only.
        if let Files::Archive(archive) = &catalog.files
            && catalog.repos.is_empty()
            && catalog.bare.is_none()
            && is_saved
        {
            return Self::of_saved(archive, limit);
        }
        Ok(catalog)
    }

    fn of_layout(files: Files, index: &[u8], repo: Option<&str>) -> Result<Self, String> {
        let index: Index =
            serde_json::from_slice(index).map_err(|e| format!("`index.json` in it cannot be read ({e})"))?;
        let mut catalog = Self { files, repos: BTreeMap::new(), bare: None };
        for entry in index.manifests.unwrap_or_default() {
            let named = match entry.digest.parse() {
                Ok(digest) => Named::Digest(digest),
                Err(e) => Named::Unclear(format!("its digest is {e}")),
            };
            match (entry.name(), repo) {
                (Some(ImageName::Full(repo, tag)), _) => catalog.add(repo, tag, named),
                (Some(ImageName::Bare(tag)), Some(repo)) => catalog.add(repo.to_owned(), tag, named),
                (Some(ImageName::Bare(tag)), None) => catalog.bare = Some(tag),
                (None, _) => {}
            }
        }
        Ok(catalog)
    }

    fn of_saved(archive: &Archive, limit: u64) -> Result<Self, String> {
        let mut content = HashMap::new();
        let mut names = Vec::new();
        for image in archive.saved(limit)?.unwrap_or_default() {
            let digest = Sha256::of(&image.manifest);
            names.extend(image.names.into_iter().map(|name| (name, digest)));
            content.insert(digest, image.manifest);
            content.insert(Sha256::of(&image.config), image.config);
        }
        let mut catalog = Self { files: Files::Made(content), repos: BTreeMap::new(), bare: None };
        for (name, digest) in names {
            if let Some(ImageName::Full(repo, tag)) = full_name(&name) {
                catalog.add(repo, tag, Named::Digest(digest));
            }
        }
        Ok(catalog)
    }

    fn add(&mut self, repo: String, tag: String, named: Named) {
        let tags = self.repos.entry(repo).or_default();
        let clash = matches!((tags.get(&tag), &named), (Some(Named::Digest(a)), Named::Digest(b)) if a != b);
        let named = if clash { Named::Unclear("it is the name of two images".into()) } else { named };
        if !matches!(tags.get(&tag), Some(Named::Unclear(_))) {
            tags.insert(tag, named);
        }
    }

    /// A bare name is one of Docker Hub's library, as `docker save` writes it.
    fn tags(&self, repo: &str) -> Option<&BTreeMap<String, Named>> {
        self.repos.get(repo).or_else(|| match repo.strip_prefix("library/") {
            Some(short) => self.repos.get(short),
            None if !repo.contains('/') => self.repos.get(&format!("library/{repo}")),
            None => None,
        })
    }
}

impl Layout {
    async fn catalog(&self) -> Result<Arc<Catalog>, SourceError> {
        let watched = if self.path.is_dir() { self.path.join("index.json") } else { self.path.clone() };
        let stamp = Stamp::of(&watched).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound if self.path.is_dir() => {
                self.error("no OCI image layout: it has no `index.json`")
            }
            std::io::ErrorKind::NotFound => self.error("there is no such folder or file"),
            _ => self.error(&e.to_string()),
        })?;
        let mut kept = self.catalog.lock().await;
        if let Some((seen, catalog)) = &*kept
            && *seen == stamp
        {
            return Ok(catalog.clone());
        }
        let (path, repo, limit) = (self.path.clone(), self.repo.clone(), self.limit);
        // Layers of an archive may have to be hashed.
        let loaded = tokio::task::spawn_blocking(move || Catalog::load(&path, repo.as_deref(), limit)).await;
        let catalog = match loaded {
            Ok(Ok(catalog)) => Arc::new(catalog),
            Ok(Err(what)) => return Err(self.error(&what)),
            Err(e) => return Err(self.error(&e.to_string())),
        };
        *kept = Some((stamp, catalog.clone()));
        Ok(catalog)
    }

    fn not_there(&self, catalog: &Catalog, repo: &str) -> Result<String, SourceError> {
        if let Some(bare) = &catalog.bare {
            return Err(self
                .error(&format!("it names an image by the bare tag `{}`", shown(bare)))
                .help("say on the source which repository that is, as in `repo: library/nginx`"));
        }
        let mut names: Vec<_> = catalog.repos.keys().take(NAMES_SHOWN).map(|r| shown(r)).collect();
        if catalog.repos.len() > NAMES_SHOWN {
            names.push(format!("{} more", catalog.repos.len() - NAMES_SHOWN));
        }
        let has = if names.is_empty() { "no image with a name".into() } else { names.join(", ") };
        Ok(format!("no repository {repo} in {}: it has {has}", self.name))
    }

    async fn digest(&self, repo: &str, tag: &str) -> Result<Answer<Sha256>, SourceError> {
        let catalog = self.catalog().await?;
        let Some(tags) = catalog.tags(repo) else { return self.not_there(&catalog, repo).map(Answer::Absent) };
        Ok(match tags.get(tag) {
            Some(Named::Digest(digest)) => Answer::Found(*digest),
            Some(Named::Unclear(why)) => Answer::Absent(format!("{repo}:{tag} in {} cannot be used: {why}", self.name)),
            None => Answer::Absent(format!("no tag {tag} of {repo} in {}", self.name)),
        })
    }

    fn error(&self, what: &str) -> SourceError {
        SourceError::new(format!("{}: {what}", self.name))
    }
}

impl Source for Layout {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    fn tags<'a>(
        &'a self,
        repo: &'a str,
        filter: &'a TagFilter,
        _: Effort,
    ) -> BoxFuture<'a, Result<Answer<Tags>, SourceError>> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            let Some(tags) = catalog.tags(repo) else { return self.not_there(&catalog, repo).map(Answer::Absent) };
            let mut found = Tags::default();
            for (tag, named) in tags.iter().filter(|(tag, _)| filter.takes(tag)) {
                match named {
                    _ if !grammar::is_tag(tag) => found.left_out.push((shown(tag), grammar::NOT_A_TAG.into())),
                    Named::Unclear(why) => found.left_out.push((tag.clone(), why.clone())),
                    Named::Digest(digest) => drop(found.tags.insert(tag.clone(), *digest)),
                }
            }
            Ok(Answer::Found(found))
        })
    }

    fn resolve<'a>(
        &'a self,
        repo: &'a str,
        tag: &'a str,
        _: Effort,
    ) -> BoxFuture<'a, Result<Answer<Sha256>, SourceError>> {
        Box::pin(self.digest(repo, tag))
    }

    fn image<'a>(
        &'a self,
        repo: &'a str,
        reference: &'a Reference,
        platform: &'a Platform,
        blobs: &'a Blobs,
        _: Effort,
    ) -> BoxFuture<'a, Result<Answer<Image>, SourceError>> {
        Box::pin(async move {
            let digest = match reference {
                Reference::Digest(digest) => *digest,
                Reference::Tag(tag) => match self.digest(repo, tag).await? {
                    Answer::Found(digest) => digest,
                    Answer::Absent(why) => return Ok(Answer::Absent(why)),
                },
            };
            lookup::image(self, blobs, repo, digest, platform).await
        })
    }
}

impl Content for Layout {
    fn flights(&self) -> &Flights<(String, Sha256), Fetched> {
        &self.flights
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Sent>, SourceError>> {
        Box::pin(async move {
            Ok(match self.blob(digest, 0).await? {
                Answer::Found(bytes) => Answer::Found(Sent { bytes, content_type: None }),
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn blob<'a>(&'a self, digest: &'a Sha256, _: u64) -> BoxFuture<'a, Result<Answer<Vec<u8>>, SourceError>> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            Ok(match catalog.files.read(digest, self.limit).map_err(|what| self.error(&what))? {
                Some(bytes) => Answer::Found(bytes),
                None => Answer::Absent(format!("{} does not have {digest}", self.name)),
            })
        })
    }
}
