//! Taking over outputs that lie there without a record: unasked where a rule knows them for its own, and by hand.

use crate::rules::StepView;
use crate::store::state::{FileRecord, PathId, StepRecord};
use crate::store::{Digest, Sha256};

use super::clock;
use super::decide::{Decision, Outputs};
use super::engine::{Compiled, Engine, Mode};
use super::files::{self, Look};
use super::outcome::Status;
use super::parts::made_part;
use super::reasons::past;
use super::steps::StepId;

/// What is said of an answer that nobody was asked for.
pub(super) const TAKEN_OVER: &str = "taken over with the file";
/// Why the outputs of a step that finds inputs while it runs are not taken over.
pub(super) const UNKNOWN_INPUTS: &str = "it has a depfile: what it read is known only once it ran";

impl Engine<'_> {
    /// Whether what a step found while it ran is not known, since its outputs were taken over: it has to run.
    pub(super) fn is_blind(&self, id: StepId, record: &StepRecord) -> bool {
        record.why.is_none() && record.found.is_empty() && self.finds(id)
    }

    /// Takes over an output without a record, where its rule knows it for one of its own.
    pub(super) fn adopt(
        &self,
        id: StepId,
        compiled: &Compiled,
        view: &StepView,
        files: &mut Vec<(PathId, FileRecord)>,
    ) -> Option<StepRecord> {
        /// No tag or layer file is larger, in bytes.
        const LARGEST: u64 = 256 << 20;
        if !compiled.by_source {
            return None;
        }
        let path = self.pipeline.root.join(&view.outputs[0]);
        let meta = std::fs::symlink_metadata(&path).ok().filter(|m| m.is_file() && m.len() <= LARGEST)?;
        let before = clock::now_ns();
        let bytes = std::fs::read(&path).ok()?;
        let answer = match compiled.rule.adopt(view, &bytes)? {
            Some(answer) if self.mode == Mode::Look => Some(Sha256::of(&answer)),
            Some(answer) => Some(self.blobs.put(&answer).ok()?),
            None => None,
        };
        let question = compiled.rule.question(view).map(|q| Digest::of(q.as_bytes()));
        if question.is_some() != answer.is_some() {
            return None;
        }
        files.push((self.steps.outputs(id)[0], files::record(&meta, Digest::of(&bytes), before)));
        let record = StepRecord {
            question: question.unwrap_or_default(),
            answer,
            asked_at: files::mtime(&meta) / 1_000_000,
            template: compiled.recorded,
            ..StepRecord::default()
        };
        Some(self.keyed(id, record, answer.as_ref()))
    }

    /// Whether `adopt` takes this step's outputs as they are: it was asked for, all of them are there, and no source's
    /// answer is needed to tell what they were made from.
    pub(super) fn takes_over(&self, id: StepId, compiled: &Compiled, outputs: &Outputs) -> bool {
        !compiled.by_source
            && self.adopt.iter().any(|asked| self.is_asked(asked, id))
            && outputs.looks.iter().all(|(_, look)| look.content().is_some())
    }

    pub(super) fn taken_over(
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
