//! From a digest to an image, the same way for every source: through indexes to the manifest of a platform, and to its
//! config. What is in the store is not asked for; what is got is checked before it is kept.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::fetches::{Fetches, Place};
use super::genuine::Genuine;
use super::manifest::{self, Entry, ImageManifest, Manifest};
use super::measure::{self, Pieces};
use super::schema1::Schema1;
use super::{Config, Image};
use crate::registry::words::shown;
use crate::registry::{About, Answer, Platform, Platforms, SourceError};
use crate::store::Sha256;

/// Indexes of indexes are rare, and none is known that is deeper than two.
pub(crate) const DEPTH_MAX: usize = 8;
/// How many entries of indexes are opened to see what they are, where they do not say it.
pub(crate) const OPENED_MAX: usize = 64;
/// No image is for more platforms.
const PLATFORMS_MAX: usize = 1000;
/// How many of an index's platforms a message names.
const PLATFORMS_SHOWN: usize = 12;

/// Where manifests and configs are got that the store does not have.
pub trait Content: Pieces {
    /// What all sources are getting.
    fn fetches(&self) -> &Fetches;

    /// Where it is got.
    fn place(&self) -> Place;

    /// A manifest.
    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>>;

    /// A blob.
    fn blob<'a>(&'a self, digest: &'a Sha256, size: u64) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>>;
}

/// Finds the image behind a digest.
pub async fn image(
    content: &dyn Content,
    about: About<'_>,
    digest: Sha256,
    platform: &Platform,
) -> Result<Answer<Image>, SourceError> {
    let lookup = Lookup { content, about };
    let mut search = Search { lookup, platform, seen: HashSet::new(), opened: 0 };
    search.find(digest, None, None, 0).await
}

/// The platforms that there are images for behind a digest, those of indexes in indexes included.
pub async fn platforms(
    content: &dyn Content,
    about: About<'_>,
    digest: Sha256,
) -> Result<Answer<Platforms>, SourceError> {
    let lookup = Lookup { content, about };
    let mut found = Platforms::default();
    let mut seen = HashSet::from([digest]);
    let mut open = VecDeque::from([(digest, None, 0)]);
    while let Some((digest, size, depth)) = open.pop_front() {
        let manifest = match lookup.manifest(digest, size).await? {
            Answer::Found(manifest) => manifest,
            Answer::Absent(why) if depth == 0 => return Ok(Answer::Absent(why)),
            // An index may name what a registry has not: other images of it are there.
            Answer::Absent(_) => continue,
        };
        let entries = match manifest {
            Manifest::Artifact(what) if depth == 0 => return Ok(Answer::Absent(what)),
            Manifest::Artifact(_) => continue,
            Manifest::Image(manifest) => {
                found.add(&lookup.assemble(digest, &manifest, None).await?.platform);
                continue;
            }
            Manifest::Schema1(manifest) => {
                found.add(&Image::of_schema1(digest, manifest, None, |_| 0).platform);
                continue;
            }
            Manifest::Index(_) if depth == DEPTH_MAX => return Err(lookup.too_deep(digest)),
            Manifest::Index(entries) => entries,
        };
        for entry in entries.iter().filter(|e| !e.attestation) {
            match &entry.platform {
                Some(platform) if !entry.is_index() => found.add(platform),
                _ => {
                    let named = lookup.digest_of(digest, entry)?;
                    if seen.insert(named) {
                        open.push_back((named, Some(entry.descriptor.size), depth + 1));
                    }
                }
            }
        }
        if seen.len() > OPENED_MAX {
            return Err(lookup.too_many(digest));
        }
        if found.len() > PLATFORMS_MAX {
            return Err(lookup.error(digest, &format!("images for more than {PLATFORMS_MAX} platforms")));
        }
    }
    if found.is_empty() {
        return Ok(Answer::Absent("an index without images".into()));
    }
    Ok(Answer::Found(found))
}

/// The entry of a platform: the one that says just that, or else the first that will do.
pub(crate) fn best<'e>(entries: impl Iterator<Item = &'e Entry> + Clone, platform: &Platform) -> Option<&'e Entry> {
    let exact = entries.clone().find(|e| e.platform.as_ref() == Some(platform));
    exact.or_else(|| entries.clone().find(|e| e.platform.as_ref().is_some_and(|p| platform.accepts(p))))
}

