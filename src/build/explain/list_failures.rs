//! What steps' values are read out of, where that did not come when it was last tried.

use crate::pipeline::model::TargetId;

use crate::build::engine::Engine;
use crate::build::steps::StepId;
use crate::build::steps::expand::parents_of;

impl Engine<'_> {
    /// How what a step's values are read out of, and what that needs, failed when it was last tried.
    pub(super) fn list_failures(&self, id: StepId) -> Vec<String> {
        let (mut told, mut open) = (Vec::new(), vec![id]);
        while let Some(step) = open.pop() {
            let parents: Vec<StepId> =
                self.parent_steps(self.steps.step(step).target as usize, step).map(|(_, parent)| parent).collect();
            told.extend(parents.iter().filter_map(|&parent| self.list_failure(parent)));
            open.extend(parents);
        }
        told.sort();
        told.dedup();
        told
    }

    /// The same of a target whose steps are still to come.
    pub(super) fn list_failures_of(&self, target: TargetId) -> Vec<String> {
        if self.failures.is_empty() {
            return Vec::new();
        }
        // One tells what is the matter with the others.
        let first = |parent: TargetId| self.steps.rows[parent].steps.iter().find_map(|&step| self.list_failure(step));
        let parents = parents_of(&self.pipeline.targets[target]);
        let mut told: Vec<String> =
            parents.flat_map(|parent| first(parent).into_iter().chain(self.list_failures_of(parent))).collect();
        told.sort();
        told.dedup();
        told
    }

    fn list_failure(&self, step: StepId) -> Option<String> {
        let root = self.at_risk(step).unwrap_or(step);
        let failed = self.failure_of(root, &self.failures)?;
        let label = self.steps.label(root);
        Some(match failed.running {
            true => format!("{label}: {}", failed.message),
            false => format!("{label} {}: {}", failed.last(), failed.message),
        })
    }
}
