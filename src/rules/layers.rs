//! The rule `layers`: the layers of one image, as imagelayers' `POST /registry/analyze` answered.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Asked, Content, Failure, Job, Lane, Made, Rule, StepView, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::image::Image;
use crate::registry::layer_file::{self, Ids};
use crate::registry::{Answer, Platform, Reference, Source, grammar};
use crate::store::Sha256;

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
            doc: "OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT: what is taken of an index (default linux/amd64).",
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
            shape: Shape::Word(&["compressed"]),
            required: false,
            doc: "Which sizes: `compressed`, as the manifest gives them.",
        },
    ],
};

const VERSION: u32 = 1;

struct LayersRule {
    source: Arc<dyn Source>,
    repo: Pattern,
    tag: Pattern,
    /// The binding that the tag is, where it is nothing else: the digest may come with it.
    tag_binding: Option<usize>,
    platform: Platform,
    ids: Ids,
    params: Vec<(String, String)>,
    reads: Vec<usize>,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    let repo = asks::pattern(target, pipeline, "repo", problems);
    let tag = asks::pattern(target, pipeline, "tag", problems);
    let platform = platform(target, problems);
    let word = |key: &str| target.keys.get(key).and_then(|n| n.as_public());
    let ids = match word("ids").as_deref() {
        Some("docker") => Ids::Docker,
        _ => Ids::Shared,
    };
    let source = asks::source(target, pipeline, sources);
    let (repo, tag, platform) = (repo?, tag?, platform?);
    let ids_word = if ids == Ids::Docker { "docker" } else { "shared" };
    Some(Arc::new(LayersRule {
        source: source?,
        reads: asks::reads([&repo, &tag]),
        params: vec![
            ("repo".into(), pattern::template(&repo, &target.bindings)),
            ("tag".into(), pattern::template(&tag, &target.bindings)),
            ("platform".into(), platform.to_string()),
            ("ids".into(), ids_word.into()),
            ("sizes".into(), "compressed".into()),
        ],
        tag_binding: asks::sole_binding(&tag),
        repo,
        tag,
        platform,
        ids,
    }))
}

fn platform(target: &Target, problems: &mut Problems) -> Option<Platform> {
    let Some(node) = target.keys.get("platform") else { return Some(Platform::default()) };
    match node.as_public().unwrap_or_default().parse() {
        Ok(platform) => Some(platform),
        Err(e) => {
            problems.at(node.span, "not a platform", e.to_string());
            None
        }
    }
}

impl LayersRule {
    /// The digest that came with the tag from a tag file.
    fn fingerprint(&self, step: &StepView) -> Option<Sha256> {
        *step.fingerprints.get(self.tag_binding?)?
    }

    async fn image(&self, job: &Job, repo: &str, tag: &str, digest: Sha256) -> Result<Answer<Image>, Failure> {
        let effort = asks::effort(job);
        let by_digest = async |digest| {
            let reference = Reference::Digest(digest);
            self.source.image(repo, &reference, &self.platform, &job.blobs, effort).await.map_err(asks::failure)
        };
        let why = match by_digest(digest).await? {
            Answer::Absent(why) => why,
            found => return Ok(found),
        };
        // The digest may not be this source's own: a tag file taken over from elsewhere has ids of another kind.
        match self.source.resolve(repo, tag, effort).await.map_err(asks::failure)? {
            Answer::Found(now) if now != digest => by_digest(now).await,
            Answer::Found(_) => Ok(Answer::Absent(why)),
            Answer::Absent(why) => Ok(Answer::Absent(why)),
        }
    }
}

impl Rule for LayersRule {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn params(&self) -> &[(String, String)] {
        &self.params
    }

    fn reads(&self) -> &[usize] {
        &self.reads
    }

    fn lane(&self) -> Lane {
        Lane::Source(self.source.identity().to_owned(), self.source.concurrency())
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        grammar::repository(&pattern::fill(&self.repo, values))?;
        grammar::tag(&pattern::fill(&self.tag, values))
    }

    fn question(&self, step: &StepView) -> Option<String> {
        if self.fingerprint(step).is_some() {
            return None;
        }
        let (repo, tag) = (asks::of_step(&self.repo, step), asks::of_step(&self.tag, step));
        Some(format!("layers {VERSION}\nsource {}\nrepo {repo}\ntag {tag}\n", self.source.identity()))
    }

    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        Box::pin(asks::unless_interrupted(job, async {
            let (repo, tag) = (asks::of_step(&self.repo, &job.step), asks::of_step(&self.tag, &job.step));
            Ok(match self.source.resolve(&repo, &tag, asks::effort(job)).await.map_err(asks::failure)? {
                Answer::Found(digest) => Asked::Answer { bytes: answer(&digest), notes: Vec::new() },
                Answer::Absent(why) => Asked::Absent(why),
            })
        }))
    }

    fn adopt(&self, step: &StepView, bytes: &[u8]) -> Option<Option<Vec<u8>>> {
        let (repo, tag) = (asks::of_step(&self.repo, step), asks::of_step(&self.tag, step));
        let found = layer_file::recognise(bytes, &repo, &tag)?;
        // What is known to be another platform's was made by another target.
        if found.platform.is_some_and(|p| p.parse::<Platform>().is_ok_and(|p| !self.platform.accepts(&p))) {
            return None;
        }
        let asks = self.fingerprint(step).is_none();
        Some(found.digest.filter(|_| asks).map(|digest| answer(&digest)))
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(asks::unless_interrupted(job, async {
            let (repo, tag) = (asks::of_step(&self.repo, &job.step), asks::of_step(&self.tag, &job.step));
            let digest = self.fingerprint(&job.step).or_else(|| read_answer(job.answer.as_deref()?));
            let Some(digest) = digest else {
                let message = format!("{repo}:{tag}: the recorded answer cannot be read");
                return Err(Failure { message, help: None, output: Vec::new(), interrupted: false });
            };
            Ok(match self.image(job, &repo, &tag, digest).await? {
                Answer::Found(image) => {
                    Made::Outputs(vec![Content::Bytes(layer_file::render(&image, &repo, &tag, self.ids))])
                }
                Answer::Absent(why) => Made::Absent(why),
            })
        }))
    }
}

/// What a question is answered with: the digest of the tag, on a line.
fn answer(digest: &Sha256) -> Vec<u8> {
    format!("{digest}\n").into_bytes()
}

fn read_answer(bytes: &[u8]) -> Option<Sha256> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}
