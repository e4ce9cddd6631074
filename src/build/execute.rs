//! Running steps: each one a task that asks or makes, then a message back to the engine.

mod printed;
pub(super) mod scratch;
pub(super) mod started;
pub(super) mod task;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};
use std::time::Instant;

use crate::pipeline::model::Input;
use crate::registry::Heard;
use crate::rules::{Asked, Failure, Job, JobInput, Lane};
use crate::store::{Digest, Sha256, hex};

use self::task::{Answered, Learnt, Making, Message, Outcome, Reply, no_folder};
use super::decide::{Run, Verdict, Work};
use super::engine::Engine;
use super::engine::lacking::Lacking;
use super::events::{Event, Listener, Start};
use super::files::folders;
use super::files::place::{Destination, Placed};
use super::reason::Reason;
use super::steps::StepId;

/// Where what commands printed is kept, in `.layermill`.
const LOGS: &str = "logs";

fn log_name(first: &str) -> String {
    hex(&Digest::of(first.as_bytes()).short()) + ".log"
}

impl Engine<'_> {
    /// Starts all that may start now.
    pub(super) fn launch(&mut self, listener: &mut dyn Listener) {
        while let Some(id) = self.schedule.next() {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            if run.lacking {
                // It was begun before, and told so.
                self.go_on(id);
                continue;
            }
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
        let pool = self.settings_of(id).pool.and_then(|(pool, _)| self.pipeline.pools.get(pool));
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
        self.keep_start(id);
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
                Asked::Answer { bytes, notes, earlier } => match job.blobs.put(&bytes) {
                    Ok(digest) => Ok(Answered::Answer { digest, bytes, notes, by: job.heard.by(), earlier }),
                    Err(e) => Err(Failure::new(format!("cannot keep the answer: {e}"))),
                },
            });
            reply.give(Message::Asked(id, answered));
        });
    }

    pub(super) fn make_from(&mut self, id: StepId, answer: Sha256) {
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

    pub(super) fn make(&mut self, id: StepId, answer: Option<Vec<u8>>) {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else { return };
        if let Some(run) = self.runs.get_mut(&id).filter(|_| compiled.rule.common().lane == Lane::Process) {
            run.attempts = 1;
        }
        // What asks was begun with that.
        if self.runs.get(&id).is_some_and(|run| run.work != Work::Ask) {
            self.keep_start(id);
        }
        let Some(compiled) = &self.rules[target] else { return };
        let given = self.runs.get_mut(&id).and_then(|run| run.given.take());
        let making = Making {
            rule: compiled.rule.clone(),
            given,
            store: self.settings_of(id).cached,
            found_before: self.found_before(id),
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
        let (placer, blobs, scratch) = (self.placer.clone(), self.blobs.clone(), self.scratch_folders.clone());
        let (reply, job) = (Reply::of(self, id), self.job(id, None));
        self.runtime.spawn_blocking(move || {
            // What a command printed once is not of what is brought back now.
            let _ = std::fs::remove_file(&job.log);
            let restored = scratch.take().map_err(|e| no_folder(&e)).and_then(|folder| {
                let restored = placer.restore(&stored, &destinations, &folder, &blobs);
                scratch.give_back(folder);
                restored
            });
            let message = match restored {
                // It is as if it had read them now.
                Ok(Some(placed)) => {
                    Message::Made(id, Ok(Outcome::Placed(Placed { inside: folders::of(&job), ..placed })))
                }
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
            files_in_folders: folders::kept_by_each(self.steps.rows[self.steps.step(id).target as usize].steps.len()),
            answer,
            root: self.pipeline.root.clone(),
            scratch: PathBuf::new(),
            log: if watched { self.log_of(self.path(id, 0)) } else { PathBuf::new() },
            has_log: AtomicBool::new(watched && self.had_log(self.path(id, 0))),
            blobs: self.blobs.clone(),
            retries: settings.retries,
            heard: Heard::default(),
            lacks: OnceLock::new(),
            attempts: AtomicU32::new(0),
            began: AtomicI64::new(0),
            timeout: settings.timeout,
            learnt_since: self.learnt_since(id),
            cancelled: self.cancel.subscribe(),
        }
    }

    /// Where the output of a step's command is kept, named after its first output.
    pub(super) fn log_of(&self, first: &str) -> PathBuf {
        let mut log = self.work_dir.join(LOGS);
        log.push(log_name(first));
        log
    }

    /// Whether there was one when the first command of this build was begun: asked of the folder once, since most commands
    /// print nothing.
    fn had_log(&self, first: &str) -> bool {
        let logs = self.logs_before.get_or_init(|| {
            let logs = std::fs::read_dir(self.work_dir.join(LOGS)).into_iter().flatten();
            logs.filter_map(|log| log.ok()?.file_name().into_string().ok()).collect()
        });
        !logs.is_empty() && logs.contains(&log_name(first))
    }

    /// Takes in what a task tells.
    pub(super) fn handle(&mut self, message: Message, listener: &mut dyn Listener) {
        match message {
            Message::Interrupt => self.interrupt(),
            Message::Asked(id, answered) => self.asked(id, answered, listener),
            Message::NotRestored(id) if self.is_held_back_late(id, listener) => {}
            Message::NotRestored(id) => {
                // It has to be made now, and that may be held back.
                if let Some(decision) = self.upstream(id).held_back {
                    self.schedule.end(id);
                    self.runs.remove(&id);
                    let verdict = Verdict { decision, kept_from: None, perhaps: false, files: Vec::new() };
                    return self.apply(id, verdict, listener);
                }
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
            Message::Found { id, found, verdict } => {
                let failure = self.undeclared(id, found.iter().map(|file| file.path.as_str()));
                // A task that is gone needs no verdict.
                let _ = verdict.send(failure.map_or(Ok(found), Err));
            }
            Message::Noted(id, notes) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.notes.extend(notes.iter().cloned());
                    run.of_made.extend(notes);
                }
            }
            Message::SentBy(id, by) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    let note = format!("what was fetched for it came from {}", by.join(" and "));
                    run.of_made.extend(Some(note).filter(|note| !run.of_made.contains(note)));
                    run.by.extend(by);
                }
            }
            Message::Made(id, outcome) => {
                self.schedule.end(id);
                let Some(run) = self.runs.remove(&id) else { return };
                match outcome {
                    Ok(Outcome::Placed(placed)) => self.made(id, *run, placed, listener),
                    Ok(Outcome::Absent { why, learnt }) => {
                        let learnt = if run.work == Work::Ask { Learnt::Asked } else { learnt };
                        self.absent(id, *run, why, learnt, listener);
                    }
                    Ok(Outcome::Lacking(made, what)) => self.hold(Lacking { id, run, made, what }),
                    Err(failure) => self.failed(id, *run, failure, listener),
                }
            }
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

pub(super) fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
