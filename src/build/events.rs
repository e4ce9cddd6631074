//! What the engine tells while it works. Listeners show it; nothing else prints.

use super::outcome::{Account, Status, Summary};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps known so far; more may be found.
    pub total: usize,
    pub done: usize,
    pub running: usize,
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
}

#[derive(Debug)]
pub enum Event<'a> {
    /// Another build holds the lock.
    Waiting { holder: String },
    /// Something was damaged and set aside.
    SetAside { what: &'a str },
    /// A step was given to its rule.
    Started { id: u32, step: &'a str },
    /// A step that is not simply up to date is done.
    Finished { id: u32, account: &'a Account },
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

impl Status {
    /// A step of this status is worth an event and an account.
    pub fn is_told(self) -> bool {
        !matches!(self, Self::UpToDate | Self::Pending | Self::Busy)
    }
}
