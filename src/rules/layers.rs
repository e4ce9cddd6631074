//! The rule `layers`: the layers of one image, as imagelayers' `POST /registry/analyze` answered.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::tagged::{self, Looked, Tagged};
use super::{Asked, Common, Content, Failure, Job, Made, Pull, Rule, SOURCE, StepView, Unrecorded, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::image::Image;
use crate::registry::layer_file::{self, Ids};
use crate::registry::{self, Answer, Met, Platform, Source};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

/// The rule and its keys.
pub const KIND: Kind = Kind {
    name: "layers",
    doc: "The layers of an image: ids, parents, commands and sizes, as a JSON list of one.",
    keys: &[
        Key { name: "source", shape: Shape::Source, required: true, doc: "Where to ask." },
        Key { name: "repo", shape: Shape::Text, required: false, doc: "The repository (default `{repo}`)." },
        Key { name: "tag", shape: Shape::Text, required: false, doc: "The tag (default `{tag}`)." },
        Key {
            name: "platform",
            shape: Shape::Text,
            required: false,
            doc: "OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT: what is taken of an index (default linux/amd64). \
                  Bindings are filled in. `all`: one file a platform, which is the binding `{platform}`.",
        },
        Key {
            name: "ids",
            shape: Shape::Word(&["shared", "docker"]),
            required: false,
            doc: "How layers get their ids: `shared` by images that share a layer and all below it (the default), or \
                  as `docker` made them.",
        },
        Key {
            name: "sizes",
            shape: Shape::Word(&["compressed", "uncompressed"]),
            required: false,
            doc: "Which sizes: `compressed`, as the manifest gives them (the default), or `uncompressed`, those of the \
                  unpacked layers.",
        },
    ],
};

const VERSION: u32 = 2;

struct LayersRule {
    tagged: Tagged,
    /// `None`: the one that is meant where none is said.
    platform: Option<Pattern>,
    ids: Ids,
    is_unpacked: bool,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    let tagged = Tagged::read(target, pipeline, sources, problems);
    let platform = platform(target, pipeline, problems);
    let word = |key: &str| target.keys.get(key).and_then(|n| n.as_public());
    let ids = match word("ids").as_deref() {
        Some("docker") => Ids::Docker,
        _ => Ids::Shared,
    };
    if asks::source(target, pipeline, sources).is_some_and(|source| source.analyst().is_some()) {
        let chosen = ["platform", "ids", "sizes"].iter().filter_map(|key| Some((key, target.keys.get(key)?)));
        let before = problems.0.len();
        for (key, node) in chosen {
            problems.at(node.span, format!("`{key}` is not for this source"), "its layer files are taken as they come");
        }
        if problems.0.len() > before {
            return None;
        }
    }
    let (tagged, platform) = (tagged?, platform?);
    let is_unpacked = word("sizes").is_some_and(|word| word == layer_file::UNCOMPRESSED);
    let sizes_word = if is_unpacked { layer_file::UNCOMPRESSED } else { "compressed" };
    let ids_word = if ids == Ids::Docker { "docker" } else { "shared" };
    let platform_text = match &platform {
        Some(platform) => pattern::template(platform, &target.bindings),
        None => Platform::default().to_string(),
    };
    let mut params = tagged.params(target);
    params.extend(
        [("platform", &*platform_text), ("ids", ids_word), ("sizes", sizes_word)].map(|(n, v)| (n.into(), v.into())),
    );
    // One that makes layer files itself decides their bytes; of all others, the digest does.
    if tagged.source.analyst().is_some() {
        params.push((SOURCE.into(), tagged.source.identity().into()));
    }
    let reads = asks::reads([&tagged.repo, &tagged.tag].into_iter().chain(&platform));
    let common = tagged.common(KIND.name, VERSION, params, reads);
    Some(Arc::new(LayersRule { tagged, platform, ids, is_unpacked, common }))
}

/// The platform, in which bindings may be filled in; the outer `None` where it is wrong.
fn platform(target: &Target, pipeline: &Pipeline, problems: &mut Problems) -> Option<Option<Pattern>> {
    let Some(node) = target.keys.get("platform") else { return Some(None) };
    let pattern = asks::pattern(target, pipeline, "platform", problems)?;
    if asks::reads([&pattern]).is_empty()
        && let Err(e) = pattern::fill(&pattern, &[]).parse::<Platform>()
    {
        problems.at(node.span, "not a platform", e.to_string());
        return None;
    }
    Some(Some(pattern))
}

impl LayersRule {
    /// The platform for these values.
    fn platform(&self, values: &[&str]) -> Result<Platform, String> {
        let Some(pattern) = &self.platform else { return Ok(Platform::default()) };
        let text = pattern::fill(pattern, values);
        text.parse().map_err(|e| format!("`{text}` is not a platform: {e}"))
    }

    fn platform_of(&self, step: &StepView) -> Platform {
        let values: Vec<&str> = step.values.iter().map(|v| &**v).collect();
        // The check has refused what is none.
        self.platform(&values).unwrap_or_default()
    }

    /// Whether a layer file that tells this digest is that of what its tag has; `None` where the store did not tell when the
    /// build began (an index that it had not). What came since is not reckoned with: which step comes first is chance.
    fn is_of(&self, has: Sha256, told: Sha256, step: &StepView, blobs: &Blobs) -> Option<bool> {
        if told == has {
            return Some(true);
        }
        let way = registry::way(blobs, has, &self.platform_of(step));
        let ((last, met), indexes) = way.manifests.split_last()?;
        let was_there = |digest: &Sha256| !blobs.came_since(digest);
        let is_known = match indexes {
            [] => *met != Met::Missing && was_there(last),
            indexes => indexes.iter().all(|(index, _)| was_there(index)),
        };
        is_known.then_some(*last == told)
    }
}

/// Which layers have the sizes of their blobs, though those of the unpacked ones were wanted, and why.
fn unmeasured(image: &Image) -> Option<String> {
    let mut whys: Vec<String> = Vec::new();
    for why in image.layers.iter().filter_map(|layer| layer.files.as_ref()?.unmeasured.as_ref()) {
        whys.extend((!whys.contains(why)).then(|| why.clone()));
    }
    asks::some_of("layers of which the size unpacked is not to be had, and that of the blob is told", &whys)
}

/// What is to be known of an image of another platform than was asked for, where it says of which it is. One that is
/// `alone` was not chosen by an index.
pub(super) fn other_platform(wanted: &Platform, is: &Platform, alone: bool) -> Option<String> {
    if wanted.accepts(is) || !is.is_told() {
        return None;
    }
    Some(match alone {
        true => format!("the image is of {is}: there is no index to choose one of {wanted} from"),
        false => format!("the image is of {is}, though the index has it as one of {wanted}"),
    })
}

impl Rule for LayersRule {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        self.tagged.check(values)?;
        self.platform(values).map(drop)
    }

    fn question(&self, step: &StepView) -> Option<String> {
        self.tagged.question(KIND.name, VERSION, step)
    }

    fn difference(&self, before: &[u8], now: &[u8]) -> Option<String> {
        tagged::difference(before, now)
    }

    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(self.tagged.ask(job))
    }

    fn pull(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<Pull> {
        self.tagged.pull(step, answer, |digest| registry::way(blobs, digest, &self.platform_of(step)).missing())
    }

    fn lacks(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<String> {
        let (repo, tag) = self.tagged.of(step);
        if self.tagged.source.analyst().is_some() {
            return Some(format!("the layer file of {repo}:{tag}"));
        }
        let way = registry::way(blobs, self.tagged.known(step, answer)?, &self.platform_of(step));
        let missing = way.missing().map(|digest| {
            let whole = if blobs.contains(&digest) { "an undamaged copy of " } else { "" };
            format!("{whole}the manifest {digest} of {repo}:{tag}")
        });
        let config = || Some(format!("the config {} of {repo}:{tag}", way.no_config?));
        let size = || {
            let (first, others) = way.unmeasured.split_first().filter(|_| self.is_unpacked)?;
            let more = if others.is_empty() { String::new() } else { format!(" (and of {} more)", others.len()) };
            Some(format!("the unpacked size of the layer {first}{more} of {repo}:{tag}"))
        };
        missing.or_else(config).or_else(size)
    }

    fn is_incomplete(&self, step: &StepView, made: &dyn Fn() -> Option<Vec<u8>>) -> bool {
        let lacks_sizes = |bytes: Vec<u8>| {
            let (repo, tag) = self.tagged.of(step);
            layer_file::recognise(&bytes, &repo, &tag).is_ok_and(|found| !found.compressed.is_empty())
        };
        self.is_unpacked && made().is_some_and(lacks_sizes)
    }

    fn adopt(&self, step: &StepView, unrecorded: &Unrecorded<'_>) -> Result<Option<Vec<u8>>, String> {
        let (repo, tag) = self.tagged.of(step);
        let found = layer_file::recognise(unrecorded.bytes, &repo, &tag)?;
        let has = self.tagged.fingerprint(step);
        let is_of = has.zip(found.digest).and_then(|(has, told)| self.is_of(has, told, step, unrecorded.blobs));
        // What is known to be another platform's was made by another target, unless the tag has nothing else.
        let theirs = found.platform.and_then(|p| p.parse::<Platform>().ok()).filter(|_| is_of != Some(true));
        if let Some(theirs) = theirs.filter(|theirs| !self.platform_of(step).accepts(theirs)) {
            return Err(format!("is of the platform {theirs}"));
        }
        // Nor are other sizes ours; those of the seed's files are taken as they are.
        if found.digest.is_some() && found.is_unpacked != self.is_unpacked {
            let sizes = if found.is_unpacked { layer_file::UNCOMPRESSED } else { "compressed" };
            return Err(format!("has the sizes of {sizes} layers"));
        }
        match found.ids.filter(|ids| *ids != self.ids) {
            Some(Ids::Docker) => return Err("has ids by the recipe of Docker".to_owned()),
            Some(Ids::Shared) => return Err("has ids that are not by the recipe of Docker".to_owned()),
            None => {}
        }
        let Some(has) = has else {
            let digest = found.digest.ok_or("does not tell which digest its tag had")?;
            return Ok(Some(tagged::answer(&digest)));
        };
        match (found.digest, is_of) {
            (Some(told), Some(false)) => Err(format!("is of {told}, which is not what the tag has: {has}")),
            (Some(told), None) => Err(format!("is of {told}, which is not known to be what the tag has: {has}")),
            // It is believed as long as the list of tags is not newer.
            (None, _) if unrecorded.is_older => {
                Err("does not tell whether it is of what the tag has, and is older than the list of tags".to_owned())
            }
            (Some(_), Some(true)) | (None, _) => Ok(None),
        }
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async {
            let (source, platform) = (&self.tagged.source, self.platform_of(&job.step));
            let (repo, tag) = self.tagged.of(&job.step);
            let (about, tag) = (asks::about(job, &repo), tag.as_str());
            if let Some(analyst) = source.analyst() {
                job.heard.asked();
                let file = analyst.layer_file(&repo, tag, about.effort).await.map_err(asks::failure)?;
                return Ok(match file {
                    Answer::Found(file) => Made::Outputs(vec![Content::Bytes(file)]),
                    Answer::Absent(why) => Made::Absent(why),
                });
            }
            let by_digest = async |digest| {
                let found = source.image(about, digest, &platform).await.map_err(asks::failure)?;
                Ok(found.map(|image| (image, digest)))
            };
            let made = match self.tagged.look(job, by_digest).await? {
                Answer::Found(Looked { content: (mut image, looked_behind), mut notes }) => {
                    notes.extend(other_platform(&platform, &image.platform, image.digest == looked_behind));
                    if self.is_unpacked {
                        source.unpack(about, &mut image).await.map_err(asks::failure)?;
                        notes.extend(unmeasured(&image));
                    }
                    Made::noted(vec![Content::Bytes(layer_file::render(&image, &repo, tag, self.ids))], notes)
                }
                Answer::Absent(why) => Made::Absent(why),
            };
            // An image whose sizes are those of its manifest is made of all that it is read for, or not at all.
            if self.is_unpacked || matches!(made, Made::Absent(_)) {
                job.comes_without(|| self.lacks(&job.step, job.answer.as_deref(), &job.blobs));
            }
            Ok(made)
        })
    }
}
