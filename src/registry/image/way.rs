//! What [`lookup`](super::lookup) reads on its way from a digest, as far as the store has it: told without asking anyone.

use std::collections::VecDeque;

use super::lookup::{DEPTH_MAX, OPENED_MAX, best};
use super::manifest::{self, Descriptor, Entry, ImageManifest, Manifest};
use super::{Config, Image};
use crate::registry::Platform;
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use crate::store::sizes::Measure;

/// What a manifest turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    Index,
    /// An image, and for which platform where it had to be opened to see that.
    Image(Option<Platform>),
    /// No image.
    Other,
    /// The store does not have it.
    Missing,
}

/// The manifests on the way from a digest to the image of a platform.
#[derive(Debug, Default)]
pub struct Way {
    /// As they are read: the image is the last, where it comes to one.
    pub manifests: Vec<(Sha256, Met)>,
    /// The configs that are read to see what an image is, or what it is for, each behind its manifest.
    pub configs: Vec<(Sha256, Sha256)>,
    /// One of them that the store lacks.
    pub no_config: Option<String>,
    /// The layers of that image that are packed, each once.
    pub packed: Vec<Sha256>,
    /// The layers of that image whose size, unpacked, the store does not tell.
    pub unmeasured: Vec<Sha256>,
}

impl Way {
    /// The manifest that the store does not have.
    pub fn missing(&self) -> Option<Sha256> {
        self.manifests.last().filter(|(_, met)| *met == Met::Missing).map(|(digest, _)| *digest)
    }

    /// The config that is read of an image.
    pub fn config_of(&self, manifest: &Sha256) -> Option<Sha256> {
        self.configs.iter().find(|(of, _)| of == manifest).map(|(_, config)| *config)
    }

    /// Reads the config of an image; whether the store has it.
    fn open_config(&mut self, blobs: &Blobs, of: Sha256, image: &ImageManifest) -> bool {
        let config = image.config.digest.parse::<Sha256>().ok();
        self.configs.extend(config.map(|config| (of, config)));
        let has = config.is_none_or(|config| blobs.contains(&config));
        if !has {
            self.no_config = self.no_config.take().or_else(|| Some(image.config.digest.clone()));
        }
        has
    }
}

/// Goes as far as the store has it, and leaves that as it is.
pub fn way(blobs: &Blobs, digest: Sha256, platform: &Platform) -> Way {
    let mut walk = Walk { blobs, platform, way: Way::default(), opened: 0 };
    walk.go(digest, Named::Alone, 0);
    walk.way
}

/// What is read to find all platforms behind a digest, as far as the store has it.
pub fn opened(blobs: &Blobs, digest: Sha256) -> Way {
    let mut way = Way::default();
    let mut open = VecDeque::from([(digest, 0)]);
    while let Some((digest, depth)) = open.pop_front() {
        let met = match blobs.peek(&digest).map(|bytes| manifest::parse(&bytes, None)) {
            None => Met::Missing,
            Some(Ok(Manifest::Index(entries))) => {
                let inner = entries.iter().filter(|e| !e.attestation && (e.platform.is_none() || e.is_index()));
                for digest in inner.filter_map(digest_of).filter(|_| depth < DEPTH_MAX) {
                    let known =
                        open.iter().map(|(d, _)| d).chain(way.manifests.iter().map(|(d, _)| d)).any(|d| *d == digest);
                    if !known && open.len() < OPENED_MAX {
                        open.push_back((digest, depth + 1));
                    }
                }
                Met::Index
            }
            Some(Ok(Manifest::Image(image))) => {
                way.open_config(blobs, digest, &image);
                Met::Image(None)
            }
            Some(Ok(Manifest::Schema1(_))) => Met::Image(None),
            Some(Ok(Manifest::Artifact(_)) | Err(_)) => Met::Other,
        };
        way.manifests.push((digest, met));
    }
    way
}

fn digest_of(entry: &Entry) -> Option<Sha256> {
    entry.descriptor.digest.parse().ok()
}

