//! The sources `oci-layout` and `docker-archive`: an OCI image layout in a folder or a tar, and what `docker save` wrote.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::catalog::{Catalog, Form, Located, Named};
use super::counter::Counter;
use super::fetches::{Fetches, Place};
use super::grammar;
use super::image::Image;
use super::lookup::{self, Content, Genuine, Sent};
use super::measure::{self, Measures, Piece, Pieces};
use super::words::shown;
use super::{
    Answer, Effort, Lister, Platform, Platforms, Reference, Repositories, Shared, Source, SourceError, TagFilter, Tags,
};
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

    async fn digest(&self, repo: &str, tag: &str) -> Result<Answer<Sha256>, SourceError> {
        let catalog = self.catalog().await?;
        let Some(tags) = catalog.tags(repo) else { return self.not_there(&catalog, repo).map(Answer::Absent) };
        Ok(match tags.get(tag) {
            Some(Named::Digest(digest)) => Answer::Found(*digest),
            Some(Named::Unclear(why)) => Answer::Absent(format!("{repo}:{tag} in {} cannot be used: {why}", self.name)),
            None => Answer::Absent(format!("no tag {tag} of {repo} in {}", self.name)),
        })
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

    fn lister(&self) -> Option<&dyn Lister> {
        Some(self)
    }

    fn tags<'a>(
        &'a self,
        repo: &'a str,
        filter: &'a TagFilter,
        _: &'a Blobs,
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
        _: &'a Blobs,
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

    fn platforms<'a>(
        &'a self,
        repo: &'a str,
        digest: Sha256,
        blobs: &'a Blobs,
        _: Effort,
    ) -> BoxFuture<'a, Result<Answer<Platforms>, SourceError>> {
        Box::pin(lookup::platforms(self, blobs, repo, digest))
    }

    fn unpack<'a>(
        &'a self,
        _: &'a str,
        image: &'a mut Image,
        blobs: &'a Blobs,
        _: Effort,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { measure::unpack(self, blobs, image).await })
    }
}

impl Lister for Layout {
    fn namespace<'a>(
        &'a self,
        namespace: &'a str,
        _: Effort,
    ) -> BoxFuture<'a, Result<Answer<Repositories>, SourceError>> {
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

impl Content for Layout {
    fn fetches(&self) -> &Fetches {
        &self.fetches
    }

    fn place(&self) -> Place {
        Place { address: self.identity.as_str().into(), repo: String::new() }
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        self.blob(digest, 0)
    }

    fn blob<'a>(&'a self, digest: &'a Sha256, _: u64) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            Ok(match catalog.files.read(digest, self.limit).map_err(|what| self.error(&what))? {
                Some(bytes) => {
                    let checked = Sent { bytes, content_type: None }.checked(digest);
                    Answer::Found(checked.map_err(|e| self.error(&format!("{digest}: {e}")))?)
                }
                None => Answer::Absent(format!("{} does not have {digest}", self.name)),
            })
        })
    }
}

