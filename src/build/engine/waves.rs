//! Steps that are ready are decided wave after wave, many at once, and what was decided is taken in one by one.

use rayon::prelude::*;

use crate::rules::Lane;
use crate::store::state::StoredOutput;

use super::deferral::PutOff;
use super::results::said;
use super::{Engine, Leaf, Mode};
use crate::build::clock::time;
use crate::build::decide::{Decision, Run, Verdict, Work};
use crate::build::events::Listener;
use crate::build::files::Look;
use crate::build::outcome::Status;
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;

/// Below this, handing steps to other threads costs more than deciding them here.
const PARALLEL_FROM: usize = 64;
/// So many files are looked at before what was seen is taken in: what is seen of one takes more room than what is kept.
const LOOKS: usize = 1 << 14;

impl Engine<'_> {
    /// Decides all that is ready, wave after wave, until what is left needs to run.
    pub(crate) fn decide_ready(&mut self, listener: &mut dyn Listener) {
        self.after_settling();
        while !(self.stopping || self.ready.is_empty() && self.withdrawn.is_empty()) {
            self.go_through_late(listener);
            let ready = self.take_ready();
            let ready = self.name_files(ready);
            let ready = self.withhold(ready);
            self.eyes.blink();
            self.look_at_files(&ready);
            let verdicts: Vec<Option<Box<Verdict>>> = if ready.len() < PARALLEL_FROM {
                ready.iter().map(|&id| self.decide(id)).collect()
            } else {
                let this = &*self;
                ready.par_iter().with_min_len(PARALLEL_FROM).map(|&id| this.decide(id)).collect()
            };
            for (id, verdict) in ready.into_iter().zip(verdicts) {
                match verdict {
                    None => self.finish(id, Status::UpToDate),
                    Some(verdict) => self.apply(id, *verdict, listener),
                }
            }
            self.after_settling();
        }
    }

    /// The steps that wait for nothing: all at once, since to take out each that was withdrawn would take as long as
    /// there are steps.
    fn take_ready(&mut self) -> Vec<StepId> {
        let mut ready = std::mem::take(&mut self.ready);
        let withdrawn = std::mem::take(&mut self.withdrawn);
        if !withdrawn.is_empty() {
            ready.retain(|id| !withdrawn.contains(id));
            // What such a step waited for may be over by now.
            let is_ready = |id: &StepId| {
                let step = self.steps.step(*id);
                step.pending == 0 && step.status == Status::Pending
            };
            ready.extend(withdrawn.into_iter().filter(is_ready));
        }
        ready
    }

    /// Looks at the files that these steps read and no step makes: once a run, whoever reads them.
    fn look_at_files(&mut self, ready: &[StepId]) {
        self.looks.resize_with(self.steps.files.len(), Leaf::default);
        let mut due: Vec<u32> = Vec::new();
        for &id in ready {
            for slot in self.steps.slots_of(id) {
                if let Wait::File(file) = slot.wait
                    && self.looks[file as usize] == Leaf::Unseen
                {
                    // Marked at once, so that it is listed once.
                    self.looks[file as usize] = Leaf::Missing;
                    due.push(file);
                }
            }
        }
        for due in due.chunks(LOOKS) {
            let this = &*self;
            let seen: Vec<Option<Look>> =
                due.par_iter().with_min_len(PARALLEL_FROM).map(|&file| this.look_at_file(file)).collect();
            for (&file, look) in due.iter().zip(seen) {
                let path = self.steps.files[file as usize];
                // Of what is as it was, folders alone are looked at that closely.
                let there = |this: &Self| match this.pipeline.root.join(this.state.path(path)).is_dir() {
                    true => Leaf::Folder,
                    false => Leaf::There,
                };
                self.looks[file as usize] = match look {
                    None => Leaf::There,
                    Some(Look::Same(_)) => there(self),
                    Some(Look::Hashed(record)) => {
                        let is_edited = self.state.file_at(path).is_some_and(|then| then.content != record.content);
                        self.state.put_file_at(path, record);
                        if is_edited {
                            self.disown(path);
                        }
                        there(self)
                    }
                    Some(Look::Missing) => Leaf::Missing,
                    Some(Look::Unusable(why)) => {
                        self.unusable.insert(file, why);
                        Leaf::Unusable
                    }
                };
            }
        }
    }

    pub(crate) fn after_settling(&mut self) {
        loop {
            self.settle_groups();
            if self.to_expand.is_empty() {
                return;
            }
            self.expand_due();
        }
    }

    pub(crate) fn apply(&mut self, id: StepId, verdict: Verdict, listener: &mut dyn Listener) {
        for (path, record) in verdict.files {
            self.state.put_file_at(path, record);
        }
        let (kept_from, perhaps) = (verdict.kept_from, verdict.perhaps);
        match verdict.decision {
            Decision::Done { status, message, record } => {
                if status == Status::Absent && self.mode == Mode::Build {
                    self.remove_outputs(id);
                }
                if let Some(record) = record.filter(|_| self.mode != Mode::Look) {
                    self.remember(id, &record);
                }
                if status == Status::Blocked && perhaps {
                    self.account(id, status, kept_from, message, None);
                    self.mark_perhaps(id, true);
                    return self.settle_told(id, status, listener);
                }
                let may_fail = status == Status::Stale && message.is_some();
                self.settle(id, status, kept_from, message, listener);
                // A group makes nothing, and so has no other cause to be told of.
                if let Some(account) = self.accounts.get_mut(&id).filter(|_| may_fail) {
                    (account.may_fail, account.perhaps) = (true, true);
                }
            }
            Decision::PutOff(step) => {
                self.account(id, Status::Deferred, kept_from, Some(self.steps.label(step)), None);
                self.mark_perhaps(id, perhaps);
                self.settle_told(id, Status::Deferred, listener);
            }
            Decision::Failed { message, help } => {
                self.account(id, Status::Failed, kept_from, Some(message), help);
                let is_as_before = self.is_group(id) && self.group_lacks_as_before(id).is_some();
                let is_as_before = is_as_before || self.is_error_perhaps(id);
                self.mark_perhaps(
                    id,
                    is_as_before
                        || self.is_in_doubt(id)
                        || self.waits_for_names(id)
                        || self.waits_for_itself_perhaps(id),
                );
                self.keep_failure(id, None, false);
                self.settle_told(id, Status::Failed, listener);
            }
            Decision::Run(run) if self.mode != Mode::Build => {
                if let Some(why) = self.needs_network(id, &run) {
                    let help = Some("run without `--offline`".to_owned());
                    self.account(id, Status::Failed, Some(run.reasons), Some(why), help);
                    self.mark_perhaps(id, self.is_in_doubt(id));
                    return self.settle_told(id, Status::Failed, listener);
                }
                if let Some(PutOff { why, perhaps }) = self.puts_off(id, &run) {
                    self.account(id, Status::Deferred, Some(run.reasons), Some(why), None);
                    self.mark_perhaps(id, perhaps);
                    return self.settle_told(id, Status::Deferred, listener);
                }
                let perhaps = self.may_not_run(id, &run.reasons) || self.is_restored_perhaps(id, &run);
                // How it failed before is told by that.
                let lacks = self.may_lack(id).filter(|_| run.notes.is_empty() && self.failure_of(id).is_none());
                let may_fail = lacks.is_some();
                // What it only waits for does not hold back what comes back from the store.
                let runs = Some(&run.reasons).filter(|_| !matches!(run.work, Work::Restore(_)));
                let blocked = || self.blocked_as_before(id, runs);
                let (message, work) = (said(&run.notes).or(lacks).or_else(blocked), run.work.word());
                let earlier = Some(&run.work).filter(|work| **work == Work::Ask).and_then(|_| self.told_earlier(id));
                self.account(id, Status::Stale, Some(run.reasons), message, None);
                if let Some(account) = self.accounts.get_mut(&id) {
                    (account.work, account.may_fail) = (Some(work), may_fail);
                    account.earlier = earlier.map(|earlier| {
                        format!("a try that did not end was told {earlier} since {}", time(earlier.since))
                    });
                }
                self.mark_perhaps(id, perhaps);
                if let (Mode::Look, Work::Restore(stored)) = (self.mode, run.work) {
                    self.will_restore(id, stored);
                }
                self.settle_told(id, Status::Stale, listener);
            }
            Decision::Run(mut run) => {
                // What is taken over is compared with what its source answers as if it had been made.
                if let Some(adopted) = run.adopted.take() {
                    self.remember(id, &adopted);
                }
                self.steps.step_mut(id).status = Status::Busy;
                self.queue(id, run);
            }
        }
    }

    /// Whether what is told of a step is seen only while building.
    pub(crate) fn mark_perhaps(&mut self, id: StepId, perhaps: bool) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.perhaps = perhaps;
        }
        match perhaps && self.mode == Mode::Look {
            true => self.steps.unsure.insert(id),
            false => self.steps.unsure.remove(&id),
        };
    }

    /// Puts a step in line for its rule.
    pub(crate) fn queue(&mut self, id: StepId, run: Box<Run>) {
        let target = self.steps.step(id).target as usize;
        let lane = self.rules[target].as_ref().map_or(&Lane::Compute, |c| &c.rule.common().lane);
        self.schedule.push(id, lane, self.settings_of(id).pool);
        self.runs.insert(id, run);
    }

    /// Where nothing is run: what a step will have made is known, unless values are read out of it and cannot be read.
    fn will_restore(&mut self, id: StepId, stored: Vec<StoredOutput>) {
        let is_read = !self.readers[self.steps.step(id).target as usize].is_empty();
        if !is_read || stored.first().is_some_and(|first| self.blobs.peek(&first.blob).is_some()) {
            self.steps.restores.insert(id, stored);
        }
    }
}
