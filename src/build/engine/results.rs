//! What came of a step's task: an answer, outputs, an absence, or a failure.

use crate::pipeline::model::Freshness;
use crate::rules::Failure;
use crate::store::state::{Asking, StepRecord};
use crate::store::{Digest, Sha256, hex};

use super::Engine;
use crate::build::decide::adoption::TAKEN_OVER;
use crate::build::decide::parts::made_part;
use crate::build::decide::{ABSENT_IS_ERROR, Run, Work};
use crate::build::events::Listener;
use crate::build::execute::relative;
use crate::build::execute::task::{Answered, Learnt};
use crate::build::files::found;
use crate::build::files::place::{NO_FOLDER, Placed};
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::reasons::{Reasons, by_source, gone_through, noted, told_earlier};
use crate::build::steps::StepId;

/// What is to be said of a step that ran.
#[derive(Default)]
pub(crate) struct End {
    pub message: Option<String>,
    pub help: Option<String>,
    /// The last lines of its command, and where all of them are.
    pub output: Vec<String>,
    pub log: Option<String>,
    /// Its source told nothing.
    pub unheard: bool,
}

impl Engine<'_> {
    pub(crate) fn asked(&mut self, id: StepId, answered: Result<Answered, Failure>, listener: &mut dyn Listener) {
        let answered = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                self.schedule.end(id);
                let Some(run) = self.runs.remove(&id) else { return };
                return self.failed(id, *run, failure, listener);
            }
        };
        let (digest, bytes, notes, by, earlier) = match answered {
            Answered::Answer { digest, bytes, notes, by, earlier } => (digest, bytes, notes, by, earlier),
            Answered::Absent(why) => {
                self.schedule.end(id);
                let Some(mut run) = self.runs.remove(&id) else { return };
                // It has no answer any more that the next one could be like.
                run.record.answer = None;
                run.record.asking = Asking::default();
                return self.absent(id, *run, why, Learnt::Asked, listener);
            }
        };
        let Some(mut run) = self.runs.remove(&id) else { return };
        let before = self.state.step(self.path(id, 0));
        let record = std::mem::take(&mut run.record);
        run.record = self.keyed(id, StepRecord { answer: Some(digest), ..record }, Some(&digest));
        // It is as old as the oldest of what it tells.
        run.record.asked_at = earlier.map_or_else(|| self.clock.now_ms(), |earlier| earlier.since);
        // It is not made when it is asked for, and so keeps why that was.
        run.record.why_asked = earlier.map(|earlier| told_earlier(&run.reasons, earlier)).unwrap_or_default();
        if earlier.is_some() {
            self.resumed.insert(id);
        }
        let same = before.as_ref().filter(|b| b.key == run.record.key);
        let unmoved = same.is_some_and(|b| b.absent.is_none());
        let told: Vec<String> = notes.iter().map(|note| note.replace('\n', " ")).collect();
        run.record.asking = Asking { unchanged: unmoved, before: None, by: by.join(" and "), notes: told.join("\n") };
        run.by.extend(by);
        run.notes = notes;
        let still_absent = same.and_then(|b| b.absent.clone()).filter(|_| self.rests_on_the_digest(id));
        if let Some(before) = before {
            if let Some(from) = before.answer.filter(|from| *from != digest) {
                // A layer file that was taken over tells the digest of its image, and not the one that its tag had. A tag file
                // is itself the answer.
                let by_file = before.why.is_none() && before.why_asked.is_empty() || before.why_asked == TAKEN_OVER;
                let what = match by_file && !self.is_file_of(id, &from) {
                    true => Some(format!("the first was {TAKEN_OVER}")),
                    false => self.difference(id, &from, &bytes),
                };
                run.reasons.add(Reason::ChangedAnswer { what, from: hex(&from.0[..8]), to: hex(&digest.0[..8]) });
            }
            // Of the run that made what is there, as long as nothing else is made.
            run.record.made_at = before.last_made();
            run.record.why = self.why_then(id, &before);
        }
        if let Some(why) = still_absent {
            self.schedule.end(id);
            return self.absent(id, *run, why, Learnt::Asked, listener);
        }
        if unmoved && run.intact && !self.is_made_regardless(id) && !self.doomed.contains_key(&id) {
            self.schedule.end(id);
            if earlier.is_none() {
                run.record.why_asked = run.reasons.listed().join("\n");
            }
            self.remember(id, &run.record);
            // Left-out tags are worth their word also where the rest is as it was.
            let message = said(&run.notes);
            let worth_keeping = message.is_some();
            self.ended(id, Status::UpToDate, *run, End { message, ..End::default() }, listener);
            if !worth_keeping {
                self.accounts.remove(&id);
            }
            return;
        }
        self.runs.insert(id, run);
        if !self.is_held_back_late(id, listener) {
            self.make(id, Some(bytes));
        }
    }

    /// Whether a step is made again also where its source answered as before.
    fn is_made_regardless(&self, id: StepId) -> bool {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref();
        self.forced(id) || self.refreshed(id) && compiled.is_some_and(|compiled| self.is_incomplete(id, compiled))
    }

    /// Whether what was not there is taken not to be there as long as the answer is the same.
    fn rests_on_the_digest(&self, id: StepId) -> bool {
        self.settings_of(id).fresh == Freshness::Digest && !self.refreshed(id) && !self.forced(id)
    }

    /// Why a step last ran, and by which source, where that is another one than it has now: its record goes by this one.
    fn why_then(&self, id: StepId, before: &StepRecord) -> Option<String> {
        let why = before.why.clone()?;
        let now = self.rules[self.steps.step(id).target as usize].as_ref()?.template.source.as_ref();
        let then = self.template_of(before).and_then(|template| template.source);
        Some(then.filter(|then| Some(then) != now).map_or(why.clone(), |then| by_source(&why, &then)))
    }

    /// Whether a step's file is the answer of this digest, as it was given.
    fn is_file_of(&self, id: StepId, answer: &Sha256) -> bool {
        std::fs::read(self.pipeline.root.join(self.path(id, 0))).is_ok_and(|bytes| Sha256::of(&bytes) == *answer)
    }

    /// In what an answer differs from the one before, where that is still there: in the store, or in the file that was made
    /// of it.
    fn difference(&self, id: StepId, before: &Sha256, now: &[u8]) -> Option<String> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        let kept = self.blobs.get(before).ok().flatten();
        compiled.rule.difference(&kept.or_else(|| self.answer_of_file(id, compiled, before))?, now)
    }

    pub(crate) fn made(&mut self, id: StepId, mut run: Run, mut placed: Placed, listener: &mut dyn Listener) {
        if let Some(message) = self.doomed.remove(&id) {
            // What it wrote is of two steps, and belongs to no record.
            placed.files.iter().for_each(|(path, _)| self.state.remove(path));
            return self.failed(id, run, Failure::new(message), listener);
        }
        if let Some(why) = self.state.step(self.path(id, 0)).and_then(|before| before.absent) {
            run.reasons.add(Reason::WasAbsent(why));
        }
        let mut found = self.keep_found(placed.found);
        found.extend(placed.inside);
        let mut record = std::mem::take(&mut run.record);
        record.found = found;
        let now = self.clock.now_ms();
        let made_then = match &run.work {
            Work::Restore(stored) => stored.first().map(|output| output.made_at).filter(|at| *at != 0),
            Work::Ask | Work::Make(_) => None,
        };
        if record.answer.is_none() || record.asked_at == 0 {
            record.asked_at = made_then.unwrap_or(now);
        }
        if record.question == Digest::default() {
            record.asking = Asking::default();
        }
        let is_answered_now = matches!(run.work, Work::Ask) && !self.resumed.contains(&id);
        record.made_at = if is_answered_now || record.asked_at == now { 0 } else { now };
        if placed.files.len() > 1 {
            record.parts.extend(placed.files.iter().map(|(path, file)| made_part(path, file.content)));
        }
        let (status, why) = match run.work {
            Work::Restore(_) => {
                let before = self.state.step(self.path(id, 0)).filter(|b| b.key == record.key && b.absent.is_none());
                let made = before.as_ref().and_then(|b| Some((b.last_made(), b.why.as_deref()?)));
                (Status::Restored, run.reasons.to_record_of_restored(made, made_then.unwrap_or(0)))
            }
            Work::Ask | Work::Make(_) => (Status::Built, run.reasons.to_record()),
        };
        record.parts.extend(self.left_out_parts(id));
        let without = self.went_without(id);
        run.of_made.extend(without.clone());
        record.why = Some(noted(why, &run.of_made));
        if !placed.stored.is_empty() {
            placed.stored.iter_mut().for_each(|output| output.made_at = now);
            self.state.put_action(record.key, &placed.stored);
        }
        self.remember(id, &record);
        // Only now: what has a file's record is taken to have been made before.
        placed.files.iter().for_each(|(path, file)| self.state.put_file(path, *file));
        run.notes.extend(without);
        let message = said(&run.notes);
        self.ended(id, status, run, End { message, ..End::default() }, listener);
        // Its maker may have come to be while its outputs were put in place.
        if let Some(failure) = self.undeclared(id, found::paths(&record)) {
            self.refuse(id, failure);
        }
    }

    pub(crate) fn absent(&mut self, id: StepId, run: Run, why: String, learnt: Learnt, listener: &mut dyn Listener) {
        if self.settings_of(id).missing_is_error {
            let failure = Failure { help: Some(ABSENT_IS_ERROR.to_owned()), ..Failure::new(why) };
            return self.failed(id, run, failure, listener);
        }
        if let Some(message) = self.doomed.remove(&id) {
            return self.failed(id, run, Failure::new(message), listener);
        }
        let before = self.state.step(self.path(id, 0));
        let mut run = run;
        if let Some(cause) = before.as_ref().and_then(|before| absent_now(before, &run)) {
            run.reasons.add(cause);
        }
        self.remove_outputs(id);
        let record = std::mem::take(&mut run.record);
        let (answer, now) = (record.answer, self.clock.now_ms());
        let still = before.as_ref().filter(|before| is_still_absent(before, &record, &why));
        let why_then = still.and_then(|still| self.why_then(id, still));
        // Why its source was asked is kept by itself.
        let why_then =
            why_then.map(|then| if learnt == Learnt::Asked { then } else { gone_through(&then, now, &run.reasons) });
        let record = StepRecord {
            absent: Some(why.clone()),
            made_at: still.map_or(now, StepRecord::last_made),
            why: why_then.or_else(|| Some(run.reasons.to_record())),
            ..record
        };
        let record = match learnt {
            Learnt::Asked => told_now(record, still.is_some(), &run.reasons, now),
            Learnt::Seen => seen_now(record, before.as_ref(), now),
        };
        let record = self.keyed(id, record, answer.as_ref());
        self.remember(id, &record);
        self.ended(id, Status::Absent, run, End { message: Some(why), ..End::default() }, listener);
    }

    pub(crate) fn failed(&mut self, id: StepId, run: Run, failure: Failure, listener: &mut dyn Listener) {
        // The last attempt may have printed nothing, and one before it all that can help.
        let log = Some(self.log_of(self.path(id, 0))).filter(|log| run.attempts > 0 && log.exists());
        let log = log.map(|log| relative(&log, &self.pipeline.root));
        let Failure { message, help, output, interrupted, deferral, is_outage } = failure;
        // That it was interrupted, its status says.
        let help = help.or_else(|| self.orphan_in_the_way(id).filter(|_| message.ends_with(NO_FOLDER)));
        let end = End { message: (!interrupted).then_some(message), help, output, log, unheard: is_outage };
        match deferral {
            Some(deferral) if !interrupted => self.put_off(id, run, deferral, end, listener),
            _ => {
                self.doomed.remove(&id);
                let status = if interrupted { Status::Interrupted } else { Status::Failed };
                self.ended(id, status, run, end, listener);
            }
        }
    }

    /// A step that was given to its rule is done.
    fn ended(&mut self, id: StepId, status: Status, run: Run, end: End, listener: &mut dyn Listener) {
        self.stats.ran += 1;
        let unheard = end.unheard;
        self.account_of_run(id, status, &run, end);
        if self.resumed.contains(&id) && !status.blocks() {
            self.keep_end(id);
        }
        self.keep_failure(id, Some(&run), unheard);
        self.settle_told(id, status, listener);
        self.block_if_late(id);
    }

    pub(crate) fn account_of_run(&mut self, id: StepId, status: Status, run: &Run, end: End) {
        self.account(id, status, Some(run.reasons.clone()), end.message, end.help);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.output = end.output;
            account.log = end.log;
            account.took = run.started.map(|started| started.elapsed());
            account.attempts = run.attempts;
            account.by = run.by.iter().cloned().collect();
        }
    }
}

