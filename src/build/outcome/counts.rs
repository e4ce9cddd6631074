//! How many steps came out how, or stand how before a build.

use serde::Serialize;

use super::{Account, Status, standing};
use crate::build::reasons::Reasons;

/// How many steps came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub built: usize,
    /// With those that were adopted.
    pub up_to_date: usize,
    pub adopted: usize,
    pub restored: usize,
    pub absent: usize,
    pub failed: usize,
    pub blocked: usize,
    /// With those that wait for them.
    pub deferred: usize,
    pub stale: usize,
    /// Not come to, since the build stopped before.
    pub unreached: usize,
}

impl Counts {
    pub fn add(&mut self, status: Status) {
        match status {
            Status::UpToDate => self.up_to_date += 1,
            Status::Adopted => {
                self.adopted += 1;
                self.up_to_date += 1;
            }
            Status::Built => self.built += 1,
            Status::Restored => self.restored += 1,
            Status::Absent => self.absent += 1,
            Status::Failed => self.failed += 1,
            Status::Blocked => self.blocked += 1,
            Status::Deferred => self.deferred += 1,
            Status::Stale => self.stale += 1,
            Status::Interrupted | Status::Pending | Status::Busy => self.unreached += 1,
        }
    }

    pub fn total(&self) -> usize {
        self.built
            + self.up_to_date
            + self.restored
            + self.absent
            + self.failed
            + self.blocked
            + self.deferred
            + self.stale
            + self.unreached
    }
}

/// How many of the steps that would run stand how, as [`standing`] says it, and what those came to that are kept from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    pub stale: usize,
    pub missing: usize,
    pub failed: usize,
    pub deferred: usize,
    /// Those that are blocked, and had failed when they were last tried.
    pub failed_before: usize,
}

impl Standings {
    pub fn add(&mut self, account: &Account) {
        if account.status == Status::Blocked {
            let failed = account.last_failure.as_ref().is_some_and(|last| last.word() == Status::Failed.word());
            self.failed_before += usize::from(failed);
        }
        if account.status != Status::Stale {
            return;
        }
        let because = account.reasons.iter().flat_map(Reasons::iter);
        *match standing(account.status, account.last_failure.as_ref(), because) {
            "failed" => &mut self.failed,
            "deferred" => &mut self.deferred,
            "missing" => &mut self.missing,
            _ => &mut self.stale,
        } += 1;
    }
}
