//! Taking over outputs that lie there without a record: unasked where a rule knows them for its own, and by hand.

use crate::rules::{StepView, Unrecorded};
use crate::store::state::{FileRecord, PathId, StepRecord};
use crate::store::{Digest, Sha256};

use super::parts::made_part;
use super::upstream::Upstream;
use super::{Decision, Outputs};
use crate::build::clock;
use crate::build::engine::{Compiled, Engine, Mode};
use crate::build::files::{self, Look};
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::reasons::{Reasons, past};
use crate::build::steps::StepId;

/// What is said of an answer that nobody was asked for.
pub(crate) const TAKEN_OVER: &str = "taken over with the file";
/// What is said of an output without a record that only a person may take over.
const UNTOLD: &str = "and nothing tells what it was made from";
/// Why the outputs of a step that finds inputs while it runs are not taken over.
const UNKNOWN_INPUTS: &str = "it has a depfile: what it read is known only once it ran";

impl Engine<'_> {
    /// Whether what a step found while it ran is not known, since its outputs were taken over: it has to run.
    pub(crate) fn is_blind(&self, id: StepId, record: &StepRecord) -> bool {
        record.why.is_none() && record.found.is_empty() && self.finds(id)
    }

    /// Takes over an output without a record, where its rule knows it for one of its own. The error says why it is not,
    /// after what is there, or that there is none.
    pub(crate) fn adopt(
        &self,
        id: StepId,
        compiled: &Compiled,
        view: &StepView,
        files: &mut Vec<(PathId, FileRecord)>,
    ) -> Result<StepRecord, Option<String>> {
        /// No tag or layer file is larger, in bytes.
        const LARGEST: u64 = 256 << 20;
        let other = |what: &str| match what {
            "" => Some(UNTOLD.to_owned()),
            what => Some(format!("but is not what the rule writes: it {what}")),
        };
        let path = self.pipeline.root.join(&view.outputs[0]);
        let meta = std::fs::symlink_metadata(&path).map_err(|_| None)?;
        if !compiled.by_source {
            return Err(Some(UNTOLD.to_owned()));
        }
        if !meta.is_file() || meta.len() > LARGEST {
            return Err(other(if meta.is_file() { "is too large" } else { "is no file" }));
        }
        let before = clock::now_ns();
        let bytes = std::fs::read(&path).map_err(|e| Some(format!("but cannot be read: {e}")))?;
        let is_older = self.is_older(id, view, files::mtime(&meta) / 1_000_000);
        let unrecorded = Unrecorded { bytes: &bytes, blobs: &self.blobs, is_older };
        let answer = match compiled.rule.adopt(view, &unrecorded).map_err(|why| other(&why))? {
            Some(answer) if self.mode == Mode::Look => Some(Sha256::of(&answer)),
            Some(answer) => Some(self.blobs.put(&answer).map_err(|e| Some(format!("but cannot be kept: {e}")))?),
            None => None,
        };
        let question = compiled.rule.question(view).map(|q| Digest::of(q.as_bytes()));
        if question.is_some() != answer.is_some() {
            return Err(Some(UNTOLD.to_owned()));
        }
        files
            .push((self.steps.outputs(id)[0], files::record(&meta, files::content(&meta, Digest::of(&bytes)), before)));
        let record = StepRecord {
            question: question.unwrap_or_default(),
            answer,
            asked_at: files::mtime(&meta) / 1_000_000,
            template: compiled.recorded,
            ..StepRecord::default()
        };
        Ok(self.keyed(id, record, answer.as_ref()))
    }

    /// The answer of this digest, where a step's file is what was made of it.
    pub(crate) fn answer_of_file(&self, id: StepId, compiled: &Compiled, answer: &Sha256) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.pipeline.root.join(self.path(id, 0))).ok()?;
        let found = Unrecorded { bytes: &bytes, blobs: &self.blobs, is_older: false };
        let read = compiled.rule.adopt(&self.view(id), &found).ok().flatten();
        [Some(bytes), read].into_iter().flatten().find(|bytes| Sha256::of(bytes) == *answer)
    }

    /// Whether what told a digest that came with one of a step's values was made after this time, in milliseconds since 1970.
    fn is_older(&self, id: StepId, view: &StepView, written: i64) -> bool {
        let (target, values) = (self.steps.step(id).target as usize, self.steps.values_of(id));
        let with_digest = (0..view.fingerprints.len()).filter(|&binding| view.fingerprints[binding].is_some());
        let tellers = with_digest.filter_map(|binding| Some(self.teller(target, binding, &values)?.0));
        let mut records = tellers.filter_map(|teller| self.record_of(teller));
        records.any(|told| told.why.is_some() && told.last_made() > written)
    }

    /// Why a step runs of which there is no record: what is there all the same, and why that is not taken over. Whether the
    /// store has what it makes is no cause, and not always known before.
    pub(crate) fn unrecorded(&self, id: StepId, outputs: &Outputs, why: Option<String>) -> Reasons {
        let there = outputs.looks.iter().find(|(_, look)| !matches!(look, Look::Missing));
        let Some((path, _)) = there else { return Reason::FirstBuild.into() };
        let why = why.unwrap_or_else(|| UNTOLD.to_owned());
        let mut reasons = Reasons::from(Reason::MissingRecord { what: self.state.path(*path).to_owned(), why });
        if self.forced(id) {
            reasons.add(Reason::Forced);
        }
        reasons
    }

    /// Whether `adopt` takes this step's outputs as they are: it was asked for, all of them are there, and no source's
    /// answer is needed to tell what they were made from.
    pub(crate) fn takes_over(&self, id: StepId, compiled: &Compiled, outputs: &Outputs) -> bool {
        !compiled.by_source
            && self.adopt.iter().any(|asked| self.is_asked(asked, id))
            && outputs.looks.iter().all(|(_, look)| look.content().is_some())
    }

    /// Why it does not take them all the same.
    pub(super) fn not_taken_over(&self, compiled: &Compiled, upstream: &Upstream) -> Option<String> {
        let mut first: Vec<StepId> = upstream.stale.clone();
        first.sort_unstable();
        first.dedup();
        match first.split_first() {
            Some((&step, others)) => {
                let more = if others.is_empty() { String::new() } else { format!(" (+{} more)", others.len()) };
                Some(format!("it reads what is still to be made: {}{more}", self.steps.label(step)))
            }
            None => compiled.rule.common().finds.then(|| UNKNOWN_INPUTS.to_owned()),
        }
    }

    pub(crate) fn taken_over(
        &self,
        id: StepId,
        compiled: &Compiled,
        view: &StepView,
        outputs: &Outputs,
        files: &mut Vec<(PathId, FileRecord)>,
    ) -> Decision {
        if let Some(key) = self.state.step_key(&view.outputs[0])
            && outputs.off.is_empty()
            && key == self.key(id, compiled, None)
        {
            return Decision::Done { status: Status::UpToDate, message: None, record: None };
        }
        files.extend(outputs.looks.iter().filter_map(|(path, look)| match look {
            Look::Hashed(r) => Some((*path, *r)),
            _ => None,
        }));
        let record = StepRecord {
            asked_at: self.now_ms,
            template: compiled.recorded,
            more_outputs: view.outputs[1..].to_vec(),
            before: self.record_of(id).as_ref().map(past).unwrap_or_default(),
            ..StepRecord::default()
        };
        let mut record = self.keyed(id, record, None);
        if outputs.looks.len() > 1 {
            let made = outputs
                .looks
                .iter()
                .filter_map(|(path, look)| Some(made_part(self.state.path(*path), look.content()?)));
            record.parts.extend(made);
        }
        let record = Some(Box::new(record));
        Decision::Done { status: Status::Adopted, message: None, record }
    }
}
