//! Steps that turn out to be wrong once they are done, and what reads from them.

use std::collections::HashSet;

use super::{Engine, Mode};
use crate::build::decide::Decision;
use crate::build::decide::upstream::Upstream;
use crate::build::events::Listener;
use crate::build::outcome::Status;
use crate::build::steps::StepId;
use crate::build::steps::waits::{GroupId, Wait};

/// What is said of a step that was made before it was known that it must not be.
const MADE_BEFORE: &str = "it was made before that was known, and what it made stays; the next build does not make it";

/// Steps that came to another end after they were done.
#[derive(Debug, Default)]
pub(crate) struct Late {
    any: bool,
    /// Those that failed since what waits for such was gone through.
    failed: HashSet<StepId>,
    /// Those that had made what values are read out of: it was read.
    read: HashSet<StepId>,
    /// What stands in line is to be decided again.
    in_line: bool,
    /// A step that was told is told again.
    again: bool,
}

/// What came to another end in one round, and the groups that it is in.
#[derive(Default)]
struct Changed {
    steps: HashSet<StepId>,
    groups: HashSet<GroupId>,
}

impl Engine<'_> {
    /// A step fails that is done already.
    pub(super) fn fail_done(&mut self, id: StepId, was: Status, message: String) {
        let is_made = matches!(was, Status::Built | Status::Restored);
        self.undo(id, Status::Failed, message, is_made.then(|| MADE_BEFORE.to_owned()));
        self.late.failed.insert(id);
        (self.late.any, self.late.in_line) = (true, true);
    }

    /// A step that is done comes to another end.
    fn undo(&mut self, id: StepId, status: Status, message: String, help: Option<String>) {
        if self.steps.step(id).status.has_outputs() {
            self.late.read.insert(id);
        }
        self.account(id, status, None, Some(message), help);
        self.untold.push(id);
        self.steps.step_mut(id).status = status;
        self.steps.mark_all(id);
    }

    /// After steps failed that were done: what was made from them is blocked, as the next build finds it. Where nothing is run,
    /// what waits for them is decided again, as a build comes upon it then.
    pub(super) fn go_through_late(&mut self, listener: &mut dyn Listener) {
        let failed = std::mem::take(&mut self.late.failed);
        if failed.is_empty() {
            return;
        }
        let mut changed = Changed::default();
        failed.into_iter().for_each(|id| self.note_change(id, &mut changed));
        for at in 0..self.pipeline.order.len() {
            let target = self.pipeline.order[at];
            for row in 0..self.steps.rows[target].steps.len() {
                let id = self.steps.rows[target].steps[row];
                let is_behind = !changed.steps.contains(&id) && self.is_behind(id, &changed);
                if is_behind && (self.tell_again(id, listener) || self.block_done(id)) {
                    self.note_change(id, &mut changed);
                }
            }
            if self.mode == Mode::Look {
                for group in self.steps.groups_of(target).collect::<Vec<_>>() {
                    let is_read_out_of = |from: &GroupId| changed.groups.contains(from);
                    if changed.groups.contains(&group) || self.sources(group).iter().any(is_read_out_of) {
                        self.recount(group);
                        changed.groups.insert(group);
                    }
                }
            }
        }
    }

    fn note_change(&mut self, id: StepId, changed: &mut Changed) {
        changed.steps.insert(id);
        changed.groups.extend(self.steps.all_groups_of(id));
    }

    /// Whether a step waits for something that changed.
    fn is_behind(&self, id: StepId, changed: &Changed) -> bool {
        self.steps.slots_of(id).iter().any(|slot| match slot.wait {
            Wait::Step(step) => changed.steps.contains(&step),
            Wait::Group(group) => changed.groups.contains(&group),
            Wait::File(_) | Wait::None => false,
        })
    }

    /// Where nothing is run, decides a step again that was told, and is kept now from what was told of it; whether it was. What
    /// goes on without what failed has been made by then, or has waited; what fails for its own sake still does.
    fn tell_again(&mut self, id: StepId, listener: &mut dyn Listener) -> bool {
        let status = self.steps.step(id).status;
        let is_told = status.has_outputs() || matches!(status, Status::Stale | Status::Deferred | Status::Blocked);
        if self.mode != Mode::Look || !is_told || self.steps.is_misread(id) {
            return false;
        }
        let Upstream { end, held_back, .. } = self.upstream(id);
        if status != Status::Blocked && end.is_none() && held_back.is_none() {
            return false;
        }
        if status.has_outputs() {
            self.late.read.insert(id);
        }
        self.accounts.remove(&id);
        self.steps.at_risk.remove(&id);
        self.steps.unsure.remove(&id);
        self.steps.restores.remove(&id);
        self.steps.step_mut(id).status = Status::Pending;
        self.late.again = true;
        match self.decide(id) {
            None => self.finish(id, Status::UpToDate),
            Some(verdict) => self.apply(id, *verdict, listener),
        }
        self.late.again = false;
        true
    }

    /// Whether a step that ends was told before: what waits for it is woken and counted then.
    pub(super) fn ends_again(&mut self, id: StepId, status: Status) -> bool {
        if self.late.again {
            self.steps.step_mut(id).status = status;
            self.mark_risk(id);
        }
        self.late.again
    }

    /// Where nothing is run, tells a group anew how its steps came out. What keeps its rows from being read is what had not made
    /// anything to read before it failed.
    fn recount(&mut self, group: GroupId) {
        let sources = self.sources(group);
        let this = &mut self.steps.groups[group as usize];
        (this.stale, this.at_risk) = (None, None);
        let (of, rows) = (this.target, this.rows.clone());
        for row in rows {
            self.steps.mark(group, self.steps.rows[of].steps[row as usize]);
        }
        for from in sources {
            let before = self.steps.groups[group as usize].blocked_by;
            self.inherit(group, from);
            let by = self.steps.groups[from as usize].blocked_by;
            if by.is_some_and(|by| self.late.read.contains(&by)) {
                self.steps.groups[group as usize].blocked_by = before;
            }
        }
    }

    /// What stands in line to read from steps that failed after they were done is decided again, since it would be made without
    /// them. Whether anything is.
    pub(super) fn take_back(&mut self, listener: &mut dyn Listener) -> bool {
        if !std::mem::take(&mut self.late.in_line) {
            return false;
        }
        self.go_through_late(listener);
        for id in self.schedule.take_waiting() {
            let Some(run) = self.runs.remove(&id) else { continue };
            if run.lacking || !self.lacks_what_failed(id) {
                self.queue(id, run);
            } else {
                self.steps.step_mut(id).status = Status::Pending;
                self.ready.push(id);
            }
        }
        !self.ready.is_empty()
    }

    /// A step that is done, and reads from one that failed since, is blocked; whether it is.
    fn block_done(&mut self, id: StepId) -> bool {
        let status = self.steps.step(id).status;
        let is_done = status.has_outputs() || status == Status::Stale;
        let by = is_done.then(|| self.blocked_late(id)).flatten();
        let is_blocked = by.is_some();
        by.into_iter().for_each(|by| self.undo(id, Status::Blocked, by, None));
        is_blocked
    }

    /// What was begun before a step that it reads from failed: what it made is of what it read, and is blocked all the same.
    pub(super) fn block_if_late(&mut self, id: StepId) {
        if self.late.any {
            self.block_done(id);
        }
    }

    /// The same of one that was begun, and whose inputs are still to be read.
    pub(crate) fn is_held_back_late(&mut self, id: StepId, listener: &mut dyn Listener) -> bool {
        let Some(by) = self.blocked_late(id) else { return false };
        self.schedule.end(id);
        let reasons = self.runs.remove(&id).map(|run| run.reasons);
        self.settle(id, Status::Blocked, reasons, Some(by), listener);
        true
    }

    /// The step by which one is blocked that was not when it was decided.
    fn blocked_late(&self, id: StepId) -> Option<String> {
        match self.late.any.then(|| self.obstacle(id))?? {
            Decision::Done { status: Status::Blocked, message, .. } => message,
            _ => None,
        }
    }

    /// Whether something that a step waits for has failed, also where it goes on without that.
    fn lacks_what_failed(&self, id: StepId) -> bool {
        let Upstream { end, held_back, .. } = self.upstream(id);
        let slots = 0..self.steps.slots_of(id).len();
        end.is_some() || held_back.is_some() || slots.into_iter().any(|position| self.goes_on_without(id, position))
    }
}
