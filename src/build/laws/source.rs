//! A registry in memory that does as it is told, and answers in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::registry::image::manifest::{self, Manifest};
use crate::registry::image::{Config, Image};
use crate::registry::{self, About, Answer, Answering, Platform, Source, SourceError, TagFilter, Tags};
use crate::store::Sha256;

pub const REPOS: [&str; 3] = ["a", "b", "c/d"];
pub const TAGS: [&str; 4] = ["1.0", "1.10", "latest", "x"];
/// How many images there are; the last is none of the platform asked for, and one is an index of the one before.
pub const IMAGES: u8 = 5;
const INDEX: u8 = 2;

/// A registry in memory.
#[derive(Default)]
pub struct Fake {
    pub repos: Mutex<BTreeMap<usize, BTreeMap<usize, u8>>>,
    /// Repositories about which no question is answered.
    pub failing: Mutex<BTreeSet<usize>>,
    /// Repositories of which no image is to be had, whatever another one has brought.
    pub without_images: Mutex<BTreeSet<usize>>,
    /// The repositories whose tags were asked for.
    pub asked: Mutex<Vec<String>>,
}

fn number(names: &[&str], name: &str) -> usize {
    names.iter().position(|n| *n == name).expect("a name of these tests")
}

fn manifest_of(image: u8) -> (Vec<u8>, Vec<u8>) {
    let image = if image == INDEX { INDEX - 1 } else { image };
    registry::testing::image("amd64", &format!("RUN {}", "x".repeat(usize::from(image))))
}

/// What a tag of an image points at.
fn pointed_at(image: u8) -> Vec<u8> {
    let (manifest, _) = manifest_of(image);
    if image == INDEX { registry::testing::index(&[(&manifest, Some("linux/amd64"))]) } else { manifest }
}

impl Fake {
    /// The tags of a repository, after some time that differs from question to question.
    async fn tags_of(&self, repo: &str) -> Result<Option<BTreeMap<usize, u8>>, SourceError> {
        for _ in 0..fastrand::u8(0..20) {
            tokio::task::yield_now().await;
        }
        let repo = number(&REPOS, repo);
        if self.failing.lock().unwrap().contains(&repo) {
            return Err(SourceError::new("down"));
        }
        Ok(self.repos.lock().unwrap().get(&repo).cloned())
    }
}

impl Source for Fake {
    fn identity(&self) -> &str {
        "fake"
    }

    fn concurrency(&self) -> usize {
        4
    }

    fn tags<'a>(&'a self, about: About<'a>, filter: &'a TagFilter) -> Answering<'a, Tags> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(about.repo.to_owned());
            let Some(tags) = self.tags_of(about.repo).await? else { return Ok(Answer::Absent("no repository".into())) };
            let tags = tags.into_iter().filter(|(tag, _)| filter.takes(TAGS[*tag]));
            let tags = tags.map(|(tag, image)| (TAGS[tag].to_owned(), Sha256::of(&pointed_at(image)))).collect();
            Ok(Answer::Found(Tags { tags, ..Tags::default() }))
        })
    }

    fn resolve<'a>(&'a self, about: About<'a>, tag: &'a str) -> Answering<'a, Sha256> {
        Box::pin(async move {
            let image = self.tags_of(about.repo).await?.and_then(|tags| tags.get(&number(&TAGS, tag)).copied());
            let none = || Answer::Absent("no tag".into());
            Ok(image.map_or_else(none, |image| Answer::Found(Sha256::of(&pointed_at(image)))))
        })
    }

    fn image<'a>(&'a self, about: About<'a>, digest: Sha256, _: &'a Platform) -> Answering<'a, Image> {
        Box::pin(async move {
            if self.without_images.lock().unwrap().contains(&number(&REPOS, about.repo)) {
                return Err(SourceError::new("no image is to be had"));
            }
            let mut images = (0..IMAGES).map(|image| (image, pointed_at(image)));
            let (image, pointed_at) = images.find(|(_, bytes)| Sha256::of(bytes) == digest).unwrap();
            let (body, config) = manifest_of(image);
            if !about.blobs.contains(&digest) {
                let there = self.tags_of(about.repo).await?.is_some_and(|tags| tags.values().any(|i| *i == image));
                if !there {
                    return Ok(Answer::Absent("no manifest".into()));
                }
                for bytes in [&pointed_at, &body, &config] {
                    let digest = Sha256::of(bytes);
                    if !about.blobs.contains(&digest) {
                        about.blobs.put_missing(&digest, bytes).unwrap();
                    }
                }
            }
            if image == IMAGES - 1 {
                return Ok(Answer::Absent("another platform".into()));
            }
            let Ok(Manifest::Image(manifest)) = manifest::parse(&body, None) else { panic!("no image") };
            Ok(Answer::Found(Image::assemble(Sha256::of(&body), &manifest, Config::read(&config).unwrap(), None)))
        })
    }
}
