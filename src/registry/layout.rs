//! The sources `oci-layout` and `docker-archive`: an OCI image layout in a folder or a tar, and what `docker save` wrote.

mod archive;
mod catalog;
mod content;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::grammar;
use super::image::Image;
use super::image::fetches::Fetches;
use super::image::lookup;
use super::image::measure::{self, Measures};
use super::words::shown;
use super::{
    About, Answer, Answering, Effort, Lister, Platform, Platforms, Repositories, Shared, Source, SourceError,
    TagFilter, Tags,
};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::paths;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::store::Sha256;
use catalog::{Catalog, Form, Located, Named};

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
        REPO,
        LIMIT,
    ],
};

/// The kind `docker-archive` and its keys.
pub const ARCHIVE: Kind = Kind {
    name: "docker-archive",
    doc: "Images on this machine: an archive that `docker save` wrote.",
    keys: &[
        Key {
            name: "path",
            shape: Shape::Text,
            required: true,
            doc: "The tar file, relative to the pipeline's folder.",
        },
        REPO,
        LIMIT,
    ],
};

const REPO: Key = Key {
    name: "repo",
    shape: Shape::Text,
    required: false,
    doc: "The repository of images that are named by a bare tag.",
};
const LIMIT: Key = Key {
    name: "manifest_limit",
    shape: Shape::Int(1, 1 << 30),
    required: false,
    doc: "The largest manifest or config that is read, in bytes (default 4194304).",
};

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
    form: Form,
    repo: Option<String>,
    limit: u64,
    /// Its own: who reads files waits for nobody else.
    fetches: Fetches,
    measures: Measures,
    /// What it had when it was read last, and how its file looked then.
    catalog: tokio::sync::Mutex<Option<(Stamp, Arc<Catalog>)>>,
}

/// Makes the source of an entry.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Layout> {
    let path = entry.keys.get("path")?;
    let name = path.as_public()?;
    let before = problems.0.len();
    let trimmed = name.trim_start_matches("./").trim_end_matches('/');
    if let Err(why) = paths::safe_path(trimmed)
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
    let kind = &entry.kind;
    let identity = match &repo {
        Some(repo) => format!("{kind} {name} repo={repo}"),
        None => format!("{kind} {name}"),
    };
    (problems.0.len() == before).then(|| Layout {
        identity,
        path: shared.root.join(&name),
        name,
        form: if *kind == ARCHIVE.name { Form::Saved } else { Form::Layout },
        repo,
        limit: entry.keys.get("manifest_limit").and_then(|n| n.as_u64()).unwrap_or(MANIFEST_LIMIT),
        fetches: Fetches::default(),
        measures: Measures::default(),
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

impl Layout {
    async fn catalog(&self) -> Result<Arc<Catalog>, SourceError> {
        let watched = if self.path.is_dir() && self.form == Form::Layout {
            self.path.join("index.json")
        } else {
            self.path.clone()
        };
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
        let (path, form, repo, limit) = (self.path.clone(), self.form, self.repo.clone(), self.limit);
        // Layers of an archive may have to be hashed.
        let loaded = tokio::task::spawn_blocking(move || Catalog::load(&path, form, repo.as_deref(), limit)).await;
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

    async fn locate(&self, digest: &Sha256) -> Result<Answer<Located>, SourceError> {
        let catalog = self.catalog().await?;
        Ok(match catalog.files.find(digest).map_err(|what| self.error(&what))? {
            Some(place) => Answer::Found(place),
            None => Answer::Absent(format!("{} does not have {digest}", self.name)),
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

    fn is_local(&self) -> bool {
        true
    }

    fn lister(&self) -> Option<&dyn Lister> {
        Some(self)
    }

    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags> {
        Box::pin(async move {
            let (repo, catalog) = (about.repo, self.catalog().await?);
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

    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
        Box::pin(async move {
            let (repo, catalog) = (about.repo, self.catalog().await?);
            let Some(tags) = catalog.tags(repo) else { return self.not_there(&catalog, repo).map(Answer::Absent) };
            Ok(match tags.get(tag) {
                Some(Named::Digest(digest)) => Answer::Found(*digest),
                Some(Named::Unclear(why)) => {
                    Answer::Absent(format!("{repo}:{tag} in {} cannot be used: {why}", self.name))
                }
                None => Answer::Absent(format!("no tag {tag} of {repo} in {}", self.name)),
            })
        })
    }

    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, platform: &'a Platform) -> Answering<'a, Image> {
        Box::pin(lookup::image(self, about, digest, platform))
    }

    fn platforms<'a>(&'a self, about: About<'a>, digest: Sha256) -> Answering<'a, Platforms> {
        Box::pin(lookup::platforms(self, about, digest))
    }

    fn unpack<'a>(&'a self, about: About<'a>, image: &'a mut Image) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(measure::unpack(self, about.blobs, image))
    }
}

impl Lister for Layout {
    fn namespace<'a>(&'a self, namespace: &'a str, _: Effort) -> Answering<'a, Repositories> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            let below = format!("{namespace}/");
            let mut found = Repositories::default();
            let names = catalog.repos.keys().filter(|name| name.starts_with(&below));
            names.for_each(|name| found.add(name.clone()));
            if found.is_empty() {
                return Ok(Answer::Absent(format!("no repositories in {namespace} in {}", self.name)));
            }
            Ok(Answer::Found(found))
        })
    }
}
