//! What a layout or an archive has: its images by name, and where their content is.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::{Archive, Place};
use crate::registry::words::{self, misread};
use crate::store::Sha256;

/// The largest list of images that is read.
const INDEX_LIMIT: u64 = 64 << 20;

/// What is expected where images lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout, in a folder or a tar, or else what `docker save` wrote.
    Layout,
    /// What `docker save` wrote: a tar with a `manifest.json`.
    Saved,
}

/// The images of a layout, by name.
pub struct Catalog {
    pub files: Files,
    /// Repository to tag to what it names.
    pub repos: BTreeMap<String, BTreeMap<String, Named>>,
    /// A tag without a repository, where the source has none to give it.
    pub bare: Option<String>,
}

/// What a name stands for.
pub enum Named {
    Digest(Sha256),
    /// It cannot be used, and why.
    Unclear(String),
}

/// Where content is read.
pub enum Files {
    Folder(PathBuf),
    Archive(Archive),
    /// What is in an archive that names nothing by its digest.
    Saved(Saved),
}

/// Manifests and configs, and where layers are.
pub struct Saved {
    content: HashMap<Sha256, Vec<u8>>,
    layers: HashMap<Sha256, Place>,
    file: File,
}

/// A file with content in it.
pub struct Located {
    pub file: File,
    pub offset: u64,
    pub size: u64,
}

impl Files {
    /// The content of a digest, not checked; `None` where it is not there, and an error where it is larger than `limit`.
    pub fn read(&self, digest: &Sha256, limit: u64) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Folder(root) => read_file(&root.join("blobs/sha256").join(digest.hex()), limit),
            Self::Archive(archive) => archive.read(&format!("blobs/sha256/{}", digest.hex()), limit),
            Self::Saved(saved) => Ok(saved.content.get(digest).cloned()),
        }
    }

    /// Where the content of a digest is, unread.
    pub fn find(&self, digest: &Sha256) -> Result<Option<Located>, String> {
        let within = |file: io::Result<File>, place: Option<&Place>| {
            place.map(|p| Ok(Located { file: file?, offset: p.offset, size: p.size })).transpose()
        };
        let found = match self {
            Self::Folder(root) => match File::open(root.join("blobs/sha256").join(digest.hex())) {
                Ok(file) => file.metadata().map(|seen| Some(Located { file, offset: 0, size: seen.len() })),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e),
            },
            Self::Archive(archive) => {
                within(archive.file(), archive.find(&format!("blobs/sha256/{}", digest.hex())).as_ref())
            }
            Self::Saved(saved) => within(saved.file.try_clone(), saved.layers.get(digest)),
        };
        found.map_err(|e| format!("{digest} in it: {e}"))
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match fs::metadata(path) {
        Ok(seen) if seen.len() > limit => {
            return Err(format!(
                "`{name}` in it has {} bytes, more than the {} that are the most",
                seen.len(),
                words::size(limit)
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
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
    /// Reads what is at `path`, a folder or a tar. `repo` is whose bare tags are. The error is in words.
    pub fn load(path: &Path, form: Form, repo: Option<&str>, limit: u64) -> Result<Self, String> {
        if path.is_dir() {
            if form == Form::Saved {
                return Err("a folder: expected an archive that `docker save` wrote".into());
            }
            let index = read_file(&path.join("index.json"), INDEX_LIMIT)?;
            let index = index.ok_or("no OCI image layout: it has no `index.json`")?;
            return Self::of_layout(Files::Folder(path.to_owned()), &index, repo);
        }
        let archive = Archive::open(path)?;
        let is_saved = archive.contains("manifest.json");
        if form == Form::Saved && !is_saved {
            return Err("no archive of `docker save`: it has no `manifest.json`".into());
        }
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
        let index: Index = serde_json::from_slice(index)
            .map_err(|e| format!("`index.json` in it cannot be read ({})", misread(&e)))?;
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
        let (mut content, mut layers) = (HashMap::new(), HashMap::new());
        let mut names = Vec::new();
        for image in archive.saved(limit)?.unwrap_or_default() {
            let digest = Sha256::of(&image.manifest);
            names.extend(image.names.into_iter().map(|name| (name, digest)));
            content.insert(digest, image.manifest);
            content.insert(Sha256::of(&image.config), image.config);
            layers.extend(image.layers);
        }
        let file = archive.file().map_err(|e| e.to_string())?;
        let files = Files::Saved(Saved { content, layers, file });
        let mut catalog = Self { files, repos: BTreeMap::new(), bare: None };
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

    /// The tags of a repository. A bare name is one of Docker Hub's library, as `docker save` writes it.
    pub fn tags(&self, repo: &str) -> Option<&BTreeMap<String, Named>> {
        self.repos.get(repo).or_else(|| match repo.strip_prefix("library/") {
            Some(short) => self.repos.get(short),
            None if !repo.contains('/') => self.repos.get(&format!("library/{repo}")),
            None => None,
        })
    }
}
