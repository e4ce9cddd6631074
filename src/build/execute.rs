//! Running steps: each one a task that asks or makes, then a message back to the engine.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use crate::pipeline::model::{Freshness, Input};
use crate::rules::{Asked, Failure, Job, JobInput, Lane};
use crate::store::state::StepRecord;
use crate::store::{Sha256, hex};

use super::adoption::TAKEN_OVER;
use super::decide::{ABSENT_IS_ERROR, Run, Work};
use super::engine::Engine;
use super::events::{Event, Listener, Start};
use super::folders;
use super::outcome::Status;
use super::parts::made_part;
use super::place::{Destination, Placed};
use super::reason::Reason;
use super::steps::StepId;
use super::task::{self, Answered, Making, Message, Outcome, Reply, no_folder};

/// What is to be said of a step that ran.
#[derive(Default)]
pub(super) struct End {
    pub message: Option<String>,
    pub help: Option<String>,
    /// The last lines of its command, and where all of them are.
    pub output: Vec<String>,
    pub log: Option<String>,
}

impl Engine<'_> {
    /// Starts all that may start now.
    pub(super) fn launch(&mut self, listener: &mut dyn Listener) {
        while let Some(id) = self.schedule.next() {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            run.started = Some(Instant::now());
            let work = run.work.clone();
            self.tell_start(id, listener);
            match work {
                Work::Ask => self.ask(id),
                Work::Make(None) => self.make(id, None),
                Work::Make(Some(answer)) => self.make_from(id, answer),
                Work::Restore(_) => self.restore(id),
            }
        }
    }

    fn tell_start(&self, id: StepId, listener: &mut dyn Listener) {
        let Some(run) = self.runs.get(&id) else { return };
        let target = self.steps.step(id).target as usize;
        let lane = self.rules[target].as_ref().map_or(&Lane::Compute, |c| &c.rule.common().lane);
        let pool = self.pipeline.targets[target].pool.and_then(|(pool, _)| self.pipeline.pools.get(pool));
        listener.hear(&Event::Started(Start {
            id,
            step: &self.steps.label(id),
            work: run.work.word(),
            lane: match lane {
                Lane::Compute => "compute",
                Lane::Process => "process",
                Lane::Source(identity, _) => identity,
            },
            pool: pool.map(|(name, _)| name.as_str()),
            reasons: &run.reasons,
        }));
    }

    fn ask(&mut self, id: StepId) {
        let target = self.steps.step(id).target as usize;
        let Some(rule) = self.rules[target].as_ref().map(|c| c.rule.clone()) else { return };
        let job = self.job(id, None);
        let mut cancelled = self.cancel.subscribe();
        let reply = Reply::of(self, id);
        self.runtime.spawn(async move {
            let asked = tokio::select! {
                asked = rule.ask(&job) => asked,
                () = task::cancelled(&mut cancelled) => Err(Failure::interrupted()),
            };
            let answered = asked.and_then(|asked| match asked {
                Asked::Absent(why) => Ok(Answered::Absent(why)),
                Asked::Answer { bytes, notes } => match job.blobs.put(&bytes) {
                    Ok(digest) => Ok(Answered::Answer { digest, bytes, notes }),
                    Err(e) => Err(Failure::new(format!("cannot keep the answer: {e}"))),
                },
            });
            reply.give(Message::Asked(id, answered));
        });
    }

    fn make_from(&mut self, id: StepId, answer: Sha256) {
        match self.blobs.get(&answer) {
            Ok(Some(bytes)) => self.make(id, Some(bytes)),
            Ok(None) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.work = Work::Ask;
                    run.reasons.add(Reason::LostAnswer);
                }
                self.ask(id);
            }
            Err(e) => {
                let failure = Failure::new(format!("cannot read the recorded answer: {e}"));
                let _ = self.send.send(Message::Made(id, Err(failure)));
            }
        }
    }

    fn make(&mut self, id: StepId, answer: Option<Vec<u8>>) {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else { return };
        if let Some(run) = self.runs.get_mut(&id).filter(|_| compiled.rule.common().lane == Lane::Process) {
            run.attempts = 1;
            self.keep_start(id);
        }
        let Some(compiled) = &self.rules[target] else { return };
        let making = Making {
            rule: compiled.rule.clone(),
            store: compiled.cached,
            destinations: self.destinations_of(id),
            placer: self.placer.clone(),
            folders: self.scratch_folders.clone(),
            job: self.job(id, answer),
        };
        self.runtime.spawn(making.run(Reply::of(self, id)));
    }

    fn restore(&mut self, id: StepId) {
        let Some(Run { work: Work::Restore(stored), .. }) = self.runs.get(&id).map(|r| &**r) else { return };
        let (stored, destinations) = (stored.clone(), self.destinations_of(id));
        let (placer, blobs, folders) = (self.placer.clone(), self.blobs.clone(), self.scratch_folders.clone());
        let (reply, log) = (Reply::of(self, id), self.log_of(id));
        self.runtime.spawn_blocking(move || {
            // What a command printed once is not of what is brought back now.
            let _ = std::fs::remove_file(log);
            let restored = folders.take().map_err(|e| no_folder(&e)).and_then(|folder| {
                let restored = placer.restore(&stored, &destinations, &folder, &blobs);
                folders.give_back(folder);
                restored
            });
            let message = match restored {
                Ok(Some(placed)) => Message::Made(id, Ok(Outcome::Placed(placed))),
                Ok(None) => Message::NotRestored(id),
                Err(failure) => Message::Made(id, Err(failure)),
            };
            reply.give(message);
        });
    }

    fn destinations_of(&self, id: StepId) -> Vec<Destination> {
        self.runs.get(&id).map(|r| r.outputs.clone()).unwrap_or_default()
    }

    fn job(&self, id: StepId, answer: Option<Vec<u8>>) -> Job {
        let target = self.steps.target(id);
        let settings = self.settings_of(id);
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref();
        let watched = compiled.is_some_and(|c| c.rule.common().lane == crate::rules::Lane::Process);
        let named = |input: &Input| JobInput {
            name: input.name.clone(),
            may_be_folders: watched && folders::may_be(input, self.pipeline),
            ..JobInput::default()
        };
        let mut inputs: Vec<JobInput> = target.inputs.iter().map(named).collect();
        self.each_input(id, &mut |position, path, _| {
            inputs[position].paths.push(path.to_owned());
            inputs[position].seen.extend(self.state.file(path).filter(|_| watched));
        });
        Job {
            step: self.view(id),
            inputs,
            answer,
            root: self.pipeline.root.clone(),
            scratch: PathBuf::new(),
            log: if watched { self.log_of(id) } else { PathBuf::new() },
            blobs: self.blobs.clone(),
            retries: settings.retries,
            attempts: AtomicU32::new(0),
            timeout: target.timeout,
            cancelled: self.cancel.subscribe(),
        }
    }

    /// Where the output of a step's command is kept, named after its first output.
    pub(super) fn log_of(&self, id: StepId) -> PathBuf {
        let digest = crate::store::Digest::of(self.path(id, 0).as_bytes());
        self.work_dir.join("logs").join(format!("{}.log", hex(&digest.short())))
    }

    /// Takes in what a task tells.
    pub(super) fn handle(&mut self, message: Message, listener: &mut dyn Listener) {
        match message {
            Message::Interrupt => self.interrupt(),
            Message::Asked(id, answered) => self.asked(id, answered, listener),
            Message::NotRestored(id) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.work = Work::Make(None);
                }
                self.make(id, None);
            }
            Message::Ran(id, printed, attempts) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.attempts = attempts;
                }
                if let Some(printed) = printed {
                    listener.hear(&Event::Output { id, step: &self.steps.label(id), printed: &printed });
                }
            }
            Message::Noted(id, notes) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.notes.extend(notes);
                }
            }
            Message::Made(id, outcome) => {
                self.schedule.end(id);
                let Some(run) = self.runs.remove(&id) else { return };
                match outcome {
                    Ok(Outcome::Placed(placed)) => self.made(id, *run, placed, listener),
                    Ok(Outcome::Absent(why)) => self.absent(id, *run, why, listener),
                    Err(failure) => self.failed(id, *run, failure, listener),
                }
            }
        }
    }

    fn asked(&mut self, id: StepId, answered: Result<Answered, Failure>, listener: &mut dyn Listener) {
        let answered = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                self.schedule.end(id);
                let Some(run) = self.runs.remove(&id) else { return };
                return self.failed(id, *run, failure, listener);
            }
        };
        let (digest, bytes, notes) = match answered {
            Answered::Answer { digest, bytes, notes } => (digest, bytes, notes),
            Answered::Absent(why) => {
                self.schedule.end(id);
                let Some(mut run) = self.runs.remove(&id) else { return };
                // It has no answer any more that the next one could be like.
                run.record.answer = None;
                return self.absent(id, *run, why, listener);
            }
        };
        let Some(mut run) = self.runs.remove(&id) else { return };
        let before = self.state.step(self.path(id, 0));
        let record = std::mem::take(&mut run.record);
        run.record = self.keyed(id, StepRecord { answer: Some(digest), ..record }, Some(&digest));
        run.record.asked_at = self.clock.now_ms();
        run.record.why_asked.clear();
        run.notes = notes;
        let same = before.as_ref().filter(|b| b.key == run.record.key);
        let unmoved = same.is_some_and(|b| b.absent.is_none());
        let still_absent = same.and_then(|b| b.absent.clone()).filter(|_| self.rests_on_the_digest(id));
        if let Some(before) = before {
            if let Some(from) = before.answer.filter(|from| *from != digest) {
                // A file that was taken over tells the digest of its image, and not the one that its tag had.
                let by_file = before.why.is_none() && before.why_asked.is_empty() || before.why_asked == TAKEN_OVER;
                let what = match by_file {
                    true => Some(format!("the first was {TAKEN_OVER}")),
                    false => self.difference(id, &from, &bytes),
                };
                run.reasons.lead(Reason::ChangedAnswer { what, from: hex(&from.0[..8]), to: hex(&digest.0[..8]) });
            }
            // Of the run that made what is there, as long as nothing else is made.
            run.record.made_at = before.last_made();
            run.record.why = before.why;
        }
        if let Some(why) = still_absent {
            self.schedule.end(id);
            return self.absent(id, *run, why, listener);
        }
        if unmoved && run.intact && !self.doomed.contains_key(&id) {
            self.schedule.end(id);
            run.record.why_asked = run.reasons.listed().join("\n");
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
        self.make(id, Some(bytes));
    }

    /// Whether what was not there is taken not to be there as long as the answer is the same.
    fn rests_on_the_digest(&self, id: StepId) -> bool {
        self.settings_of(id).fresh == Freshness::Digest && !self.refreshed(id) && !self.forced(id)
    }

    /// In what an answer differs from the one before, where that is still there.
    fn difference(&self, id: StepId, before: &Sha256, now: &[u8]) -> Option<String> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        compiled.rule.difference(&self.blobs.get(before).ok()??, now)
    }

    fn made(&mut self, id: StepId, mut run: Run, mut placed: Placed, listener: &mut dyn Listener) {
        if let Some(message) = self.doomed.remove(&id) {
            // What it wrote is of two steps, and belongs to no record.
            placed.files.iter().for_each(|(path, _)| self.state.remove(path));
            return self.failed(id, run, Failure::new(message), listener);
        }
        if let Some(failure) = self.undeclared(id, &placed.found) {
            // What it was made from before is still recorded, also where what it wrote now lies there instead.
            return self.failed(id, run, failure, listener);
        }
        if let Some(why) = self.state.step(self.path(id, 0)).and_then(|before| before.absent) {
            run.reasons.lead(Reason::WasAbsent(why));
        }
        let mut found = self.keep_found(placed.found);
        found.extend(placed.inside);
        for (path, record) in &placed.files {
            self.state.put_file(path, *record);
        }
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
        record.made_at = if matches!(run.work, Work::Ask) || record.asked_at == now { 0 } else { now };
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
        record.why = Some(why);
        if !placed.stored.is_empty() {
            placed.stored.iter_mut().for_each(|output| output.made_at = now);
            self.state.put_action(record.key, &placed.stored);
        }
        self.remember(id, &record);
        run.notes.extend(self.went_without(id));
        let message = said(&run.notes);
        self.ended(id, status, run, End { message, ..End::default() }, listener);
    }

    fn absent(&mut self, id: StepId, run: Run, why: String, listener: &mut dyn Listener) {
        if self.settings_of(id).missing_is_error {
            let failure = Failure { help: Some(ABSENT_IS_ERROR.to_owned()), ..Failure::new(why) };
            return self.failed(id, run, failure, listener);
        }
        if let Some(message) = self.doomed.remove(&id) {
            return self.failed(id, run, Failure::new(message), listener);
        }
        let before = self.state.step(self.path(id, 0));
        let mut run = run;
        if before.as_ref().is_some_and(|before| before.absent.is_none()) {
            run.reasons.lead(Reason::Gone);
        }
        let before = before.filter(|before| before.absent.as_ref() == Some(&why));
        self.remove_outputs(id);
        let record = std::mem::take(&mut run.record);
        let answer = record.answer;
        // Asked again, it is absent for what it was asked then.
        let why_asked = before.as_ref().map(|_| run.reasons.listed().join("\n"));
        let record = StepRecord {
            absent: Some(why.clone()),
            why_asked: why_asked.unwrap_or_default(),
            made_at: before.as_ref().map_or(0, StepRecord::last_made),
            why: before.and_then(|before| before.why).or_else(|| Some(run.reasons.to_record())),
            asked_at: self.clock.now_ms(),
            ..record
        };
        let record = self.keyed(id, record, answer.as_ref());
        self.remember(id, &record);
        self.ended(id, Status::Absent, run, End { message: Some(why), ..End::default() }, listener);
    }

    pub(super) fn failed(&mut self, id: StepId, run: Run, failure: Failure, listener: &mut dyn Listener) {
        // The last attempt may have printed nothing, and one before it all that can help.
        let log = Some(self.log_of(id)).filter(|log| run.attempts > 0 && log.exists());
        let log = log.map(|log| relative(&log, &self.pipeline.root));
        let Failure { message, help, output, interrupted, deferral } = failure;
        let end = End { message: Some(message), help, output, log };
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
        self.account_of_run(id, status, &run, end);
        self.keep_failure(id, Some(run.work.word()));
        self.settle_told(id, status, listener);
    }

    pub(super) fn account_of_run(&mut self, id: StepId, status: Status, run: &Run, end: End) {
        self.account(id, status, Some(run.reasons.clone()), end.message, end.help);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.output = end.output;
            account.log = end.log;
            account.took = run.started.map(|started| started.elapsed());
            account.attempts = run.attempts;
        }
    }

    /// Ends children, starts nothing more, keeps what is done.
    fn interrupt(&mut self) {
        self.interrupted = true;
        self.stop();
        // No task may be left to listen.
        let _ = self.cancel.send(true);
    }

    /// Starts nothing more; what runs may end.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.schedule.clear();
    }
}

pub(super) fn said(notes: &[String]) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}

pub(super) fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
