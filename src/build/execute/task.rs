//! A task: what makes one step beside the engine, and tells it what came of that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use crate::registry::Earlier;
use crate::rules::{Failure, Job, Lane, Made, Rule};
use crate::store::Sha256;
use crate::store::state::FileRecord;

use super::printed;
use super::scratch::ScratchFolders;
use crate::build::engine::Engine;
use crate::build::events::Printed;
use crate::build::files::folders;
use crate::build::files::found::{self, FoundFile};
use crate::build::files::meddled;
use crate::build::files::place::{Destination, Placed, Placer};
use crate::build::steps::StepId;

/// What a task tells the engine.
#[derive(Debug)]
pub(crate) enum Message {
    Asked(StepId, Result<Answered, Failure>),
    Made(StepId, Result<Outcome, Failure>),
    /// What a command printed, and how often it was run; sent before what came of it.
    Ran(StepId, Option<Printed>, u32),
    /// What the person should know of what was made; sent before what came of it.
    Noted(StepId, Vec<String>),
    /// Who sent the content that it was made of; sent before what came of it.
    SentBy(StepId, Vec<String>),
    /// What a step found that it reads, before its outputs are in place: whether it may have.
    Found {
        id: StepId,
        found: Vec<FoundFile>,
        verdict: oneshot::Sender<Result<Vec<FoundFile>, Failure>>,
    },
    /// The store did not have a step's outputs whole any more.
    NotRestored(StepId),
    /// The person wants to stop.
    Interrupt,
}

#[derive(Debug)]
pub(crate) enum Answered {
    Answer {
        digest: Sha256,
        bytes: Vec<u8>,
        notes: Vec<String>,
        /// Who gave it, where that was not the source's own address alone.
        by: Vec<String>,
        earlier: Option<Earlier>,
    },
    Absent(String),
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Placed(Placed),
    /// There is nothing, and why.
    Absent {
        why: String,
        learnt: Learnt,
    },
    /// What it comes to without what another step may bring, and what that is, in words.
    Lacking(Made, String),
}

/// How it came out that a source has nothing for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// Somebody was asked.
    Asked,
    /// The store has what shows it.
    Seen,
}

/// A task's one answer to the engine, which waits for it. One is given also where the task panics.
pub(crate) struct Reply {
    send: Sender<Message>,
    id: StepId,
    given: bool,
}

impl Reply {
    pub(crate) fn of(engine: &Engine<'_>, id: StepId) -> Self {
        Self { send: engine.send.clone(), id, given: false }
    }

    /// Tells what is no answer yet.
    fn tell(&self, message: Message) {
        let _ = self.send.send(message);
    }

    pub(crate) fn give(mut self, message: Message) {
        self.given = true;
        // The engine outlives its tasks unless it stops on an error, and then no one listens.
        let _ = self.send.send(message);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.given {
            let failure = Failure::new("the step came to no end: this is a mistake of layermill's, please report it");
            let _ = self.send.send(Message::Made(self.id, Err(failure)));
        }
    }
}

/// All that making a step takes.
pub(crate) struct Making {
    pub rule: Arc<dyn Rule>,
    pub job: Job,
    /// The outputs are kept in the store, too.
    pub store: bool,
    /// What it came to before, where nothing has come since of what it lacked.
    pub given: Option<Made>,
    /// What its last run found.
    pub found_before: Vec<(String, Option<FileRecord>)>,
    pub destinations: Vec<Destination>,
    pub placer: Arc<Placer>,
    pub folders: Arc<ScratchFolders>,
}

impl Making {
    pub async fn run(mut self, reply: Reply) {
        let outcome = match self.folders.take() {
            Err(e) => Err(no_folder(&e)),
            Ok(folder) => {
                self.job.scratch.clone_from(&folder);
                let outcome = self.outcome(&reply).await;
                // What was made in memory and is in place has left nothing.
                if self.rule.common().lane != Lane::Process && !self.store && outcome.is_ok() {
                    self.folders.give_back_empty(folder);
                } else {
                    self.folders.give_back(folder);
                }
                outcome
            }
        };
        let id = reply.id;
        reply.give(Message::Made(id, outcome));
    }

    async fn outcome(&mut self, reply: &Reply) -> Result<Outcome, Failure> {
        let given = self.given.take();
        let job = &self.job;
        let was_asked = given.is_some();
        let before = found::before(&self.found_before, &job.root);
        let made = match given {
            Some(made) => made,
            None => self.made(reply).await?,
        };
        let sent_by = job.heard.sent_by();
        if !sent_by.is_empty() {
            reply.tell(Message::SentBy(reply.id, sent_by));
        }
        if let Some(what) = job.lacks.get() {
            return Ok(Outcome::Lacking(made, what.clone()));
        }
        let (contents, found) = match made {
            Made::Absent(why) => {
                let learnt = if was_asked || job.heard.was_asked() { Learnt::Asked } else { Learnt::Seen };
                return Ok(Outcome::Absent { why, learnt });
            }
            Made::Outputs(contents) => (contents, Vec::new()),
            Made::Noted(contents, notes) => {
                reply.tell(Message::Noted(reply.id, notes));
                (contents, Vec::new())
            }
            Made::Found(contents, found) => (contents, judged(found::look(&found, job, &before)?, reply).await?),
        };
        let store = self.store.then_some(&job.blobs);
        let placed = self.placer.place(contents, &self.destinations, &job.scratch, store)?;
        Ok(Outcome::Placed(Placed { found, inside: folders::of(job), ..placed }))
    }

    async fn made(&self, reply: &Reply) -> Result<Made, Failure> {
        let job = &self.job;
        if self.rule.common().lane != Lane::Process {
            let mut stop = job.cancelled.clone();
            return tokio::select! {
                made = self.rule.make(job) => made,
                () = cancelled(&mut stop) => Err(Failure::interrupted()),
            };
        }
        // What an earlier run printed is not what this one prints.
        if job.has_log.swap(false, Ordering::Relaxed) {
            let _ = std::fs::remove_file(&job.log);
        }
        // A command ends its own children when it is told to stop.
        let made = self.rule.make(job).await;
        let has_log = job.has_log.load(Ordering::Relaxed);
        let printed = has_log.then(|| printed::read(&job.log, &job.root)).flatten();
        let attempts = job.attempts.load(Ordering::Relaxed);
        if printed.is_some() || attempts > 1 {
            reply.tell(Message::Ran(reply.id, printed, attempts));
        }
        let made = made?;
        meddled::check_inputs(job)?;
        Ok(made)
    }
}

/// Only the engine knows what other steps make.
async fn judged(found: Vec<FoundFile>, reply: &Reply) -> Result<Vec<FoundFile>, Failure> {
    let (verdict, judged) = oneshot::channel();
    reply.tell(Message::Found { id: reply.id, found, verdict });
    judged.await.unwrap_or_else(|_| Err(Failure::interrupted()))
}

pub(crate) fn no_folder(error: &io::Error) -> Failure {
    Failure::new(format!("cannot make a folder for it under .layermill/tmp: {error}"))
}

pub(crate) async fn cancelled(cancelled: &mut tokio::sync::watch::Receiver<bool>) {
    // An engine that is gone interrupts too.
    let _ = cancelled.wait_for(|c| *c).await;
}