/// Whether there was nothing before, either: for the same reason, or by the same answer, in whatever words that tells it.
fn is_still_absent(before: &StepRecord, record: &StepRecord, why: &str) -> bool {
    let asked = |record: &StepRecord| (record.question, record.answer);
    let is_same_answer = record.question != Digest::default() && asked(before) == asked(record);
    before.absent.as_deref().is_some_and(|then| then == why || is_same_answer && !before.went_with_input())
}

/// What that is a change of: of what was there, or of what showed that there is nothing.
fn absent_now(before: &StepRecord, run: &Run) -> Option<Reason> {
    let Some(then) = &before.absent else { return Some(Reason::Gone) };
    let answers = [before.answer, run.record.answer];
    // That one digest became another is told as soon as that is answered.
    if run.work != Work::Ask
        || before.went_with_input()
        || answers[0] == answers[1]
        || answers.iter().all(Option::is_some)
    {
        return None;
    }
    let [from, to] = answers.map(|answer| answer.map_or_else(|| "absent".to_owned(), |digest| hex(&digest.0[..8])));
    Some(Reason::ChangedAnswer { what: Some(format!("before: {then}")), from, to })
}

/// The record of a step whose source said now that there is nothing: asked again, it is absent for what it was asked then.
fn told_now(record: StepRecord, still: bool, reasons: &Reasons, now: i64) -> StepRecord {
    StepRecord {
        asked_at: now,
        made_at: if still { record.made_at } else { 0 },
        why_asked: if still { Reasons::of_asking(&reasons.to_record()).join("\n") } else { String::new() },
        asking: Asking { unchanged: still, before: None, ..record.asking },
        ..record
    }
}

/// The same where the store has what shows it, and nobody was asked.
fn seen_now(record: StepRecord, before: Option<&StepRecord>, now: i64) -> StepRecord {
    if record.question != Digest::default() {
        return record;
    }
    let asked = before.filter(|before| before.last_asked().is_some());
    let why_asked = asked.and_then(StepRecord::asked_because).map(|why| Reasons::of_asking(why).join("\n"));
    let asking = asked.map(|asked| asked.asking.clone()).unwrap_or_default();
    StepRecord {
        // From now on it is reckoned how long that is believed.
        asked_at: now,
        why_asked: why_asked.unwrap_or_default(),
        asking: Asking { before: Some(asked.and_then(StepRecord::last_asked).unwrap_or(0)), ..asking },
        ..record
    }
}

pub(crate) fn said(notes: &[String]) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}