/// Manifests and configs of a repository.
struct Lookup<'a> {
    content: &'a dyn Content,
    about: About<'a>,
}

/// On the way to the image of a platform.
struct Search<'a> {
    lookup: Lookup<'a>,
    platform: &'a Platform,
    /// Indexes name each other in circles if somebody wants them to.
    seen: HashSet<Sha256>,
    opened: usize,
}

impl Search<'_> {
    /// The image behind `digest`; `size` and `described` are what an index said of it.
    fn find<'s>(
        &'s mut self,
        digest: Sha256,
        size: Option<u64>,
        described: Option<Platform>,
        depth: usize,
    ) -> BoxFuture<'s, Result<Answer<Image>, SourceError>> {
        Box::pin(async move {
            self.seen.insert(digest);
            let manifest = match self.lookup.manifest(digest, size).await? {
                Answer::Found(manifest) => manifest,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            match manifest {
                Manifest::Artifact(what) => Ok(Answer::Absent(what)),
                Manifest::Image(manifest) => {
                    self.lookup.assemble(digest, &manifest, described).await.map(Answer::Found)
                }
                Manifest::Schema1(manifest) => {
                    self.lookup.assemble_v1(digest, manifest, described).await.map(Answer::Found)
                }
                Manifest::Index(_) if depth == DEPTH_MAX => Err(self.lookup.too_deep(digest)),
                Manifest::Index(entries) => self.choose(digest, entries, depth).await,
            }
        })
    }

    /// The first entry of the platform; where none says that it is, the first that turns out to be.
    async fn choose(&mut self, index: Sha256, entries: Vec<Entry>, depth: usize) -> Result<Answer<Image>, SourceError> {
        let platform = self.platform;
        let wanted = |e: &&Entry| e.platform.as_ref().is_some_and(|p| platform.accepts(p));
        let images = || entries.iter().filter(|e| !e.attestation);
        if let Some(entry) = best(images().filter(|e| !e.is_index()), platform) {
            let digest = self.lookup.digest_of(index, entry)?;
            return self.find(digest, Some(entry.descriptor.size), entry.platform.clone(), depth + 1).await;
        }
        let unclear: Vec<&Entry> = images().filter(|&e| e.platform.is_none() || (e.is_index() && wanted(&e))).collect();
        for entry in unclear {
            let digest = self.lookup.digest_of(index, entry)?;
            if self.seen.contains(&digest) {
                continue;
            }
            self.opened += 1;
            if self.opened > OPENED_MAX {
                return Err(self.lookup.too_many(index));
            }
            if let Answer::Found(image) = self.find(digest, Some(entry.descriptor.size), None, depth + 1).await?
                && self.platform.accepts(&image.platform)
            {
                return Ok(Answer::Found(image));
            }
        }
        Ok(Answer::Absent(self.not_there(images())))
    }

    fn not_there<'e>(&self, images: impl Iterator<Item = &'e Entry>) -> String {
        let has: BTreeSet<String> = images.filter_map(|e| e.platform.as_ref()).map(|p| p.to_string()).collect();
        let mut names: Vec<_> = has.iter().take(PLATFORMS_SHOWN).map(|p| shown(p)).collect();
        if has.len() > PLATFORMS_SHOWN {
            names.push(format!("{} more", has.len() - PLATFORMS_SHOWN));
        }
        let has = if names.is_empty() { "no platform that it names".into() } else { names.join(", ") };
        format!("no image for {}: the index has {has}", self.platform)
    }
}

