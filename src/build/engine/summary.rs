//! Everything as it stands at the end, counted and in order.

use std::time::Instant;

use super::Engine;
use crate::build::outcome::{Counts, Standings, Status, Summary};

impl Engine<'_> {
    /// How the steps that would run stand, for each target: a step of several counts for each of them.
    fn standings(&self) -> Vec<Standings> {
        let mut standings = vec![Standings::default(); self.pipeline.targets.len()];
        for (&id, account) in self.accounts.iter().filter(|(_, account)| account.status == Status::Stale) {
            let others = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
            others.chain([account.target]).for_each(|target| standings[target].add(account));
        }
        standings
    }

    /// Everything as it stands, in the order of the targets and their rows.
    pub(crate) fn summary(&mut self, started: Instant, set_aside: Vec<String>) -> Summary {
        for (id, blocks) in self.blame() {
            if let Some(account) = self.accounts.get_mut(&id) {
                account.blocks = blocks;
            }
        }
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
            ..Summary::default()
        };
        for &target in &self.pipeline.order {
            if self.rules[target].is_none() {
                continue;
            }
            for (row, &id) in self.steps.rows[target].steps.iter().enumerate() {
                let step = self.steps.step(id);
                summary.by_target[target].add(step.status);
                let home = step.target as usize == target && step.row as usize == row;
                if home {
                    summary.counts.add(step.status);
                    if !self.accounts.is_empty() {
                        summary.accounts.extend(self.accounts.remove(&id));
                    }
                }
            }
        }
        self.tell_doubts(&mut summary);
        summary
    }
}
