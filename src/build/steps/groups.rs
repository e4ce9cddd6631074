//! Groups: when they are made, which rows they count, what closes them, and whom they wake.

use std::collections::HashMap;

use crate::pipeline::model::{AxisKind, InputKind, StepsOf, TargetId};

use super::StepId;
use super::expand::{Pending, parent_of};
use super::intern::Id;
use super::waits::{Group, GroupId, Risk, Wait};
use crate::build::engine::Engine;

impl Engine<'_> {
    /// Groups must be known before the rows that fall into them.
    pub(crate) fn make_group_sets(&mut self) {
        for target in
            self.pipeline.order.iter().rev().copied().filter(|&t| self.wanted[t].is_wanted()).collect::<Vec<_>>()
        {
            let this = &self.pipeline.targets[target];
            for (position, input) in this.inputs.iter().enumerate() {
                if let InputKind::Target { target: of, on, .. } = &input.kind
                    && self.direct[target][position].is_none()
                {
                    self.need_group_set(*of, &on.iter().map(|(theirs, _)| *theirs).collect::<Vec<_>>());
                }
            }
            for StepsOf { target: of, values, .. } in &this.after {
                self.need_group_set(*of, &values.iter().map(|(theirs, _)| *theirs).collect::<Vec<_>>());
            }
            for of in this.parents().collect::<Vec<_>>() {
                self.need_group_set(of, &[]);
                self.readers[of].push(target);
            }
            for &other in &this.joined_by {
                self.need_lists_of(other);
            }
        }
        // Pushed consumers first; expansion goes producers first.
        let order: HashMap<TargetId, usize> = self.pipeline.order.iter().enumerate().map(|(i, &t)| (t, i)).collect();
        for readers in &mut self.readers {
            readers.sort_by_key(|t| order[t]);
            readers.dedup();
        }
    }

    /// A group of a target closes with a group of the target that it is read out of: that one is needed too.
    pub(super) fn need_group_set(&mut self, target: TargetId, on: &[usize]) {
        self.steps.group_set(target, on);
        if let Some(parent) = parent_of(&self.pipeline.targets[target]) {
            let (_, inherited) = self.inherited(target, on);
            self.need_group_set(parent, &inherited);
        }
    }

    /// Which of these bindings come along from the parent, by their places, and the bindings that they are there.
    pub(super) fn inherited(&self, target: TargetId, on: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let target = &self.pipeline.targets[target];
        let of_parent = |(place, &b): (usize, &usize)| {
            let binding = &target.bindings[b];
            let from = matches!(target.axes[binding.axis].kind, AxisKind::From { .. });
            Some((place, binding.parent.filter(|_| from)?))
        };
        on.iter().enumerate().filter_map(of_parent).unzip()
    }

    pub(crate) fn join_group(&mut self, of: TargetId, joined: &[(usize, String)]) -> Wait {
        let on: Vec<usize> = joined.iter().map(|(theirs, _)| *theirs).collect();
        let values: Vec<Id> = joined.iter().map(|(_, value)| self.steps.names.intern(value)).collect();
        let set = self.steps.group_set(of, &on);
        Wait::Group(self.group(of, set, &values))
    }

    /// The group with these values; where it is new, what closes it is settled.
    pub(crate) fn group(&mut self, target: TargetId, set: usize, values: &[Id]) -> GroupId {
        let (group, new) = self.steps.group(target, set, values);
        if new {
            self.set_closing(target, set, values, group);
        }
        group
    }

    fn set_closing(&mut self, target: TargetId, set: usize, values: &[Id], group: GroupId) {
        if self.closed[target] {
            self.steps.groups[group as usize].closed = true;
            return;
        }
        let Some(parent) = parent_of(&self.pipeline.targets[target]) else { return };
        let on = self.steps.rows[target].group_sets[set].on.clone();
        let (places, inherited) = self.inherited(target, &on);
        let values: Vec<Id> = places.into_iter().map(|place| values[place]).collect();
        let parent_set = self.steps.group_set(parent, &inherited);
        let parent_group = self.group(parent, parent_set, &values);
        if self.steps.is_complete(parent_group) {
            self.close_group(group, parent_group);
        } else {
            self.steps.groups[parent_group as usize].closes.push(group);
        }
    }

    /// No more rows can come into `group`, since all of `from` has been read.
    fn close_group(&mut self, group: GroupId, from: GroupId) {
        self.inherit(group, from);
        let group = &mut self.steps.groups[group as usize];
        group.closed = true;
        group.read_out_of = Some(from);
    }

    /// What is the matter with the steps that rows were read out of is the matter with the rows.
    pub(crate) fn inherit(&mut self, group: GroupId, from: GroupId) {
        let [own, inherited] = [group, from].map(|g| self.steps.groups[g as usize].blocked_by);
        let mut blocked_by = self.steps.earlier(own, inherited);
        // Which values its target would have read out of these steps is not known, either.
        for &misread in self.steps.misread_in(self.steps.groups[group as usize].target, from) {
            blocked_by = self.steps.earlier(blocked_by, Some(misread));
        }
        let Group { stale, at_risk, .. } = self.steps.groups[from as usize];
        let group = &mut self.steps.groups[group as usize];
        // Where nothing is run, what a stale step will give is not known.
        group.stale = group.stale.or(stale);
        group.at_risk = Risk::worse(group.at_risk, at_risk);
        group.blocked_by = blocked_by;
    }

    /// No more rows can come to a target, since all of `from` has been read.
    pub(crate) fn close_target(&mut self, target: TargetId, from: &[GroupId]) {
        self.closed[target] = true;
        for group in self.steps.groups_of(target).collect::<Vec<_>>() {
            from.iter().for_each(|&from| self.inherit(group, from));
            self.steps.groups[group as usize].closed = true;
            self.check_group.push(group);
        }
    }

    /// A row is done: what is read out of it comes next, and only then do its groups count it.
    pub(crate) fn row_done(&mut self, target: TargetId, row: u32, step: StepId) {
        if self.readers[target].iter().any(|&r| parent_of(&self.pipeline.targets[r]).is_some()) {
            self.to_expand.push(Pending { target, row, step });
        } else {
            self.count_row(target, step);
        }
    }

    pub(crate) fn count_row(&mut self, target: TargetId, step: StepId) {
        for set in 0..self.steps.rows[target].group_sets.len() {
            let group = self.steps.group_of(target, set, step);
            self.steps.mark(group, step);
            let group_state = &mut self.steps.groups[group as usize];
            group_state.pending -= 1;
            if group_state.pending == 0 {
                self.check_group.push(group);
            }
        }
    }

    /// Wakes what waits on groups that became complete, and closes the groups that waited for them to close.
    pub(crate) fn settle_groups(&mut self) {
        while let Some(group) = self.check_group.pop() {
            if !self.steps.is_complete(group) {
                continue;
            }
            self.steps.wake_group(group, &mut self.ready);
            if !self.withheld.is_empty() {
                self.withdrawn.extend(self.withheld.remove(&group).into_iter().flatten());
            }
            for closes in std::mem::take(&mut self.steps.groups[group as usize].closes) {
                self.close_group(closes, group);
                self.check_group.push(closes);
            }
            self.expand_waiting(self.steps.groups[group as usize].target);
        }
    }
}
