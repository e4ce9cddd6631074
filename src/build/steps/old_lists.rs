//! Lists that a source could not be asked for again: what it answered last stands, and so do the steps that came of that.

use crate::build::decide::Decision;
use crate::build::engine::Engine;
use crate::build::outcome::Status;
use crate::pipeline::model::TargetId;
use crate::store::Digest;

use super::StepId;

impl Engine<'_> {
    /// Whether a step that could not be made anew has an answer to its question, of before.
    pub(super) fn was_answered(&self, step: StepId) -> bool {
        let is_kept_from = matches!(self.steps.step(step).status, Status::Failed | Status::Blocked | Status::Deferred);
        let compiled = self.rules[self.steps.step(step).target as usize].as_ref();
        let question = || Some(Digest::of(compiled?.rule.question(&self.view(step))?.as_bytes()));
        let was_asked =
            || self.record_of(step).is_some_and(|then| then.absent.is_none() && Some(then.question) == question());
        is_kept_from && !self.steps.outputs(step).is_empty() && was_asked()
    }

    /// Remembers a step that values were read out of, where it could not be made anew.
    pub(super) fn note_old_list(&mut self, step: StepId, is_read: bool) {
        if is_read && self.steps.step(step).status.blocks() {
            self.old_lists.insert(step);
        }
    }

    /// What keeps a step from being made that comes of such lists alone: it is what it was, or waits for them.
    pub(crate) fn held_back_by_list(&self, id: StepId) -> Option<Decision> {
        if self.old_lists.is_empty() {
            return None;
        }
        let lists: Option<Vec<StepId>> =
            self.steps.rows_of(id).map(|(target, _)| self.old_list_of(target, id)).collect();
        let first = lists?.into_iter().min()?;
        Some(match self.steps.step(first).status {
            Status::Deferred => Decision::PutOff(first),
            _ => self.blocked(first),
        })
    }

    /// Such a list that a target reads the values of a step out of.
    fn old_list_of(&self, target: TargetId, id: StepId) -> Option<StepId> {
        // Two targets of one step may have their bindings in another order.
        let ours = &self.steps.target(id).bindings;
        let value = |binding: usize| {
            let name = &self.pipeline.targets[target].bindings.get(binding)?.name;
            let place = ours.iter().position(|binding| binding.name == *name)?;
            Some(self.steps.names.get(self.steps.bound(id)[place].value))
        };
        let axes = 0..self.pipeline.targets[target].axes.len();
        axes.filter_map(|axis| self.parent_step(target, axis, value)).find(|list| self.old_lists.contains(list))
    }
}
