//! Which failure is that of a step: they are kept by the path of its first output, which may be another one since.

use super::{Failed, OF_A_GROUP};
use crate::build::engine::Engine;
use crate::build::files::found;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// How a step failed when it was last tried, with the path by which that is kept: of its first output, or of what was the
    /// first then.
    pub(in crate::build) fn kept_of(&self, id: StepId) -> Option<(&str, &Failed)> {
        if self.failures.is_empty() {
            return None;
        }
        if self.is_group(id) {
            return self.failures.get_with_name(&self.kept_by_name(id)?);
        }
        let first = self.paths(id).next()?;
        if let Some(failed) = self.failures.get(first) {
            return (self.is_failure_of(id, failed) && self.stands(first, failed)).then_some((first, failed));
        }
        let by_output = self.failed_by_output.get_or_init(|| self.failures.by_output());
        let is_of_another = |path: &str| self.steps.find_path(&self.state, path).is_some_and(|maker| maker != id);
        let before = self.paths(id).filter_map(|output| by_output.get(output)).find(|path| !is_of_another(path))?;
        let failed = self.failures.get(before).filter(|failed| self.is_failure_of(id, failed))?;
        failed.stands(self.record_of(id).as_ref()).then_some((before.as_str(), failed))
    }

    /// By what a step's failure is kept.
    pub(super) fn kept_by_name(&self, id: StepId) -> Option<String> {
        if self.is_group(id) {
            return Some(format!("{}{OF_A_GROUP}", self.steps.label(id)));
        }
        self.paths(id).next().map(str::to_owned)
    }

    /// Whether a group that failed did so in this build, too, or was not looked at.
    pub(super) fn group_still_fails(&self, kept_by: &str) -> bool {
        let name = kept_by.trim_end_matches(OF_A_GROUP);
        let mut groups = (0..self.rules.len()).filter(|&target| self.rules[target].is_none());
        let Some(group) = groups.find(|&target| self.pipeline.targets[target].name == name) else { return false };
        let fails = |&id: &StepId| !self.steps.step(id).status.has_outputs();
        self.steps.rows[group].steps.first().is_none_or(fails)
    }

    /// The step that failed so: the one that makes what was its first output then, or another one of those.
    pub(super) fn step_that_failed(&self, path: &str, failed: &Failed) -> Option<StepId> {
        let by_another = || failed.more_outputs.iter().find_map(|path| self.steps.find_path(&self.state, path));
        self.steps.find_path(&self.state, path).or_else(|| by_another().filter(|&id| self.is_failure_of(id, failed)))
    }

    /// Whether a failure is that of a step by its name, or of a target that has another name now.
    fn is_failure_of(&self, id: StepId, failed: &Failed) -> bool {
        self.goes_by(id, &failed.step) || failed.step.split('@').next().is_none_or(|target| self.is_renamed(target))
    }

    /// That a step which failed for what its command had read would fail for that if it read the same again.
    pub(super) fn reads_as_before(&self, id: StepId, message: &str) -> Option<String> {
        let record = self.record_of(id)?;
        let failure = self.undeclared(id, found::paths(&record))?;
        (failure.message == message).then_some(failure.message)
    }
}
