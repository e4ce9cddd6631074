//! Outputs that were another step's, or stood elsewhere in its list: records are kept by the first output, and a list may
//! be put in another order, or lose one.

use std::collections::{HashMap, HashSet};

use crate::store::state::{PathId, StepRecord};

use super::key::{Template, input_name};
use super::parts::made_name;
use crate::build::engine::Engine;
use crate::build::reason::Reason;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// The path that a step's record is kept by: that of its first output, or of what was the first when it last ran.
    pub(crate) fn record_path(&self, id: StepId) -> Option<PathId> {
        let outputs = self.steps.outputs(id);
        let &first = outputs.first()?;
        if self.state.step_key_at(first).is_some() {
            return Some(first);
        }
        // A file's record tells that something was made there. What was made and went with what it reads has none, and is
        // looked for where a step has several outputs, or had: one of them may be known.
        let may_be_kept =
            |path: &PathId| outputs.len() > 1 || self.state.file_at(*path).is_some() || self.had_several_outputs(id);
        let made = outputs.iter().copied().filter(may_be_kept);
        made.filter_map(|path| self.kept_by(path)).find(|&path| self.was_of(id, path))
    }

    /// The same with the record.
    pub(crate) fn record_of(&self, id: StepId) -> Option<StepRecord> {
        self.state.step_at(self.record_path(id)?)
    }

    /// What a recorded step shared with the others of its target, where the state still knows it.
    pub(crate) fn template_of(&self, record: &StepRecord) -> Option<Template> {
        self.state.template(&record.template).and_then(Template::parse)
    }

    /// Whether steps of a target's name had several outputs when they were made.
    fn had_several_outputs(&self, id: StepId) -> bool {
        self.had_several().contains(&self.steps.target(id).name)
    }

    /// Whether there is a record of a step that had several outputs.
    pub(crate) fn have_several_outputs(&self) -> bool {
        !self.had_several().is_empty()
    }

    fn had_several(&self) -> &HashSet<String> {
        self.had_several.get_or_init(|| {
            let several = self.state.templates().filter_map(Template::parse).filter(|then| then.outputs.is_some());
            several.filter_map(|then| then.target).collect()
        })
    }

    /// The first output of the recorded step that made this one.
    pub(crate) fn kept_by(&self, path: PathId) -> Option<PathId> {
        if self.state.step_key_at(path).is_some() {
            return Some(path);
        }
        let kept_by = self.kept_by.get_or_init(|| {
            let mut kept_by = HashMap::new();
            for first in self.state.step_ids() {
                let more = self.state.step_at(first).map(|step| step.more_outputs).unwrap_or_default();
                kept_by.extend(more.iter().filter_map(|path| Some((self.state.find(path)?, first))));
            }
            kept_by
        });
        // Meanwhile that may have been made anew.
        let first = *kept_by.get(&path)?;
        let still = |step: StepRecord| step.more_outputs.iter().any(|more| more == self.state.path(path));
        self.state.step_at(first).is_some_and(still).then_some(first)
    }

    /// Whether the record that is kept by this path is one of this step's target, also under another name, and no other step's.
    fn was_of(&self, id: StepId, path: PathId) -> bool {
        let target = |record: StepRecord| Template::parse(self.state.template(&record.template)?)?.target;
        self.steps.maker(path).is_none_or(|maker| maker == id)
            && self
                .state
                .step_at(path)
                .and_then(target)
                .is_some_and(|name| name == self.steps.target(id).name || self.is_renamed(&name))
    }

    /// Whether there is no target of this name any more: as far as its files tell, it has another one now.
    pub(crate) fn is_renamed(&self, target: &str) -> bool {
        self.pipeline.targets.iter().all(|t| t.name != target)
    }

    /// The outputs that a record is of.
    pub(crate) fn outputs_of_record<'r>(&'r self, path: PathId, record: &'r StepRecord) -> Vec<&'r str> {
        std::iter::once(self.state.path(path)).chain(record.more_outputs.iter().map(String::as_str)).collect()
    }

    /// That a step's outputs stand in another order than in its record.
    pub(crate) fn reordered_outputs(&self, id: StepId, record: &StepRecord, were: &[&str]) -> Option<Reason> {
        // A record that lost its first output to `clean` is kept by another one; its parts stand as they were made.
        let place = |path: &&str| record.parts.iter().position(|part| part.name == made_name(input_name(path)));
        let mut were = were.to_vec();
        were.sort_by_key(|path| place(path).unwrap_or(usize::MAX));
        let are: Vec<&str> = self.paths(id).collect();
        let same = are.len() == were.len() && are.iter().all(|path| were.contains(path));
        let (from, to) = (Some(were.join(", ")), Some(are.join(", ")));
        (same && are != were).then(|| Reason::Parameter { name: "output".to_owned(), from, to })
    }

    /// What the steps that were known by this step's outputs made beside them, and no step makes now: each with a record of
    /// its own, so that it is known for an orphan.
    pub(crate) fn left_behind(&self, id: StepId) -> Vec<(PathId, StepRecord)> {
        let outputs = self.steps.outputs(id);
        let known = outputs.iter().copied().filter(|&path| self.state.step_key_at(path).is_some());
        let mut records: Vec<PathId> = known.chain(self.record_path(id)).collect();
        records.dedup();
        let mut left = Vec::new();
        for first in records {
            let Some(record) = self.state.step_at(first) else { continue };
            let made = self.outputs_of_record(first, &record).into_iter().filter_map(|path| self.state.find(path));
            let gone = made.filter(|path| !outputs.contains(path) && self.steps.maker(*path).is_none());
            let is_free = |path| self.state.step_key_at(path).is_none() && self.state.file_at(path).is_some();
            // Of what was cleaned, the name is kept.
            let is_there = |path| self.pipeline.root.join(self.state.path(path)).symlink_metadata().is_ok();
            let free = gone.filter(|&path| path == first || is_free(path) && is_there(path));
            left.extend(free.map(|path| (path, StepRecord { more_outputs: Vec::new(), ..record.clone() })));
        }
        left
    }
}