/// How a manifest was come upon.
#[derive(Clone, Copy)]
enum Named {
    /// It is taken, whatever platform it is for.
    Alone,
    /// Its config tells whether it is the one that is wanted.
    Unclear,
}

/// What it comes to.
enum End {
    Image(Option<Platform>),
    NoImage,
    /// That takes what the store does not have.
    Open,
}

struct Walk<'a> {
    blobs: &'a Blobs,
    platform: &'a Platform,
    way: Way,
    opened: usize,
}

impl Walk<'_> {
    fn go(&mut self, digest: Sha256, named: Named, depth: usize) -> End {
        let (met, end, inner) = match self.blobs.peek(&digest).map(|bytes| manifest::parse(&bytes, None)) {
            None => (Met::Missing, End::Open, Vec::new()),
            Some(Ok(Manifest::Index(entries))) => (Met::Index, End::NoImage, entries),
            Some(Ok(Manifest::Image(image))) => {
                let end = self.image(digest, &image, named);
                let platform = if let End::Image(platform) = &end { platform.clone() } else { None };
                (Met::Image(platform), end, Vec::new())
            }
            Some(Ok(Manifest::Schema1(image))) => {
                // Its layers are gzips, all of them.
                self.layers(image.layers.iter().filter_map(|layer| layer.blob.as_ref()));
                let platform = Some(Image::of_schema1(digest, image, None, |_| 0).platform);
                (Met::Image(platform.clone()), End::Image(platform), Vec::new())
            }
            Some(Ok(Manifest::Artifact(_)) | Err(_)) => (Met::Other, End::NoImage, Vec::new()),
        };
        self.way.manifests.push((digest, met));
        if inner.is_empty() || depth == DEPTH_MAX { end } else { self.choose(&inner, depth) }
    }

    fn choose(&mut self, entries: &[Entry], depth: usize) -> End {
        let images = || entries.iter().filter(|e| !e.attestation);
        if let Some(digest) = best(images().filter(|e| !e.is_index()), self.platform).and_then(digest_of) {
            return self.go(digest, Named::Alone, depth + 1);
        }
        let wanted = |e: &Entry| e.platform.as_ref().is_none_or(|p| e.is_index() && self.platform.accepts(p));
        let unclear: Vec<Sha256> = images().filter(|e| wanted(e)).filter_map(digest_of).collect();
        for digest in unclear {
            if self.opened == OPENED_MAX || self.way.manifests.iter().any(|(known, _)| *known == digest) {
                continue;
            }
            self.opened += 1;
            match self.go(digest, Named::Unclear, depth + 1) {
                End::Image(Some(other)) if !self.platform.accepts(&other) => {}
                End::NoImage => {}
                end => return end,
            }
        }
        End::NoImage
    }

    /// The packed layers of the image that it may come to.
    fn layers<'d>(&mut self, digests: impl Iterator<Item = &'d String>) {
        (self.way.packed, self.way.unmeasured) = (Vec::new(), Vec::new());
        for digest in digests.filter_map(|digest| digest.parse().ok()) {
            if self.way.packed.contains(&digest) {
                continue;
            }
            self.way.packed.push(digest);
            if self.blobs.sizes().get(Measure::Unpacked, &digest).is_none() {
                self.way.unmeasured.push(digest);
            }
        }
    }

    fn image(&mut self, digest: Sha256, image: &ImageManifest, named: Named) -> End {
        if !self.way.open_config(self.blobs, digest, image) {
            return End::Open;
        }
        let is_packed = |layer: &&Descriptor| ["gzip", "zstd"].iter().any(|by| layer.media_type.ends_with(by));
        self.layers(image.layers.iter().filter(is_packed).map(|layer| &layer.digest));
        let read = || Config::read(&self.blobs.peek(&self.way.config_of(&digest)?)?).ok();
        End::Image(match named {
            Named::Alone => None,
            Named::Unclear => read().map(|config| Image::assemble(digest, image, config, None).platform),
        })
    }
}
