//! Everything as it stands at the end, counted and in order.

use std::collections::HashMap;
use std::time::Instant;

use super::{Engine, Mode};
use crate::build::explain::blame::Roots;
use crate::build::outcome::{Account, Counts, Empty, HeldUp, Standings, Status, Summary};
use crate::build::steps::StepId;
use crate::pipeline::model::TargetId;

impl Engine<'_> {
    /// How the steps stand that would run or are kept from it, for each target: a step of several counts for each of them.
    fn standings(&self) -> Vec<Standings> {
        let mut standings = vec![Standings::default(); self.pipeline.targets.len()];
        for (&id, account) in &self.accounts {
            let others = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
            others.chain([account.target]).for_each(|target| standings[target].add(account));
        }
        standings
    }

    /// Targets that are wanted whole and have no step, as far as that is known and is no matter of what failed.
    fn empty(&self) -> Vec<Empty> {
        let mut all: Vec<Empty> = Vec::new();
        let has_none = |target: TargetId| self.steps.rows[target].steps.is_empty();
        for &target in self.pipeline.order.iter().filter(|&&target| self.wanted[target].all && has_none(target)) {
            let this = &self.pipeline.targets[target];
            let is_read = |id: &StepId| self.steps.step(*id).status.has_outputs();
            let read = |parent: TargetId| !has_none(parent) && self.steps.rows[parent].steps.iter().all(is_read);
            if self.rules[target].is_none() || !this.parents().all(read) {
                continue;
            }
            let Some(because) = self.why_none(target) else { continue };
            match all.iter_mut().find(|empty| empty.because == because) {
                Some(empty) => empty.targets.push(this.name.clone()),
                None => all.push(Empty { targets: vec![this.name.clone()], because }),
            }
        }
        all
    }

    /// Everything as it stands, in the order of the targets and their rows.
    pub(crate) fn summary(&mut self, started: Instant, set_aside: Vec<String>) -> Summary {
        let blame = self.blame();
        for (roots, steps) in &blame {
            for root in roots.iter() {
                self.accounts.entry(*root).and_modify(|account| account.blocks += steps);
            }
        }
        // Where the accounts of those at fault come to stand.
        let at_fault = blame.iter().flat_map(|(roots, _)| roots.iter());
        let mut places: HashMap<StepId, Option<usize>> = at_fault.map(|root| (*root, None)).collect();
        let mut summary = Summary {
            by_target: vec![Counts::default(); self.pipeline.targets.len()],
            standings: self.standings(),
            requests: self.traffic.requests(),
            bytes: self.traffic.bytes(),
            retries: self.traffic.retries(),
            hosts: self.traffic.hosts(),
            elapsed: started.elapsed(),
            interrupted: self.interrupted,
            deferrals: self.deferrals.told(),
            pulls: self.deferrals.pulls(&self.told_by_sources()),
            set_aside,
            empty: self.empty(),
            reads_orphans: self.reads_of_orphans(),
            in_vain: self.in_vain(),
            ..Summary::default()
        };
        for &target in &self.pipeline.order {
            let mut rows: Vec<u32> = (0..).take(self.steps.rows[target].steps.len()).collect();
            // As they came, they stand by which of their parents was done first.
            if !self.accounts.is_empty() {
                self.steps.put_in_order(target, &mut rows);
            }
            for row in rows {
                let id = self.steps.rows[target].steps[row as usize];
                let step = self.steps.step(id);
                // A group makes nothing: what it names counts, and that a file of these is missing.
                if self.rules[target].is_none() && step.status != Status::Failed {
                    let account = self.accounts.remove(&id).map(|account| self.of_group(id, account));
                    summary.accounts.extend(account.filter(|account| account.may_fail));
                    continue;
                }
                summary.by_target[target].add(step.status);
                let home = step.target as usize == target && step.row == row;
                if home {
                    summary.counts.add(step.status);
                    if !self.accounts.is_empty()
                        && let Some(account) = self.accounts.remove(&id)
                    {
                        places.entry(id).and_modify(|place| *place = Some(summary.accounts.len()));
                        summary.accounts.push(account);
                    }
                }
            }
            for id in self.unborn_of(target) {
                let status = self.steps.step(id).status;
                summary.by_target[target].add(status);
                summary.counts.add(status);
                summary.accounts.extend(self.accounts.remove(&id));
            }
        }
        let held_up = |(roots, steps): (Roots, usize)| {
            let by = roots.iter().filter_map(|root| places[root]).collect();
            HeldUp { by, steps }
        };
        summary.held_up = blame.into_iter().map(held_up).collect();
        self.tell_doubts(&mut summary);
        summary
    }

    /// What is told of a group: where what blocks it may turn out not to be there, that a file of that may be missing then.
    fn of_group(&self, id: StepId, account: Account) -> Account {
        let is_open = account.status == Status::Blocked && account.perhaps && self.mode == Mode::Look;
        match is_open.then(|| self.may_lack(id)).flatten() {
            Some(lacks) => {
                Account { status: Status::Stale, may_fail: true, reasons: None, message: Some(lacks), ..account }
            }
            None => account,
        }
    }
}
