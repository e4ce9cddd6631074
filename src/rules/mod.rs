//! Rules: how a target's output is made. A file a rule; [`Rule`] is what they share.

mod asks;
pub mod command;
pub mod contents;
pub mod layers;
pub mod platforms;
pub mod repositories;
pub mod stat;
mod tagged;
pub mod tags;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::pipeline::Pipeline;
use crate::pipeline::model::Target;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::Kind;
use crate::registry::{Budget, Deferral, Earlier, Heard, Source};
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use crate::store::state::FileRecord;

/// What a key calls the source, where that decides the bytes of what is made.
pub const SOURCE: &str = "source";

/// What bounds how many steps of a rule run at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Processor work in this process: `-j`.
    Compute,
    /// A child process: `-j`.
    Process,
    /// Waiting on a source: its identity and its concurrency.
    Source(String, usize),
}

/// A step as its rule sees it.
#[derive(Clone, Debug)]
pub struct StepView {
    /// The values of the target's bindings, in their order.
    pub values: Vec<Arc<str>>,
    /// Beside each value, the digest that came with it from a tag file.
    pub fingerprints: Vec<Option<Sha256>>,
    /// The paths of the outputs, relative to the pipeline's folder.
    pub outputs: Vec<String>,
}

/// A step and all that its rule needs to make it.
pub struct Job {
    pub step: StepView,
    pub inputs: Vec<JobInput>,
    /// The most files of a folder of which the step's record keeps what is in it.
    pub files_in_folders: usize,
    /// The answer that the step's question got.
    pub answer: Option<Vec<u8>>,
    /// The pipeline's folder.
    pub root: PathBuf,
    /// A folder of this step's own, under `.layermill/tmp`: there already, and removed afterwards.
    pub scratch: PathBuf,
    /// Where a command's output is kept.
    pub log: PathBuf,
    /// Whether anything is kept there: of an earlier build, until this job is begun, and then of its command.
    pub has_log: AtomicBool,
    pub blobs: Blobs,
    /// Attempts after the first; `None`: the rule's default.
    pub retries: Option<u32>,
    pub timeout: Option<Duration>,
    /// What a source told an earlier try that did not end since then (milliseconds since 1970) need not be asked again;
    /// `None`: all is asked.
    pub learnt_since: Option<i64>,
    /// Who answered what was asked of a source.
    pub heard: Heard,
    /// What its source's repository has not got, and another step may bring: set by a rule that was made without.
    pub lacks: OnceLock<String>,
    /// How often the command was run so far, counted by a rule that runs one.
    pub attempts: AtomicU32,
    /// When it was last begun, by the clock of files, nanoseconds since 1970: set by a rule that runs one.
    pub began: AtomicI64,
    /// Becomes true when the build is interrupted: end children and return.
    pub cancelled: tokio::sync::watch::Receiver<bool>,
}

impl Job {
    /// Tells what is still lacking, once all was asked for; where nothing was, the store had it all.
    fn comes_without(&self, lacks: impl FnOnce() -> Option<String>) {
        if let Some(what) = self.heard.was_asked().then(lacks).flatten() {
            let _ = self.lacks.set(what);
        }
    }
}

/// What one entry of `inputs:` came to.
#[derive(Clone, Debug, Default)]
pub struct JobInput {
    pub name: Option<String>,
    /// Paths relative to the pipeline's folder, in the target's order. Absent steps have none.
    pub paths: Vec<String>,
    /// How each of them looked when the step was decided; only for those that run processes, which may meddle with them.
    pub seen: Vec<FileRecord>,
    /// Some of them may be folders, of which the step's record keeps what is in them.
    pub may_be_folders: bool,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The answer in canonical bytes, and what the person should know of it.
    Answer {
        bytes: Vec<u8>,
        notes: Vec<String>,
        /// What of it was not asked for again, since an earlier try was told.
        earlier: Option<Earlier>,
    },
    Absent(String),
}

/// What came of making.
#[derive(Debug)]
pub enum Made {
    /// One content an output, in their order.
    Outputs(Vec<Content>),
    /// The same, with what the person should know of them.
    Noted(Vec<Content>, Vec<String>),
    /// The same, with the inputs that were found on the way: their paths, relative to the pipeline's folder, or absolute.
    Found(Vec<Content>, Vec<String>),
    Absent(String),
}

impl Made {
    /// Outputs, with what there is to be known of them.
    fn noted(outputs: Vec<Content>, notes: Vec<String>) -> Self {
        if notes.is_empty() { Self::Outputs(outputs) } else { Self::Noted(outputs, notes) }
    }
}

/// The content of an output.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// A file or folder that the rule wrote in its scratch folder.
    File(PathBuf),
}

/// An output that lies there without a record.
pub struct Unrecorded<'a> {
    pub bytes: &'a [u8],
    /// What is kept of its source's content.
    pub blobs: &'a Blobs,
    /// What its values were read out of was made since then, and not taken over.
    pub is_older: bool,
}

