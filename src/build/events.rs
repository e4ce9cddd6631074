//! What the engine tells while it works. Listeners show it; nothing else prints.

use std::time::Duration;

use super::outcome::{Account, Summary};
use super::reasons::Reasons;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps known so far.
    pub total: usize,
    /// More steps may be found, since values are still to be read out of what is not built yet.
    pub grows: bool,
    pub done: usize,
    /// Of those done, the ones that were given to their rule: what is merely up to date says nothing about speed.
    pub ran: usize,
    pub running: usize,
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests that were repeated after a fault.
    pub retries: u64,
    /// How long the next of those steps has still to wait that wait for a budget.
    pub budget_wait: Option<Duration>,
}

/// A step that was given to its rule.
#[derive(Debug)]
pub struct Start<'a> {
    pub id: u32,
    pub step: &'a str,
    /// What is done first: `ask`, `make` or `restore`.
    pub work: &'static str,
    /// What bounds how many run at once: `compute`, `process`, or the identity of a source.
    pub lane: &'a str,
    pub pool: Option<&'a str>,
    pub reasons: &'a Reasons,
}

/// What a command printed, read when it had ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    pub lines: Vec<String>,
    /// Bytes before the first of these lines that were left out.
    pub left_out: u64,
    /// Where all of it is, relative to the pipeline's folder.
    pub log: String,
}

/// Steps that are simply up to date have no events but are counted in [`Progress`]. Every `Started` is followed by one
/// `Finished` of the same id.
#[derive(Debug)]
pub enum Event<'a> {
    /// The first event of a build.
    Begun {
        jobs: usize,
    },
    /// Another build holds the lock.
    Waiting {
        holder: String,
    },
    /// Something was damaged and set aside.
    SetAside {
        what: &'a str,
    },
    Started(Start<'a>),
    /// A command printed something; its `Finished` is still to come.
    Output {
        id: u32,
        step: &'a str,
        printed: &'a Printed,
    },
    /// A step that is not simply up to date is done. It may come again, as a failure, where a step turns out to be
    /// wrong after all.
    Finished {
        id: u32,
        account: &'a Account,
    },
    /// Comes often; may be drawn or dropped.
    Progress(Progress),
    /// The last event of a run.
    Done(&'a Summary),
}

/// Hears every event of a run, in order, from one thread.
pub trait Listener {
    fn hear(&mut self, event: &Event<'_>);
}

/// Hears nothing.
pub struct Silence;

impl Listener for Silence {
    fn hear(&mut self, _: &Event<'_>) {}
}