impl Pieces for Layout {
    fn measures(&self) -> &Measures {
        &self.measures
    }

    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>> {
        Box::pin(async move {
            Ok(match self.locate(digest).await? {
                Answer::Found(place) => Answer::Found(place.size),
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn piece<'a>(&'a self, digest: &'a Sha256, start: u64, length: u64) -> Piece<'a> {
        Box::pin(async move {
            let place = match self.locate(digest).await? {
                Answer::Found(place) => place,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            if start + length > place.size {
                return Ok(Answer::Found(None));
            }
            let mut bytes = vec![0; length as usize];
            let read = place.file.read_exact_at(&mut bytes, place.offset + start);
            read.map(|()| Answer::Found(Some(bytes))).map_err(|e| self.error(&format!("{digest} in it: {e}")))
        })
    }

    fn count<'a>(
        &'a self,
        digest: &'a Sha256,
        _: u64,
        counter: &'a Arc<Counter>,
    ) -> BoxFuture<'a, Result<Answer<()>, SourceError>> {
        Box::pin(async move {
            let place = match self.locate(digest).await? {
                Answer::Found(place) => place,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            let counter = counter.clone();
            let done = tokio::task::spawn_blocking(move || count(&place, &counter)).await;
            let failed = match done {
                Ok(Ok(())) => return Ok(Answer::Found(())),
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            Err(self.error(&format!("{digest} in it: {failed}")))
        })
    }
}

fn count(place: &Located, counter: &Counter) -> std::io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    let (mut at, end) = (place.offset, place.offset + place.size);
    while at < end {
        let piece = &mut buffer[..(end - at).min(128 << 10) as usize];
        place.file.read_exact_at(piece, at)?;
        counter.take(piece);
        at += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{entry, image, index, open, shared, store};
    use serde_json::{Value, json};

    const REF: &str = "org.opencontainers.image.ref.name";
    const CONTAINERD: &str = "io.containerd.image.name";

    /// The files of a layout: its images, each under these annotations.
    fn layout(images: &[(&[u8], Value)], blobs: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let manifests: Vec<_> = images
            .iter()
            .map(|(bytes, annotations)| {
                json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": bytes.len(),
                       "digest": Sha256::of(bytes).to_string(), "annotations": annotations})
            })
            .collect();
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.into_bytes()),
        ];
        let blobs = images.iter().map(|(bytes, _)| *bytes).chain(blobs.iter().copied());
        files.extend(blobs.map(|b| (format!("blobs/sha256/{}", Sha256::of(b).hex()), b.to_vec())));
        files
    }

    fn write_folder(root: &Path, files: &[(String, Vec<u8>)]) {
        for (name, bytes) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    fn write_tar(path: &Path, files: &[(String, Vec<u8>)], links: &[(&str, &str)]) {
        let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        for (name, to) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, to).unwrap();
        }
        tar.finish().unwrap();
    }

    fn source(root: &Path, keys: &[(&str, &str)]) -> Arc<dyn Source> {
        open("oci-layout", keys, &shared(root))
    }

    async fn tags(source: &Arc<dyn Source>, repo: &str) -> Result<Answer<Tags>, SourceError> {
        source.tags(repo, &TagFilter::default(), &crate::registry::testing::no_store(), Effort::default()).await
    }

    async fn names(source: &Arc<dyn Source>, repo: &str) -> Vec<String> {
        match tags(source, repo).await {
            Ok(Answer::Found(tags)) => tags.tags.into_keys().collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn get(source: &Arc<dyn Source>, repo: &str, tag: &str, blobs: &Blobs) -> Result<Answer<Image>, SourceError> {
        let reference = Reference::Tag(tag.into());
        source.image(repo, &reference, &Platform::default(), blobs, Effort::default()).await
    }

    #[tokio::test]
    async fn folder_and_tar_give_the_same_answers() {
        let (manifest, config) = image("amd64", "ADD x");
        let (arm, arm_config) = image("arm64", "ADD x");
        let multi = index(&[(&arm, Some("linux/arm64")), (&manifest, Some("linux/amd64"))]);
        let files = layout(
            &[
                (&manifest, json!({REF: "library/x:1.0"})),
                (&multi, json!({REF: "latest", CONTAINERD: "docker.io/library/x:latest"})),
                (&arm, json!({REF: "ghcr.io/o/y:2"})),
                (&arm, json!({})),
            ],
            &[&manifest, &config, &arm_config],
        );
        let dir = tempfile::tempdir().unwrap();
        write_folder(&dir.path().join("folder"), &files);
        write_tar(&dir.path().join("file.tar"), &files, &[]);
        for path in ["folder", "file.tar", "./folder/"] {
            let source = source(dir.path(), &[("path", path)]);
            assert_eq!(source.identity(), format!("oci-layout {path}"));
            assert_eq!(names(&source, "library/x").await, ["1.0", "latest"]);
            assert_eq!(names(&source, "x").await, ["1.0", "latest"]);
            assert_eq!(names(&source, "ghcr.io/o/y").await, ["2"]);
            let (_store, blobs) = store();
            for tag in ["1.0", "latest"] {
                let Ok(Answer::Found(image)) = get(&source, "library/x", tag, &blobs).await else { panic!("{tag}") };
                assert_eq!((image.digest, image.size), (Sha256::of(&manifest), 1005));
            }
            assert!(blobs.contains(&Sha256::of(&config)));
            let absent = get(&source, "library/x", "2.0", &blobs).await.unwrap();
            assert!(matches!(absent, Answer::Absent(why) if why == format!("no tag 2.0 of library/x in {path}")));
            let absent = tags(&source, "library/z").await.unwrap();
            assert!(matches!(absent, Answer::Absent(why) if why.contains("it has ghcr.io/o/y, library/x")));
        }
    }

    #[tokio::test]
    async fn bare_tags_belong_to_the_repository_of_the_source() {
        let (manifest, _) = image("amd64", "ADD x");
        let dir = tempfile::tempdir().unwrap();
        write_folder(dir.path(), &layout(&[(&manifest, json!({REF: "1.0"}))], &[]));
        let with = source(dir.path(), &[("path", "."), ("repo", "library/x")]);
        assert_eq!(names(&with, "library/x").await, ["1.0"]);
        assert_eq!(with.identity(), "oci-layout . repo=library/x");
        let error = tags(&source(dir.path(), &[("path", ".")]), "library/x").await.unwrap_err();
        assert!(error.message.contains("bare tag `1.0`") && error.help.unwrap().contains("repo:"));
    }

    #[tokio::test]
    async fn names_that_cannot_be_used_are_left_out() {
        let ((a, _), (b, _)) = (image("amd64", "a"), image("amd64", "b"));
        let dir = tempfile::tempdir().unwrap();
        let images = [
            (&a[..], json!({REF: "x:twice"})),
            (&b[..], json!({REF: "x:twice"})),
            (&a[..], json!({REF: "x:same"})),
            (&a[..], json!({REF: "x:same"})),
            (&a[..], json!({REF: "x:-no"})),
        ];
        write_folder(dir.path(), &layout(&images, &[]));
        let Ok(Answer::Found(tags)) = tags(&source(dir.path(), &[("path", ".")]), "x").await else { panic!() };
        assert_eq!(tags.tags.into_keys().collect::<Vec<_>>(), ["same"]);
        assert_eq!(tags.left_out.len(), 2);
    }

    #[tokio::test]
    async fn a_layout_that_changes_is_read_again() {
        let ((a, _), (b, _)) = (image("amd64", "a"), image("amd64", "bb"));
        let dir = tempfile::tempdir().unwrap();
        write_folder(dir.path(), &layout(&[(&a, json!({REF: "x:1"}))], &[]));
        let source = source(dir.path(), &[("path", ".")]);
        assert_eq!(names(&source, "x").await, ["1"]);
        write_folder(dir.path(), &layout(&[(&a, json!({REF: "x:1"})), (&b, json!({REF: "x:2"}))], &[]));
        assert_eq!(names(&source, "x").await, ["1", "2"]);
    }

    #[tokio::test]
    async fn damage_and_absence_are_told_apart() {
        let (manifest, config) = image("amd64", "ADD x");
        let dir = tempfile::tempdir().unwrap();
        let broken = |bytes: &[u8]| {
            write_folder(dir.path(), &layout(&[(&manifest, json!({REF: "x:1"}))], &[&config]));
            fs::write(dir.path().join("blobs/sha256").join(Sha256::of(&config).hex()), bytes).unwrap();
            source(dir.path(), &[("path", ".")])
        };
        let (_store, blobs) = store();
        let error = get(&broken(b"not it"), "x", "1", &blobs).await.unwrap_err();
        assert!(error.message.contains("expected content of this digest"), "{error}");
        let huge = vec![b' '; 5 << 20];
        let error = get(&broken(&huge), "x", "1", &blobs).await.unwrap_err();
        assert!(error.message.contains("4194304 bytes (4 MiB)"), "{error}");
        for (path, expected) in [("nothing", "no such folder or file"), ("blobs", "it has no `index.json`")] {
            let error = tags(&source(dir.path(), &[("path", path)]), "x").await.unwrap_err();
            assert!(error.message.contains(expected), "{error}");
        }
        fs::write(dir.path().join("index.json"), "not json").unwrap();
        let error = tags(&source(dir.path(), &[("path", ".")]), "x").await.unwrap_err();
        assert!(error.message.contains("`index.json` in it cannot be read"), "{error}");
    }

    /// What `docker save` wrote before it wrote layouts: layers by path, one of them a link to another.
    fn saved(layers: &[(&str, &[u8])], names: &[&str]) -> Vec<(String, Vec<u8>)> {
        let diff_ids: Vec<_> = layers.iter().map(|(_, bytes)| Sha256::of(bytes).to_string()).collect();
        let history: Vec<_> = layers.iter().map(|(name, _)| json!({"created_by": name})).collect();
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history})
        .to_string();
        let paths: Vec<_> = layers.iter().map(|(name, _)| *name).collect();
        let list = json!([{"Config": "config.json", "RepoTags": names, "Layers": paths}]).to_string();
        let mut files = vec![("manifest.json".into(), list.into_bytes()), ("config.json".into(), config.into_bytes())];
        files.extend(layers.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())));
        files
    }

    #[tokio::test]
    async fn archives_of_docker_save_get_a_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let layer = vec![7; 10_000];
        let mut files = saved(
            &[("a/layer.tar", &layer), ("b/layer.tar", b""), ("c/layer.tar.gz", b"\x1f\x8bpacked")],
            &["busybox:1.0", "localhost:5000/o/busybox:2"],
        );
        files.retain(|(name, _)| name != "b/layer.tar");
        write_tar(&dir.path().join("x.tar"), &files, &[("b/layer.tar", "../a/layer.tar")]);
        let source = source(dir.path(), &[("path", "x.tar")]);
        assert_eq!(names(&source, "library/busybox").await, ["1.0"]);
        assert_eq!(names(&source, "o/busybox").await, ["2"]);
        let (_store, blobs) = store();
        let Ok(Answer::Found(image)) = get(&source, "library/busybox", "1.0", &blobs).await else { panic!() };
        let made: Value = serde_json::from_slice(&blobs.get(&image.digest).unwrap().unwrap()).unwrap();
        assert_eq!(made["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
        assert_eq!(made["layers"][0]["digest"], Sha256::of(&layer).to_string());
        assert_eq!(made["layers"][1]["size"], 10_000);
        assert_eq!(made["layers"][2]["digest"], Sha256::of(b"\x1f\x8bpacked").to_string());
        assert_eq!(made["layers"][2]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
        assert_eq!(image.size, 20_008);
    }

    #[tokio::test]
    async fn a_docker_archive_is_what_docker_save_wrote_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        write_tar(&dir.path().join("saved.tar"), &saved(&[("a/layer.tar", b"a")], &["o/busybox:1.0"]), &[]);
        write_tar(&dir.path().join("layout.tar"), &layout(&[], &[]), &[]);
        let archive = |path| open("docker-archive", &[("path", path)], &shared(dir.path()));
        assert_eq!(names(&archive("saved.tar"), "o/busybox").await, ["1.0"]);
        for (path, expected) in [
            ("layout.tar", "layout.tar: no archive of `docker save`: it has no `manifest.json`"),
            (".", ".: a folder: expected an archive that `docker save` wrote"),
        ] {
            let error = tags(&archive(path), "o/busybox").await.unwrap_err();
            assert_eq!(error.message, expected);
        }
    }

    #[tokio::test]
    async fn archives_that_are_none_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let (manifest, _) = image("amd64", "ADD x");
        let missing = saved(&[("a/layer.tar", b"x")], &["x:1"]);
        write_tar(&dir.path().join("missing.tar"), &missing[..2], &[("a/layer.tar", "layer.tar")]);
        write_tar(&dir.path().join("other.tar"), &[("x".into(), manifest)], &[]);
        fs::write(dir.path().join("x.tar.gz"), b"\x1f\x8b\x08").unwrap();
        fs::write(dir.path().join("noise.tar"), vec![b'x'; 2000]).unwrap();
        fs::write(dir.path().join("empty.tar"), b"").unwrap();
        for (path, expected) in [
            ("missing.tar", "it names `a/layer.tar`, and does not have it"),
            ("other.tar", "neither an OCI image layout nor an archive"),
            ("x.tar.gz", "`gzip -d`"),
            ("noise.tar", "cannot be read as a tar"),
            ("empty.tar", "neither an OCI image layout nor an archive"),
        ] {
            let error = tags(&source(dir.path(), &[("path", path)]), "x").await.unwrap_err();
            assert!(error.message.contains(expected), "{path}: {error}");
        }
    }

    #[test]
    fn entries_that_are_wrong_are_named() {
        let wrong = |keys: &[(&str, &str)]| {
            let mut problems = Problems::default();
            let opened = super::super::open(&entry("oci-layout", keys), &shared(Path::new("/p")), &mut problems);
            assert!(opened.is_none());
            problems.0[0].message.clone()
        };
        for path in ["../x", "/etc", "a/../../x", ""] {
            assert_eq!(wrong(&[("path", path)]), "not the path of a layout", "{path}");
        }
        assert_eq!(wrong(&[("path", "x"), ("repo", "Not/One")]), "not a repository's name");
    }
}
