//! The process groups that run now: what a program that ends at once takes with it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use crate::sync::lock;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

static GROUPS: Mutex<Option<HashSet<Pid>>> = Mutex::new(None);

/// A group that counts as running until this is dropped.
pub(super) struct Running(Option<Pid>);

impl Running {
    /// The group that a child leads.
    pub fn led_by(child: &Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            groups().get_or_insert_default().insert(group);
        }
        Self(group)
    }

    pub fn group(&self) -> Option<Pid> {
        self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(group), Some(groups)) = (self.0, groups().as_mut()) {
            groups.remove(&group);
        }
    }
}

/// Kills all that runs.
pub fn kill() {
    for group in groups().iter().flatten() {
        // One that has just ended cannot be signalled, and need not be.
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

fn groups() -> MutexGuard<'static, Option<HashSet<Pid>>> {
    lock(&GROUPS)
}
