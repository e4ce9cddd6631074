//! What has to be built before it is seen whether a target has a step of these values, and what is asked in each build, so
//! that this is never seen before.

use crate::pipeline::model::TargetId;

use super::StepId;
use super::values::made_list;
use crate::build::engine::Engine;
use crate::build::outcome::Status;

impl Engine<'_> {
    /// What the values of a step are read out of that is still to be built, what there is to say of that, and what has to be
    /// built first, which is there to be built.
    pub(crate) fn awaited(&self, target: TargetId, values: &[(usize, String)]) -> Option<(String, String, StepId)> {
        if !self.may_have(target, values) {
            return None;
        }
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let axes = 0..self.pipeline.targets[target].axes.len();
        // Of several that its values are read out of, one may be there and not have its own.
        let tells_all = values.len() == self.pipeline.targets[target].bindings.len();
        if tells_all && axes.clone().any(|axis| self.is_read_without(target, axis, values)) {
            return None;
        }
        let mut parents = axes.clone().filter_map(|axis| Some((axis, self.parent_step(target, axis, value)?)));
        if let Some((axis, step)) = parents.find(|&(_, step)| self.is_to_come(step)) {
            return Some((self.list_in(step, target, axis), self.standing_of(step), step));
        }
        if let Some((axis, misread)) =
            axes.clone().find_map(|axis| Some((axis, self.misread_row_of(target, axis, value)?)))
        {
            return Some((made_list(self.pipeline, target, axis, values)?, self.standing_of(misread), misread));
        }
        // Of a parent that has no steps yet either, its own parent is what is to be built.
        let (parent, first) = axes.clone().find_map(|axis| self.unborn(target, axis, values))?;
        let label = self.steps.label(first);
        let what = format!("whether there still is such a step is seen only once {label} is built");
        Some((parent, what, first))
    }

    /// The step that is asked in each build, where a step's values, or those that they came with, are read out of that or of
    /// what needs it, and what came of its last answer is there to be read: it will never be settled.
    pub(crate) fn always_asked(&self, target: TargetId, values: &[(usize, String)]) -> Option<StepId> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        (0..self.pipeline.targets[target].axes.len()).find_map(|axis| {
            let parent = self.parent_step(target, axis, value).filter(|&parent| self.is_read_as_of_last_build(parent));
            let asked = parent.and_then(|parent| self.asked_behind(parent));
            // What it was read out of may itself be read out of such a list.
            asked.or_else(|| {
                let (parent, theirs) = self.read_from(target, axis, values)?;
                self.always_asked(parent, &theirs)
            })
        })
    }

    /// What stands for the steps of a target that would have been read out of the step with such values, and could not.
    fn misread_row_of<'v>(
        &self,
        target: TargetId,
        axis: usize,
        value: impl Fn(usize) -> Option<&'v str>,
    ) -> Option<StepId> {
        self.steps.misread_out_of(target, self.parent_step(target, axis, value)?)
    }

    /// What can be read out of it is known.
    pub(crate) fn is_settled(&self, step: StepId) -> bool {
        let status = self.steps.step(step).status;
        status.has_outputs() || status == Status::Absent || self.steps.restores.contains_key(&step)
    }

    /// What can be read out of it is seen once it is built.
    pub(crate) fn is_to_come(&self, step: StepId) -> bool {
        !self.is_settled(step) && !self.is_read_as_of_last_build(step)
    }

    /// Why a step has not been built.
    fn standing_of(&self, step: StepId) -> String {
        let (account, word) = (self.accounts.get(&step), self.standing_word(step));
        // What keeps it from being made, or did when it was tried, weighs more than why it would be.
        let kept = account.filter(|_| self.steps.step(step).status.blocks()).and_then(|a| a.message.clone());
        let failed = || account.and_then(|a| a.last_failure.as_ref()).filter(|failed| failed.word() == word);
        let kept = kept.or_else(|| failed().map(|failed| failed.message.clone()));
        let why = kept.or_else(|| account.and_then(|a| a.reasons.as_ref().map(ToString::to_string)));
        let why = why.or_else(|| account.and_then(|a| a.message.clone()));
        let is = if word == Status::Failed.word() { "it" } else { "it is" };
        why.map_or_else(|| word.to_owned(), |why| format!("{is} {word} ({why})"))
    }

    /// Whether what came of the last answer is all that there is of it before a build: that there is nothing, too.
    pub(crate) fn is_read_as_of_last_build(&self, step: StepId) -> bool {
        self.asked_behind(step).is_some() && (self.was_absent(step) || self.bytes_to_read(step, 0).is_some())
    }

    /// The name of what an axis reads out of, where that itself is still to come, and what has to be built for that.
    fn unborn(&self, target: TargetId, axis: usize, values: &[(usize, String)]) -> Option<(String, StepId)> {
        let (parent, theirs) = self.read_from(target, axis, values)?;
        let lookup = |binding: usize| theirs.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let first = (0..self.pipeline.targets[parent].axes.len()).find_map(|axis| {
            let step = self.parent_step(parent, axis, lookup).filter(|&s| self.is_to_come(s));
            let step = step.or_else(|| self.misread_row_of(parent, axis, lookup));
            step.or_else(|| self.unborn(parent, axis, &theirs).map(|(_, first)| first))
        })?;
        Some((made_list(self.pipeline, target, axis, values)?, first))
    }
}
