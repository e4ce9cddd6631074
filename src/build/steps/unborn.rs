//! Targets whose steps are not known, since what their values are read out of could not be made.
//!
//! For each such list, a target has one step more, which stands for those that would have come of it: it makes nothing, is
//! blocked or put off by the list, and has the values that came along, and no others. It is no row of its target: what
//! needs the steps of that is blocked by the list itself.

use std::collections::HashMap;

use crate::pipeline::model::{AxisKind, TargetId};

use super::StepId;
use super::expand::parent_of;
use super::intern::Id;
use super::waits::Wait;
use crate::build::engine::{Engine, Mode};
use crate::build::outcome::Status;

#[derive(Default)]
pub(in crate::build) struct Unborn {
    /// The axis whose values are not there, and the step that they would have been read out of.
    by: HashMap<StepId, (usize, StepId)>,
    of: HashMap<TargetId, Vec<StepId>>,
    /// The same by the values that came along: lists that fail may be many.
    with: HashMap<(TargetId, Vec<Id>), StepId>,
}

impl Unborn {
    /// The axis whose values are not there, and the step that they would have been read out of.
    pub fn by(&self, id: StepId) -> Option<(usize, StepId)> {
        self.by.get(&id).copied()
    }

    /// What stands for steps of a target that are not known, in the order in which that was seen.
    pub fn of(&self, target: TargetId) -> &[StepId] {
        self.of.get(&target).map_or(&[], Vec::as_slice)
    }
}

impl Engine<'_> {
    /// What stands for steps of a target that are not known, by the values that are known of them: which list came to its end
    /// first is chance.
    pub(crate) fn unborn_of(&self, target: TargetId) -> Vec<StepId> {
        let mut all = self.steps.unborn.of(target).to_vec();
        all.sort_by_key(|&id| self.steps.values_of(id));
        all
    }

    /// Of each target that reads values out of this one alone: that the steps which would have come of a step of it, where that
    /// could not be made, are not known. `read` are those that had something to read of it all the same.
    pub(super) fn keep_from_being(&mut self, of: TargetId, step: StepId, read: &[TargetId]) {
        for reader in self.readers[of].clone() {
            let this = &self.pipeline.targets[reader];
            if parent_of(this) == Some(of) && !read.contains(&reader) {
                let axis = this.axes.iter().position(|axis| matches!(axis.kind, AxisKind::From { .. }));
                self.keep_one_from_being(reader, axis.unwrap_or(0), step);
            }
        }
    }

    /// The same of one target, by one of its axes.
    pub(super) fn keep_one_from_being(&mut self, target: TargetId, axis: usize, parent: StepId) {
        let status = match self.steps.step(parent).status {
            Status::Failed | Status::Blocked => Status::Blocked,
            Status::Deferred => Status::Deferred,
            _ => return,
        };
        // What a build that stops does not come to is no one's fault.
        let Some(bound) = self.came_along(target, axis, parent).filter(|_| !self.stopping) else { return };
        let with = (target, bound.iter().map(|bound| bound.value).collect());
        if let Some(&same) = self.steps.unborn.with.get(&with) {
            self.steps.wait_also(same, &[Wait::Step(parent)]);
            return;
        }
        let this = &self.pipeline.targets[target];
        let read_from = match this.axes[axis].kind {
            AxisKind::From { target, .. } => Some(target),
            _ => None,
        };
        let id = self.steps.push(target, &bound);
        self.steps.unborn.by.insert(id, (axis, parent));
        self.steps.unborn.of.entry(target).or_default().push(id);
        self.steps.unborn.with.insert(with, id);
        self.steps.set_slots(id, &vec![Wait::None; this.inputs.len() + this.after.len()]);
        self.steps.wait_also(id, &[Wait::Step(parent)]);
        // Another target may describe it, too, and be sure to.
        let perhaps = self.accounts.get(&parent).is_some_and(|account| account.perhaps)
            || self.is_in_doubt(parent)
            || self.mode == Mode::Look && self.may_not_be_of(parent, read_from);
        let is = match (self.steps.step(parent).status, perhaps) {
            (Status::Failed, false) => "failed",
            (Status::Failed, true) => "may fail",
            (Status::Blocked, false) => "is blocked",
            (Status::Blocked, true) => "may be blocked",
            (_, false) => "is put off",
            (_, true) => "may be put off",
        };
        let message = format!("its values are read out of {}, which {is}", self.list_in(parent, target, axis));
        self.account(id, status, None, Some(message), None);
        self.mark_perhaps(id, perhaps);
        self.steps.step_mut(id).status = status;
        self.stats.total += 1;
        self.stats.done += 1;
        self.untold.push(id);
        self.keep_from_being(target, id, &[]);
    }
}
