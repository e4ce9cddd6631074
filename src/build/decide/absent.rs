//! What goes with what it reads, where a source has nothing of that.

use std::collections::HashSet;

use crate::pipeline::model::{InputKind, TargetId};
use crate::store::Digest;
use crate::store::state::StepRecord;

use super::Decision;
use super::changes::output_names;
use crate::build::engine::{Engine, Mode};
use crate::build::outcome::{Account, Status};
use crate::build::reason::Reason;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// Whether steps of a target may turn out absent: what is made of what a source has.
    pub(super) fn may_be_absent(&self, target: TargetId) -> bool {
        let (mut open, mut seen) = (vec![target], HashSet::from([target]));
        while let Some(target) = open.pop() {
            if self.reads_a_source(target) {
                return true;
            }
            open.extend(self.pipeline.targets[target].inputs.iter().filter_map(|input| match input.kind {
                InputKind::Target { target, .. } => Some(target).filter(|&target| seen.insert(target)),
                InputKind::Path(_) => None,
            }));
        }
        false
    }

    pub(super) fn absent_with(&self, id: StepId, step: StepId) -> Decision {
        let message = format!("{} is absent", self.steps.label(step));
        let record = self.record_without(id, step).map(Box::new);
        Decision::Done { status: Status::Absent, message: Some(message), record }
    }

    /// What is kept of a step that was made and goes with what it reads: from what and why it was, for when that is back,
    /// by the names that its outputs have then.
    fn record_without(&self, id: StepId, step: StepId) -> Option<StepRecord> {
        let (first, mut made) = (self.record_path(id)?, self.record_of(id)?);
        let were = self.outputs_of_record(first, &made);
        let are_the_same = self.paths(id).eq(were.iter().copied());
        if made.absent.is_some() && (are_the_same || !made.went_with_input()) {
            return None;
        }
        if !are_the_same {
            // Nobody knows those names later, and what they were names of is no input.
            let of_outputs: Vec<[u8; 8]> = were.iter().flat_map(|path| output_names(path)).collect();
            made.parts.retain(|part| !of_outputs.contains(&part.name));
        }
        let more_outputs = self.paths(id).skip(1).map(str::to_owned).collect();
        let why = format!("so was {}, which it reads", self.steps.label(step));
        Some(StepRecord { key: Digest::default(), absent: Some(why), more_outputs, ..made })
    }

    /// Whether a step that would run was absent when its source was last asked, and is only asked again: most likely it
    /// still is.
    pub(super) fn is_still_absent(&self, step: StepId) -> bool {
        let asks = |why: &Reason| why.only_asks() || matches!(why, Reason::ChangedQuestion { .. });
        let only_asked = |account: &Account| account.reasons.iter().all(|why| why.iter().all(asks));
        self.mode == Mode::Look
            && self.steps.step(step).status == Status::Stale
            && self.accounts.get(&step).is_some_and(only_asked)
            && self.was_absent(step)
    }

    pub(super) fn absent_until_asked(&self, step: StepId) -> Decision {
        let message = format!("{} was absent, and is asked about again first", self.steps.label(step));
        Decision::Done { status: Status::Absent, message: Some(message), record: None }
    }
}
