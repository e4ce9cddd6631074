//! Rows of a target that cannot be read: what a step made is there, and an axis does not find its values in it.
//!
//! The step is as it is. What fails is the target that reads: for each output that it reads in vain it has one row more,
//! which makes nothing and stands for the steps that are not known. It has the values that came along, and no others.

use std::collections::HashMap;

use crate::pipeline::model::{AxisKind, Binding, TargetId};
use crate::pipeline::pattern;

use super::expand::{Pending, parent_of};
use super::waits::{GroupId, Wait};
use super::{Bound, NONE, StepId, Steps};
use crate::build::engine::Engine;

/// The rows of all targets that could not be read.
#[derive(Default)]
pub(in crate::build) struct Misread {
    /// The axis that could not be read, and the step whose output that is.
    rows: HashMap<StepId, (usize, StepId)>,
    /// By the target, and by that step.
    by_parent: HashMap<(TargetId, StepId), StepId>,
    /// By the target, and by the group of that step.
    by_group: HashMap<(TargetId, GroupId), Vec<StepId>>,
}

impl Steps<'_> {
    /// Whether it stands for the steps that would have come of an output which could not be read.
    pub(in crate::build) fn is_misread(&self, id: StepId) -> bool {
        self.misread.rows.contains_key(&id)
    }

    /// The axis that could not be read, and the step whose output that is.
    pub(in crate::build) fn misread_by(&self, id: StepId) -> Option<(usize, StepId)> {
        self.misread.rows.get(&id).copied()
    }

    /// The row of a target in place of what it would have read out of a step, where it could not.
    pub(in crate::build) fn misread_out_of(&self, target: TargetId, parent: StepId) -> Option<StepId> {
        self.misread.by_parent.get(&(target, parent)).copied()
    }

    /// The same of all steps of a group.
    pub(in crate::build) fn misread_in(&self, target: TargetId, from: GroupId) -> &[StepId] {
        self.misread.by_group.get(&(target, from)).map_or(&[], Vec::as_slice)
    }

    /// The same of all that the rows of a group are read out of.
    pub(in crate::build) fn misread_behind(&self, group: GroupId, sources: &[GroupId]) -> impl Iterator<Item = StepId> {
        let target = self.groups[group as usize].target;
        sources.iter().flat_map(move |&from| self.misread_in(target, from).iter().copied())
    }

    /// The rows of targets that read what a step made, and could not.
    pub(in crate::build) fn misreaders(&self, parent: StepId) -> Vec<StepId> {
        let of = self.misread.rows.iter().filter(|(_, (_, of))| *of == parent);
        let mut rows: Vec<StepId> = of.map(|(&row, _)| row).collect();
        rows.sort_unstable();
        rows
    }

    /// Whether a step has a value for this binding: what stands for steps that are not known has those that came along.
    pub(in crate::build) fn is_known_of(&self, id: StepId, binding: &Binding) -> bool {
        let Some((axis, parent)) = self.misread_by(id).or_else(|| self.unborn.by(id)) else { return true };
        binding.axis == axis && self.comes_along(parent, binding)
    }

    /// Whether the value of a binding is one of the step that its axis is read out of.
    fn comes_along(&self, parent: StepId, binding: &Binding) -> bool {
        binding.parent.is_some_and(|theirs| self.is_known_of(parent, &self.target(parent).bindings[theirs]))
    }
}

impl Engine<'_> {
    /// A row that no values can be read out of by one of its readers, unless it is about to be made again anyway.
    pub(super) fn misread_row(&mut self, target: TargetId, row: Pending, why: &str) {
        let sets = 0..self.steps.rows[row.target].group_sets.len();
        let groups: Vec<GroupId> = sets.map(|set| self.steps.group_of(row.target, set, row.step)).collect();
        let axes = &self.pipeline.targets[target].axes;
        let axis = axes.iter().position(|axis| matches!(axis.kind, AxisKind::From { .. })).unwrap_or(0);
        let parent_row = parent_of(&self.pipeline.targets[target]).map(|_| row.row);
        self.misread(target, axis, row.step, parent_row, &groups, why);
    }

    /// The same of a target that reads from several others.
    pub(super) fn misread_of_several(
        &mut self,
        target: TargetId,
        axis: usize,
        (group, step): (GroupId, StepId),
        why: &str,
    ) {
        self.misread(target, axis, step, None, &[group], why);
    }

    fn misread(
        &mut self,
        target: TargetId,
        axis: usize,
        parent: StepId,
        parent_row: Option<u32>,
        groups: &[GroupId],
        why: &str,
    ) {
        // What is asked in each build is read as it was last built: there is never more of it before a build.
        if self.steps.is_open(parent) && self.asked_behind(parent).is_none() {
            return;
        }
        let Some(bound) = self.came_along(target, axis, parent) else { return };
        let this = &self.pipeline.targets[target];
        let AxisKind::From { output, .. } = this.axes[axis].kind else { return };
        let path = self.path(parent, output);
        let why = why.strip_prefix(path).and_then(|why| why.strip_prefix(": ")).unwrap_or(why);
        let binding = &this.bindings[this.axes[axis].binding].name;
        let said =
            |path: &str, maker: &str| format!("{{{binding}}} cannot be read out of {path}, which {maker} made: {why}");
        let message = said(path, &self.steps.label(parent));
        let of = self.steps.target(parent);
        let shared = said(&pattern::template(&of.outputs[output].pattern, &of.bindings), &of.name);
        let id = self.steps.push(target, &bound);
        let misread = &mut self.steps.misread;
        misread.rows.insert(id, (axis, parent));
        misread.by_parent.insert((target, parent), id);
        groups.iter().for_each(|&group| misread.by_group.entry((target, group)).or_default().push(id));
        self.steps.set_slots(id, &vec![Wait::None; this.inputs.len() + this.after.len()]);
        self.add_row(target, id, parent_row);
        self.stats.total += 1;
        self.fail(id, message, None);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.shared_message = Some(shared);
        }
        // What is made again may be read then.
        self.mark_perhaps(id, self.steps.is_open(parent) || self.is_in_doubt(parent));
    }

    /// The values that came along for the steps of a target that would have been read out of one, as far as they are known;
    /// `None` where none of these steps is wanted.
    pub(super) fn came_along(&mut self, target: TargetId, axis: usize, parent: StepId) -> Option<Vec<Bound>> {
        let none = self.steps.names.intern("");
        let (mut bound, mut known) = (Vec::new(), Vec::new());
        for (place, binding) in self.pipeline.targets[target].bindings.iter().enumerate() {
            let comes_along = binding.axis == axis && self.steps.comes_along(parent, binding);
            let value = binding.parent.filter(|_| comes_along).map(|theirs| self.steps.bound(parent)[theirs].value);
            known.extend(value.map(|value| (place, self.steps.names.get(value).to_owned())));
            bound.push(Bound { value: value.unwrap_or(none), fingerprint: NONE });
        }
        self.wanted[target].may_take(&known).then_some(bound)
    }
}
