//! How a step ends: what is remembered of it, what is told, and what it wakes.

use crate::pipeline::model::Axis;
use crate::pipeline::problem::Span;
use crate::store::state::StepRecord;

use super::Engine;
use crate::build::events::{Event, Listener};
use crate::build::outcome::{Account, Status};
use crate::build::reasons::Reasons;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// Every step has an end; one that has none would otherwise be passed over in silence.
    pub(crate) fn fail_unreached(&mut self) {
        for id in self.unfinished().collect::<Vec<_>>() {
            let message = "it never became ready: this is a mistake of layermill's, please report it".to_owned();
            self.account(id, Status::Failed, None, Some(message), None);
            self.steps.step_mut(id).status = Status::Failed;
            self.untold.push(id);
        }
    }

    /// Tells the failures of steps that never became ready.
    pub(crate) fn tell_untold(&mut self, listener: &mut dyn Listener) {
        for id in std::mem::take(&mut self.untold) {
            self.keep_failure(id, None, false);
            self.tell(id, listener);
        }
    }

    /// Tells how a step came out. Of a group, what it names tells that, but for a failure of its own.
    fn tell(&self, id: StepId, listener: &mut dyn Listener) {
        if let Some(account) = self.accounts.get(&id).filter(|a| a.status == Status::Failed || !self.is_group(id)) {
            listener.hear(&Event::Finished { id, account });
        }
    }

    /// Keeps what a step was made from.
    pub(crate) fn remember(&mut self, id: StepId, record: &StepRecord) {
        let target = self.steps.step(id).target as usize;
        // The text is one for all of a target's steps.
        if let Some(compiled) = &self.rules[target]
            && self.state.template(&compiled.recorded).is_none()
        {
            self.state.put_template(&compiled.template.text());
        }
        let paths = self.steps.outputs(id).to_vec();
        let left = self.left_behind(id);
        self.state.put_step_at(paths[0], record);
        left.iter().for_each(|(path, record)| self.state.put_step_at(*path, record));
        // Whoever made these by themselves before does not any more.
        for &path in &paths[1..] {
            if self.state.step_key_at(path).is_some() {
                let file = self.state.file_at(path);
                let name = self.state.path(path).to_owned();
                self.state.remove(&name);
                file.into_iter().for_each(|file| self.state.put_file_at(path, file));
            }
        }
    }

    /// Removes the outputs of a step that has become absent, where they are ours, and what is remembered of them.
    pub(crate) fn remove_outputs(&mut self, id: StepId) {
        for (path, record) in self.left_behind(id) {
            self.state.put_step_at(path, &record);
        }
        for position in 0..self.steps.outputs(id).len() {
            let path = self.path(id, position).to_owned();
            if self.state.file(&path).is_some() {
                // What cannot be removed has no record any more, and is not believed by anyone.
                let _ = self.placer.remove(&path);
                self.state.remove(&path);
            }
        }
    }

    /// A step is done.
    pub(crate) fn settle(
        &mut self,
        id: StepId,
        status: Status,
        reasons: Option<Reasons>,
        message: Option<String>,
        listener: &mut dyn Listener,
    ) {
        if !matches!(status, Status::UpToDate | Status::Pending | Status::Busy) || message.is_some() {
            self.account(id, status, reasons, message, None);
        }
        self.settle_told(id, status, listener);
    }

    pub(crate) fn settle_told(&mut self, id: StepId, status: Status, listener: &mut dyn Listener) {
        self.tell(id, listener);
        self.finish(id, status);
    }

    /// Marks a step as done and wakes what waits for it.
    pub(crate) fn finish(&mut self, id: StepId, status: Status) {
        if self.ends_again(id, status) {
            return;
        }
        self.steps.step_mut(id).status = status;
        if status == Status::Failed && self.fail_fast {
            self.stop();
        }
        self.stats.done += 1;
        self.mark_risk(id);
        if status.has_outputs() {
            self.note_finder(id);
        }
        self.steps.wake_step(id, &mut self.ready);
        let step = self.steps.step(id);
        let (target, row) = (step.target as usize, step.row);
        self.row_done(target, row, id);
        if !self.steps.shared.is_empty() {
            for (target, row) in self.steps.shared.get(&id).cloned().unwrap_or_default() {
                self.row_done(target, row, id);
            }
        }
    }

    pub(crate) fn account(
        &mut self,
        id: StepId,
        status: Status,
        reasons: Option<Reasons>,
        message: Option<String>,
        help: Option<String>,
    ) {
        let account = Account {
            step: self.steps.label(id),
            target: self.steps.step(id).target as usize,
            status,
            reasons,
            work: None,
            perhaps: false,
            may_fail: false,
            message,
            shared_message: None,
            help,
            output: Vec::new(),
            log: None,
            took: None,
            attempts: 0,
            by: Vec::new(),
            blocks: 0,
            last_failure: None,
            earlier: None,
        };
        self.accounts.insert(id, account);
    }

    /// A step that cannot be: it fails before it is ever ready.
    pub(crate) fn fail(&mut self, id: StepId, message: String, help: Option<String>) {
        self.account(id, Status::Failed, None, Some(message), help);
        self.untold.push(id);
        self.finish(id, Status::Failed);
    }

    /// A step turns out to be wrong after others have come to know it.
    pub(crate) fn fail_late(&mut self, id: StepId, message: String) {
        match self.steps.step(id).status {
            Status::Failed => {}
            status if status.is_done() => {
                self.fail_done(id, status, message);
            }
            Status::Busy if self.schedule.withdraw(id) => {
                self.runs.remove(&id);
                self.fail(id, message, None);
            }
            Status::Busy => drop(self.doomed.insert(id, message)),
            _ => {
                self.withdrawn.insert(id);
                self.fail(id, message, None);
            }
        }
    }

    /// A target's values cannot be told.
    pub(crate) fn fail_target(&mut self, axis: &Axis, message: String) {
        self.problem(axis.span, "cannot read the values of this axis", message);
    }

    pub(crate) fn problem(&mut self, span: Span, message: &str, label: String) {
        self.problems.at(span, message, label);
    }
}