/// Why a step failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    pub help: Option<String>,
    /// The last lines that a command printed.
    pub output: Vec<String>,
    /// The build was interrupted: this is no fault of the step's.
    pub interrupted: bool,
    /// The source has no more to give for now: this is no fault either.
    pub deferral: Option<Box<Deferral>>,
    /// The source was not to be reached, or not well: it told nothing.
    pub is_outage: bool,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { message, help: None, output: Vec::new(), interrupted: false, deferral: None, is_outage: false }
    }

    /// The build was interrupted while the step ran.
    pub fn interrupted() -> Self {
        Self { interrupted: true, ..Self::new("interrupted") }
    }
}

/// Something that a step will have to fetch, and that is counted.
#[derive(Debug)]
pub struct Pull {
    pub budget: Arc<Budget>,
    /// What many steps need is fetched once.
    pub what: String,
    /// It comes from nowhere else.
    pub is_sure: bool,
}

/// When the steps of a rule ask a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Never,
    Always,
    /// A digest that came with the value of this binding answers it.
    Unless(usize),
}

/// What all steps of a target have in common, as its rule knows it.
pub struct Common {
    pub name: &'static str,
    /// Raised when the same inputs come to give other outputs.
    pub version: u32,
    /// What the key hashes of the target's text: names and values, before bindings are filled. Never a secret's value.
    pub params: Vec<(String, String)>,
    /// The bindings whose values (and fingerprints) it reads, by position.
    pub reads: Vec<usize>,
    pub lane: Lane,
    /// Its outputs go to the store, and come back from there.
    pub cached: bool,
    /// Its steps find inputs while they run.
    pub finds: bool,
    /// When its steps have a question for a source.
    pub asks: Asks,
    /// Its source is asked over the network, which `--offline` rules out.
    pub is_remote: bool,
}

/// How a target's output is made.
pub trait Rule: Send + Sync {
    fn common(&self) -> &Common;

    /// Refuses values that it cannot work with, such as a repository's name outside the grammar.
    fn check(&self, values: &[&str]) -> Result<(), String> {
        let _ = values;
        Ok(())
    }

    /// The question that this step asks a source, as text that is hashed; `None` where it asks none.
    fn question(&self, step: &StepView) -> Option<String> {
        let _ = step;
        None
    }

    /// Asks it.
    fn ask<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Asked, Failure>> {
        let _ = job;
        Box::pin(async { unreachable!("a rule without a question is not asked") })
    }

    /// What of the answer an earlier try, that did not end, was told from `since` on (milliseconds since 1970), and is not
    /// asked for again.
    fn told_earlier(&self, _step: &StepView, _since: i64) -> Option<Earlier> {
        None
    }

    /// What making the step from this answer will have to fetch of a source that counts it, as far as can be told
    /// without asking; there may be more behind it.
    fn pull(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<Pull> {
        let _ = (step, answer, blobs);
        None
    }

    /// What making the step from this answer needs of the network, as far as can be told without asking.
    fn lacks(&self, step: &StepView, answer: Option<&[u8]>, blobs: &Blobs) -> Option<String> {
        let _ = (step, answer, blobs);
        None
    }

    /// In what an answer differs from the one before, in words.
    fn difference(&self, before: &[u8], now: &[u8]) -> Option<String> {
        let _ = (before, now);
        None
    }

    /// Whether what it made lacks something that its source did not have, and may have by now.
    fn is_incomplete(&self, step: &StepView, made: &dyn Fn() -> Option<Vec<u8>>) -> bool {
        let _ = (step, made);
        false
    }

    /// Takes over an output that it has no record of, where the bytes parse as what the rule writes: the answer that they
    /// hold, where the rule has questions. The error says, after "it", why they are something else; nothing, where no such
    /// file tells all that its source said.
    fn adopt(&self, step: &StepView, found: &Unrecorded<'_>) -> Result<Option<Vec<u8>>, String> {
        let _ = (step, found);
        Err(String::new())
    }

    /// Makes the outputs.
    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>>;
}

/// The rules, for the pipeline's check and schema.
pub const KINDS: &[Kind] = &[tags::KIND, layers::KIND, platforms::KIND, repositories::KIND, stat::KIND, command::KIND];

/// Makes the rule of a target; what is wrong with its keys goes into `problems`. A group has none.
pub fn compile(
    target: &Target,
    pipeline: &Pipeline,
    sources: &[Option<Arc<dyn Source>>],
    problems: &mut Problems,
) -> Option<Arc<dyn Rule>> {
    match target.rule.as_deref()? {
        "tags" => tags::compile(target, pipeline, sources, problems),
        "layers" => layers::compile(target, pipeline, sources, problems),
        "platforms" => platforms::compile(target, pipeline, sources, problems),
        "repositories" => repositories::compile(target, pipeline, sources, problems),
        "stat" => stat::compile(target, problems),
        "command" => command::compile(target, pipeline, problems),
        // The pipeline's check has refused any other name.
        _ => None,
    }
}
