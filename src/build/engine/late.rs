//! Steps that turn out to be wrong once they are done, and what reads from them.

use super::Engine;
use crate::build::decide::Decision;
use crate::build::decide::upstream::Upstream;
use crate::build::events::Listener;
use crate::build::outcome::Status;
use crate::build::steps::StepId;

/// What is said of a step that was made before it was known that it must not be.
const MADE_BEFORE: &str = "it was made before that was known, and what it made stays; the next build does not make it";

/// Whether steps failed after they were done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Late {
    any: bool,
    /// Since what reads from such steps was gone through.
    new: bool,
}

impl Engine<'_> {
    /// A step fails that is done already.
    pub(super) fn fail_done(&mut self, id: StepId, was: Status, message: String) {
        let is_made = matches!(was, Status::Built | Status::Restored);
        self.undo(id, Status::Failed, message, is_made.then(|| MADE_BEFORE.to_owned()));
        self.late = Late { any: true, new: true };
    }

    /// A step that is done comes to another end.
    fn undo(&mut self, id: StepId, status: Status, message: String, help: Option<String>) {
        self.account(id, status, None, Some(message), help);
        self.untold.push(id);
        self.steps.step_mut(id).status = status;
        self.steps.mark_all(id);
    }

    /// After steps failed that were done: what was made from them is blocked, as the next build finds it, and what stands in
    /// line to read from them is decided again, since it would be made without them. Whether anything is.
    pub(super) fn take_back(&mut self) -> bool {
        if !std::mem::take(&mut self.late.new) {
            return false;
        }
        for at in 0..self.pipeline.order.len() {
            let target = self.pipeline.order[at];
            for row in 0..self.steps.rows[target].steps.len() {
                self.block_done(self.steps.rows[target].steps[row]);
            }
        }
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

    /// A step that is done, and reads from one that failed since, is blocked.
    fn block_done(&mut self, id: StepId) {
        let status = self.steps.step(id).status;
        if (status.has_outputs() || status == Status::Stale)
            && let Some(by) = self.blocked_late(id)
        {
            self.undo(id, Status::Blocked, by, None);
        }
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
