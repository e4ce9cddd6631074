//! What the rules that are about one tag have in common: which tag, and which digest it has.

use std::sync::Arc;

use super::{Asked, Asks, Common, Failure, Job, Pull, StepView, asks};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::Problems;
use crate::registry::{Answer, Source, grammar};
use crate::store::Sha256;

/// A tag of a source, before bindings are filled in.
pub struct Tagged {
    pub source: Arc<dyn Source>,
    pub repo: Pattern,
    pub tag: Pattern,
    /// The binding that the tag is, where it is nothing else: the digest may come with it.
    binding: Option<usize>,
}

impl Tagged {
    /// Reads `source`, `repo` and `tag` of a target.
    pub fn read(
        target: &Target,
        pipeline: &Pipeline,
        sources: &[Option<Arc<dyn Source>>],
        problems: &mut Problems,
    ) -> Option<Self> {
        let repo = asks::pattern(target, pipeline, "repo", problems);
        let tag = asks::pattern(target, pipeline, "tag", problems);
        let (source, repo, tag) = (asks::source(target, pipeline, sources)?, repo?, tag?);
        Some(Self { source, binding: asks::sole_binding(&tag), repo, tag })
    }

    /// What keys hash of it: never the source, so that another one makes no other files.
    pub fn params(&self, target: &Target) -> Vec<(String, String)> {
        [("repo", &self.repo), ("tag", &self.tag)]
            .map(|(name, text)| (name.to_owned(), pattern::template(text, &target.bindings)))
            .into()
    }

    pub fn check(&self, values: &[&str]) -> Result<(), String> {
        grammar::repository(&pattern::fill(&self.repo, values))?;
        grammar::tag(&pattern::fill(&self.tag, values))
    }

    /// What the steps of a rule that is about this tag have in common.
    pub fn common(&self, name: &'static str, version: u32, params: Vec<(String, String)>, reads: Vec<usize>) -> Common {
        let asks = self.binding.map_or(Asks::Always, Asks::Unless);
        asks::common(&*self.source, (name, version), params, reads, asks)
    }

    /// The repository and the tag of a step.
    pub fn of(&self, step: &StepView) -> (String, String) {
        (asks::of_step(&self.repo, step), asks::of_step(&self.tag, step))
    }

    /// The digest that came with the tag from a tag file.
    pub fn fingerprint(&self, step: &StepView) -> Option<Sha256> {
        *step.fingerprints.get(self.binding?)?
    }

    /// The digest that came with the tag, or that the source answered.
    pub fn known(&self, step: &StepView, answer: Option<&[u8]>) -> Option<Sha256> {
        self.fingerprint(step).or_else(|| read_answer(answer?))
    }

    /// What will have to be fetched of the source: what is `missing` behind the tag's digest, or, where that is not known
    /// yet, what the tag will turn out to be.
    pub fn pull(
        &self,
        step: &StepView,
        answer: Option<&[u8]>,
        missing: impl FnOnce(Sha256) -> Option<Sha256>,
    ) -> Option<Pull> {
        let budget = self.source.budget()?.clone();
        let what = match self.known(step, answer) {
            Some(digest) => missing(digest)?.to_string(),
            None => {
                let (repo, tag) = self.of(step);
                format!("{repo}:{tag}")
            }
        };
        Some(Pull { budget, what, is_sure: !self.source.has_mirrors() })
    }

    /// Which digest the tag has, where no tag file told it.
    pub fn question(&self, rule: &str, version: u32, step: &StepView) -> Option<String> {
        if self.fingerprint(step).is_some() {
            return None;
        }
        let (repo, tag) = self.of(step);
        Some(format!("{rule} {version}\nsource {}\nrepo {repo}\ntag {tag}\n", self.source.identity()))
    }

    pub async fn ask(&self, job: &Job) -> Result<Asked, Failure> {
        let (repo, tag) = self.of(&job.step);
        Ok(match self.source.resolve(asks::about(job, &repo), &tag).await.map_err(asks::failure)? {
            Answer::Found(digest) => Asked::Answer { bytes: answer(&digest), notes: Vec::new(), earlier: None },
            Answer::Absent(why) => Asked::Absent(why),
        })
    }

    /// What `by_digest` finds behind the tag's digest, or, where that is not to be had, behind the one that it has now.
    pub async fn look<T, F>(&self, job: &Job, by_digest: impl Fn(Sha256) -> F) -> Result<Answer<Looked<T>>, Failure>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let (repo, tag) = self.of(&job.step);
        let Some(digest) = self.known(&job.step, job.answer.as_deref()) else {
            return Err(Failure::new(format!("{repo}:{tag}: the recorded answer cannot be read")));
        };
        let why = match by_digest(digest).await? {
            // What the digest stands for is known, and it is not what is wanted.
            Answer::Absent(why) if job.blobs.contains(&digest) => return Ok(Answer::Absent(why)),
            Answer::Absent(why) => why,
            Answer::Found(content) => return Ok(Answer::Found(Looked { content, notes: Vec::new() })),
        };
        // The digest may not be this source's own: a tag file taken over from elsewhere has ids of another kind.
        match self.source.resolve(asks::about(job, &repo), &tag).await.map_err(asks::failure)? {
            Answer::Found(now) if now != digest => {
                let instead = format!("{digest}{LOST}{now}{NOW}");
                Ok(match by_digest(now).await? {
                    Answer::Found(content) => Answer::Found(Looked { content, notes: vec![instead] }),
                    Answer::Absent(why) => Answer::Absent(format!("{why} ({instead})")),
                })
            }
            Answer::Found(_) => Ok(Answer::Absent(why)),
            Answer::Absent(why) => Ok(Answer::Absent(why)),
        }
    }
}

const LOST: &str = " is not to be had: this is of ";
const NOW: &str = ", which the tag points at now";

/// The digest that was looked behind in place of the one that its tag had, by what was said then.
pub fn read_instead(said: &str) -> Option<Sha256> {
    said.split_once(LOST)?.1.split_once(NOW)?.0.parse().ok()
}

/// What was found of a tag, and what there is to be known of it.
pub struct Looked<T> {
    pub content: T,
    pub notes: Vec<String>,
}

/// What a question is answered with: the digest of the tag, on a line.
pub fn answer(digest: &Sha256) -> Vec<u8> {
    format!("{digest}\n").into_bytes()
}

/// From which digest to which a tag moved, in words.
pub fn difference(before: &[u8], now: &[u8]) -> Option<String> {
    let (before, now) = (read_answer(before)?, read_answer(now)?);
    Some(format!("the tag moved from {before} to {now}"))
}

pub fn read_answer(bytes: &[u8]) -> Option<Sha256> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}