impl Lookup<'_> {
    async fn manifest(&self, digest: Sha256, size: Option<u64>) -> Result<Answer<Manifest>, SourceError> {
        self.read(digest, size, || self.content.manifest(&digest), manifest::parse).await
    }

    /// Content from the store, or else from where it is got and kept if it can be read: what is no manifest, or no
    /// config, is nothing to keep.
    async fn read<'g, T>(
        &self,
        digest: Sha256,
        size: Option<u64>,
        get: impl FnOnce() -> BoxFuture<'g, Result<Answer<Genuine>, SourceError>>,
        read: impl Fn(&[u8], Option<&str>) -> Result<T, String>,
    ) -> Result<Answer<T>, SourceError> {
        // Whoever gets it has read it by then.
        let mut ours = None;
        let work = async {
            if let Some(bytes) = self.stored(&digest)? {
                return Ok(Answer::Found(Arc::new(Genuine { bytes, content_type: None })));
            }
            self.about.heard.asked();
            let came = match get().await? {
                Answer::Found(came) => came,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            let result = read(&came.bytes, came.content_type.as_deref());
            if result.is_ok() {
                self.keep(&digest, &came.bytes)?;
            }
            ours = Some(result);
            Ok(Answer::Found(Arc::new(came)))
        };
        let came = match self.content.fetches().run(digest, self.content.place(), work).await? {
            Answer::Found(came) => came,
            Answer::Absent(why) => {
                // Another step may have asked for this one.
                self.about.heard.asked();
                return Ok(Answer::Absent(why));
            }
        };
        self.check_size(digest, size, came.bytes.len())?;
        let result = ours.unwrap_or_else(|| read(&came.bytes, came.content_type.as_deref()));
        result.map(Answer::Found).map_err(|e| self.error(digest, &e))
    }

    async fn assemble(
        &self,
        digest: Sha256,
        manifest: &ImageManifest,
        described: Option<Platform>,
    ) -> Result<Image, SourceError> {
        let named = &manifest.config;
        let config = named.digest.parse::<Sha256>().map_err(|e| self.error(digest, &format!("its config has {e}")))?;
        let get = || self.content.blob(&config, named.size);
        match self.read(config, Some(named.size), get, |bytes, _| Config::read(bytes)).await? {
            Answer::Found(config) => Ok(Image::assemble(digest, manifest, config, described.as_ref())),
            Answer::Absent(why) => Err(self.error(digest, &format!("its config {config} is not there ({why})"))),
        }
    }

    async fn assemble_v1(
        &self,
        digest: Sha256,
        manifest: Schema1,
        described: Option<Platform>,
    ) -> Result<Image, SourceError> {
        let mut sizes = HashMap::new();
        for blob in manifest.layers.iter().filter_map(|l| l.blob.as_ref()) {
            if sizes.contains_key(blob) {
                continue;
            }
            let named = blob.parse::<Sha256>().map_err(|e| self.error(digest, &format!("a layer has {e}")))?;
            match measure::packed(self.content, self.about.blobs, named).await? {
                Answer::Found(size) => drop(sizes.insert(blob.clone(), size)),
                Answer::Absent(why) => {
                    return Err(self.error(digest, &format!("its layer {named} is not there ({why})")));
                }
            }
        }
        if sizes.values().any(|size| *size > manifest::SIZE_MAX / manifest.layers.len() as u64) {
            return Err(self.error(digest, "layers whose sizes add up to more than any image has"));
        }
        Ok(Image::of_schema1(digest, manifest, described.as_ref(), |blob| sizes.get(blob).copied().unwrap_or(0)))
    }

    fn stored(&self, digest: &Sha256) -> Result<Option<Vec<u8>>, SourceError> {
        self.about.blobs.get(digest).map_err(|e| SourceError::new(format!("cannot read {digest} from the store: {e}")))
    }

    fn keep(&self, digest: &Sha256, bytes: &[u8]) -> Result<(), SourceError> {
        self.about
            .blobs
            .put_missing(digest, bytes)
            .map_err(|e| SourceError::new(format!("cannot write to the store: {e}")))
    }

    fn check_size(&self, digest: Sha256, expected: Option<u64>, came: usize) -> Result<(), SourceError> {
        match expected {
            Some(expected) if expected != came as u64 => {
                Err(self.error(digest, &format!("expected {expected} bytes, as it is described, but it has {came}")))
            }
            _ => Ok(()),
        }
    }

    fn digest_of(&self, index: Sha256, entry: &Entry) -> Result<Sha256, SourceError> {
        let digest = &entry.descriptor.digest;
        digest
            .parse()
            .map_err(|e| self.error(index, &format!("an entry of the index has `{}`, which is {e}", shown(digest))))
    }

    fn too_deep(&self, digest: Sha256) -> SourceError {
        self.error(digest, &format!("an index {DEPTH_MAX} indexes deep"))
    }

    fn too_many(&self, digest: Sha256) -> SourceError {
        self.error(digest, "an index of too many entries that do not say their platform")
    }

    fn error(&self, digest: Sha256, what: &str) -> SourceError {
        SourceError::new(format!("{}@{digest}: {what}", self.about.repo))
    }
}
