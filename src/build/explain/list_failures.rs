//! What failed when it was last tried, and what waits for it, however far behind: what steps' values are read out of, too.

use std::collections::HashSet;

use crate::pipeline::model::TargetId;

use crate::build::engine::Engine;
use crate::build::failures::Failed;
use crate::build::outcome::{ASK, RESTORE, Status};
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;

impl Engine<'_> {
    /// How what the values of a step are read out of, and what that needs, failed when it was last tried; of a step to come,
    /// by those of its values that are known.
    pub(super) fn list_failures(&self, target: TargetId, values: &[(usize, String)]) -> Vec<String> {
        if self.failures.is_empty() {
            return Vec::new();
        }
        let of = |axis: usize| {
            // Of several that it may be, one tells what is the matter with the others.
            let lists = self.list_steps(target, axis, values).into_iter().map(|list| self.failures_behind(list));
            let first = lists.into_iter().find(|told| !told.is_empty()).unwrap_or_default();
            let (parent, theirs) = self.read_from(target, axis, values)?;
            Some(first.into_iter().chain(self.list_failures(parent, &theirs)))
        };
        let axes = 0..self.pipeline.targets[target].axes.len();
        let mut told: Vec<String> = axes.filter_map(of).flatten().collect();
        told.sort();
        told.dedup();
        told
    }

    /// How a step failed, or all that it waits for.
    fn failures_behind(&self, step: StepId) -> Vec<String> {
        let told = |root: StepId| {
            let failed = self.failure_of(root).filter(|failed| self.tries_again(root, failed))?;
            let label = self.steps.label(root);
            Some(match failed.running {
                true => format!("{label}: {}", failed.message),
                false => format!("{label} {}: {}", failed.last(), failed.message),
            })
        };
        let roots = if self.at_risk(step).is_some() { self.roots_at_risk(vec![step]) } else { vec![step] };
        roots.into_iter().filter_map(told).collect()
    }

    /// Whether the next build comes to do what failed: a list that stands as it was made, or is made again from the answer
    /// that it has, asks no source for it.
    fn tries_again(&self, step: StepId, failed: &Failed) -> bool {
        let work = self.accounts.get(&step).and_then(|account| account.work);
        match self.steps.step(step).status {
            Status::Stale if failed.asked() => work == Some(ASK),
            Status::Stale => work != Some(RESTORE),
            status => status.blocks(),
        }
    }

    /// The steps that failed, or were put off, when they were last tried, and without which a build does not come to what a
    /// step waits for.
    pub(super) fn awaited_at_risk(&self, id: StepId) -> Vec<StepId> {
        self.roots_at_risk(self.waits_at_risk(id))
    }

    /// The same of any of these steps.
    fn roots_at_risk(&self, steps: Vec<StepId>) -> Vec<StepId> {
        let (mut roots, mut seen, mut open) = (Vec::new(), HashSet::new(), steps);
        while let Some(step) = open.pop() {
            match self.at_risk(step).filter(|_| seen.insert(step)) {
                Some(root) if root == step => roots.push(root),
                Some(_) => {
                    open.extend(self.waits_at_risk(step));
                    let rows = self.steps.rows_of(step);
                    open.extend(rows.flat_map(|(target, row)| self.parents_at_risk(step, target, row)));
                }
                None => {}
            }
        }
        roots.sort_unstable();
        roots
    }

    /// What a step waits for that is at risk.
    fn waits_at_risk(&self, id: StepId) -> Vec<StepId> {
        let (mut found, mut groups) = (Vec::new(), Vec::new());
        for (_, wait) in self.waits_of(id, self.runs(id)) {
            match wait {
                Wait::Step(step) => found.push(step),
                Wait::Group(group) => groups.push(group),
                Wait::File(_) | Wait::None => {}
            }
        }
        let mut seen = HashSet::new();
        while let Some(group) = groups.pop() {
            let this = &self.steps.groups[group as usize];
            if this.at_risk.is_some() && seen.insert(group) {
                let steps = &self.steps.rows[this.target].steps;
                found.extend(this.rows.iter().map(|&row| steps[row as usize]));
                groups.extend(self.sources(group));
            }
        }
        found.retain(|&step| self.at_risk(step).is_some());
        found
    }
}
