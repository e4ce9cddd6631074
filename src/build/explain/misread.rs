//! What is told of a target that cannot read its values out of what was made, and of what was made.

use crate::pipeline::model::TargetId;

use super::{Explanation, Standing};
use crate::build::engine::Engine;
use crate::build::steps::StepId;
use crate::build::steps::values::{Values, each_once};
use crate::build::steps::waits::{GroupId, Wait};

impl Engine<'_> {
    /// That a target's steps cannot be told, since an axis, its own or one before it, cannot be read.
    pub(super) fn cannot_be_told(&self, target: TargetId, misread: StepId) -> String {
        let why = self.accounts.get(&misread).and_then(|account| account.message.clone()).unwrap_or_default();
        let own = self.steps.step(misread).target as usize == target;
        let of = if own { String::new() } else { format!("{}: ", self.steps.label(misread)) };
        format!("its steps cannot be told: {of}{why}")
    }

    /// What stands for steps that are not known, since what their values would have been read out of cannot be read.
    pub(super) fn misread_explanation(&self, id: StepId) -> Explanation {
        let target = self.steps.step(id).target as usize;
        let told = self.told_of_target(target, &self.known_values_of(id)).unwrap_or_default();
        let account = self.accounts.get(&id);
        self.beside_misread(
            id,
            Explanation {
                step: self.steps.label(id),
                standing: Standing::Step(self.steps.step(id).status),
                perhaps: account.is_some_and(|account| account.perhaps),
                doubt: self.why_in_doubt(id),
                message: account.and_then(|account| account.message.clone()),
                ..told
            },
        )
    }

    /// What stands for steps that are not known, since what their values would have been read out of could not be made.
    pub(super) fn unborn_explanation(&self, id: StepId, axis: usize, list: StepId) -> Explanation {
        let (target, known) = (self.steps.step(id).target as usize, self.known_values_of(id));
        let told = self.told_of_target(target, &known).unwrap_or_default();
        // Whether it is blocked is seen by the first list that came to no end.
        let mut first = list;
        while let Some((_, before)) = self.steps.unborn.by(first) {
            first = before;
        }
        Explanation {
            step: self.steps.label(id),
            standing: Standing::Step(self.steps.step(id).status),
            perhaps: self.accounts.get(&id).is_some_and(|account| account.perhaps),
            doubt: self.why_in_doubt(first),
            message: Some(self.steps.label(list)),
            waits: true,
            read_out_of: each_once(std::iter::once(self.list_in(list, target, axis)).chain(told.read_out_of)),
            list_failures: self.list_failures(target, &known),
            again: vec![format!(
                "a build comes: it makes each step that comes of what {} makes",
                self.steps.label(list)
            )],
            ..told
        }
    }

    /// What it is read out of, and what helps.
    pub(super) fn beside_misread(&self, misread: StepId, told: Explanation) -> Explanation {
        let target = self.steps.step(misread).target as usize;
        let list = self.steps.misread_by(misread).map(|(axis, parent)| self.list_in(parent, target, axis));
        Explanation {
            help: Some("once that is mended, a build makes each step that comes of it".to_owned()),
            read_out_of: each_once(list.into_iter().chain(told.read_out_of)),
            again: vec!["a build comes once what is at fault is mended".to_owned()],
            ..told
        }
    }

    /// What stands for the step of these values, as far as they are known.
    pub(super) fn misread_for(&self, target: TargetId, values: &[(usize, String)]) -> Option<StepId> {
        let mut rows = self.steps.rows[target].steps.iter().copied().filter(|&id| self.steps.is_misread(id));
        let may_be = |known: Values| known.iter().all(|(b, v)| values.iter().all(|(of, value)| of != b || value == v));
        rows.find(|&id| may_be(self.known_values_of(id)))
    }

    fn known_values_of(&self, id: StepId) -> Values {
        let bindings = self.steps.target(id).bindings.iter().zip(self.steps.values_of(id)).enumerate();
        let known = bindings.filter(|(_, (binding, _))| self.steps.is_known_of(id, binding));
        known.map(|(at, (_, value))| (at, value.to_owned())).collect()
    }

    /// Which rows of a group could not be read.
    pub(super) fn misread_of(&self, group: GroupId) -> Vec<StepId> {
        self.steps.misread_behind(group, &self.sources(group)).collect()
    }

    /// Whether there are any.
    pub(crate) fn is_misread_group(&self, group: GroupId) -> bool {
        self.steps.misread_behind(group, &self.sources(group)).next().is_some()
    }

    /// Why a target's steps cannot be told, where that is since an axis, its own or one before it, cannot be read.
    pub(crate) fn why_not_told(&self, target: TargetId) -> Option<String> {
        let first =
            |target: TargetId| self.steps.rows[target].steps.iter().copied().find(|&id| self.steps.is_misread(id));
        let mut open = vec![target];
        while let Some(of) = open.pop() {
            match first(of) {
                Some(misread) => return Some(self.cannot_be_told(target, misread)),
                None => open.extend(self.pipeline.targets[of].parents()),
            }
        }
        None
    }

    /// That an entry under `inputs:` names steps which cannot be told, with what is at fault first.
    pub(super) fn misread_input(&self, id: StepId, position: usize) -> Option<String> {
        let Wait::Group(group) = self.steps.inputs_of(id)[position].wait else { return None };
        let misread = self.misread_of(group);
        let (first, others) = misread.split_first()?;
        let more = if others.is_empty() { String::new() } else { format!(" (+{} more)", others.len()) };
        Some(self.cannot_be_told(self.steps.groups[group as usize].target, *first) + &more)
    }

    /// Of a step that is as it should be: which targets cannot read what it made, each with why.
    pub(super) fn misread_notes(&self, id: StepId) -> Vec<String> {
        let note = |row: StepId| {
            let account = self.accounts.get(&row);
            let fails = if account.is_some_and(|account| account.perhaps) { "may fail" } else { "fails" };
            let why = account.and_then(|account| account.message.as_deref()).unwrap_or_default();
            format!("{} {fails}: {why}", self.steps.label(row))
        };
        self.steps.misreaders(id).into_iter().map(note).collect()
    }
}
