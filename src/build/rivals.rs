//! Several targets that make one file: those that describe the same step, and those that undo each other's work.

use crate::pipeline::model::{InputKind, Pattern, TargetId};
use crate::pipeline::{backwards, pattern};

use super::engine::Engine;
use super::request;
use super::steps::StepId;
use super::waits::Wait;

impl Engine<'_> {
    /// The other targets that may make a step's output: those that describe the same step, and those that do not.
    pub(super) fn other_makers(&self, id: StepId) -> (Vec<String>, Vec<String>) {
        let own = self.steps.step(id).target as usize;
        let makers = self.paths(id).flat_map(|path| request::makers(self.pipeline, path));
        let mut others: Vec<TargetId> =
            makers.filter(|(target, values)| self.may_have(*target, values)).map(|(target, _)| target).collect();
        others.sort_unstable();
        others.dedup();
        let (same, rivals): (Vec<_>, Vec<_>) =
            others.into_iter().filter(|&t| t != own).partition(|&target| self.describes(target, id));
        let named = |targets: Vec<TargetId>| targets.iter().map(|&t| self.pipeline.targets[t].name.clone()).collect();
        (named(same), named(rivals))
    }

    /// Whether a target that may make a step's output describes the same step.
    fn describes(&self, target: TargetId, id: StepId) -> bool {
        let own = self.steps.step(id).target as usize;
        let names = |target: TargetId| self.pipeline.targets[target].bindings.iter().map(|b| &b.name);
        let digest = |target: TargetId| self.rules[target].as_ref().map(|compiled| compiled.template_digest);
        self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|(t, _)| *t == target))
            || names(target).eq(names(own))
                && self.inputs_in_words(target) == self.inputs_in_words(own)
                && digest(target) == digest(own)
    }

    /// What a target reads, as far as two targets can be compared by it.
    fn inputs_in_words(&self, target: TargetId) -> Vec<String> {
        let target = &self.pipeline.targets[target];
        let text = |p: &Pattern| pattern::template(p, &target.bindings);
        let inputs = target.inputs.iter().map(|input| match &input.kind {
            InputKind::Path(path) => text(path),
            InputKind::Target { target: of, on, partial } => {
                let on: Vec<_> = on.iter().map(|(binding, value)| (binding, text(value))).collect();
                format!("{of} {partial} {on:?}")
            }
        });
        inputs.collect()
    }

    /// Rivals among what a step reads, where the steps of one of them are still to come: once they are there, both fail.
    pub(super) fn rival_inputs(&self, id: StepId) -> Vec<String> {
        let of = |input: &InputKind| match input {
            InputKind::Target { target, .. } => Some(*target),
            InputKind::Path(_) => None,
        };
        let mut read: Vec<TargetId> = self.steps.target(id).inputs.iter().filter_map(|input| of(&input.kind)).collect();
        read.sort_unstable();
        read.dedup();
        let to_come = read.iter().filter(|&&target| self.unknown(target, &|step| !self.is_settled(step)).is_some());
        let rivals = to_come.filter_map(|&target| {
            let (step, path) = self.input_steps(id).into_iter().find_map(|step| {
                let is_other = self.steps.step(step).target as usize != target && !self.describes(target, step);
                let path = self.paths(step).find(|path| is_other && self.may_make(target, path))?;
                Some((step, path))
            })?;
            let (step, name) = (self.steps.label(step), &self.pipeline.targets[target].name);
            Some(format!("{step} and `{name}` may make one file, {path}: then both fail, and this is blocked"))
        });
        rivals.collect()
    }

    fn may_make(&self, target: TargetId, path: &str) -> bool {
        let outputs = &self.pipeline.targets[target].outputs;
        outputs
            .iter()
            .flat_map(|o| backwards::match_path(&o.pattern, path))
            .any(|values| self.may_have(target, &values))
    }

    /// The steps that a step reads from, as far as they are known.
    fn input_steps(&self, id: StepId) -> Vec<StepId> {
        let inputs = self.steps.target(id).inputs.len();
        let steps = self.steps.slots_of(id)[..inputs].iter().flat_map(|slot| match slot.wait {
            Wait::Step(step) => vec![step],
            Wait::Group(group) => self.steps.ordered(group),
            Wait::File(_) | Wait::None => Vec::new(),
        });
        steps.collect()
    }
}
