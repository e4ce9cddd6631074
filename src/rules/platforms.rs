//! The rule `platforms`: which platforms a tag has images for.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::tagged::{self, Looked, Tagged};
use super::{Asked, Common, Content, Failure, Job, Made, Pull, Rule, StepView, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::implied;
use crate::pipeline::model::Target;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::registry::{self, Answer, Met, Source};
use crate::store::blobs::Blobs;

/// The rule and its keys.
pub const KIND: Kind = Kind {
    name: "platforms",
    doc: "The platforms that a tag has images for, as a JSON array.",
    keys: &[
        Key { name: "source", shape: Shape::Source, required: true, doc: "Where to ask." },
        Key { name: "repo", shape: Shape::Text, required: false, doc: "The repository (default `{repo}`)." },
        Key { name: "tag", shape: Shape::Text, required: false, doc: "The tag (default `{tag}`)." },
    ],
};

const VERSION: u32 = 1;

struct PlatformsRule {
    tagged: Tagged,
    common: Common,
}

/// Makes the rule of a target.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    if implied::is_implied(&target.name) {
        // What is wrong is told of the target that implies it, which has the same keys.
        let tagged = Tagged::read(target, pipeline, sources, &mut Problems::default())?;
        return tagged.source.analyst().is_none().then(|| rule(tagged, target));
    }
    let tagged = Tagged::read(target, pipeline, sources, problems)?;
    if tagged.source.analyst().is_some() {
        problems.at(target.span, "`platforms` is not for this source", "it does not tell them");
        return None;
    }
    Some(rule(tagged, target))
}

fn rule(tagged: Tagged, target: &Target) -> Arc<dyn Rule> {
    let reads = asks::reads([&tagged.repo, &tagged.tag]);
    let common = tagged.common(KIND.name, VERSION, tagged.params(target), reads);
    Arc::new(PlatformsRule { tagged, common })
}

impl Rule for PlatformsRule {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, values: &[&str]) -> Result<(), String> {
        self.tagged.check(values)
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
        self.tagged.pull(step, answer, |digest| Some(digest).filter(|digest| !blobs.contains(digest)))
    }

    fn lacks(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<String> {
        let (repo, tag) = self.tagged.of(step);
        let way = registry::opened(blobs, self.tagged.known(step, answer)?);
        let missing = way.manifests.iter().find(|(_, met)| *met == Met::Missing);
        let manifest = missing.map(|(digest, _)| format!("the manifest {digest} of {repo}:{tag}"));
        manifest.or_else(|| Some(format!("the config {} of {repo}:{tag}", way.no_config?)))
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async {
            let (repo, _) = self.tagged.of(&job.step);
            let (about, source) = (asks::about(job, &repo), &self.tagged.source);
            let by_digest = async |digest| source.platforms(about, digest).await.map_err(asks::failure);
            let looked = self.tagged.look(job, by_digest).await?;
            job.comes_without(|| self.lacks(&job.step, job.answer.as_deref(), &job.blobs));
            let (found, mut notes) = match looked {
                Answer::Found(Looked { content, notes }) => (content, notes),
                Answer::Absent(why) => return Ok(Made::Absent(why)),
            };
            let left_out: Vec<_> = found.left_out.into_iter().map(|name| (name, NOT_A_PLATFORM.to_owned())).collect();
            if !left_out.is_empty() {
                notes.push(asks::left_out(("platform", "platforms"), &left_out));
            }
            Ok(Made::noted(vec![Content::Bytes(asks::array(&found.names))], notes))
        })
    }
}

const NOT_A_PLATFORM: &str = "not written as platforms are";
