//! The steps that values were read out of, found by the values that came along.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::pipeline::model::{AxisKind, TargetId};

use super::StepId;
use super::intern::Id;
use crate::build::engine::Engine;

/// The steps of targets by the values of some of their bindings. Each list is made when it is first asked for, and grows
/// with the target's rows.
#[derive(Default)]
pub(crate) struct ByValues(Mutex<HashMap<(TargetId, Vec<usize>), First>>);

/// The first step of each set of values, among so many rows.
#[derive(Default)]
struct First {
    rows: usize,
    steps: HashMap<Vec<Id>, StepId>,
}

impl Engine<'_> {
    /// The step that an axis of a target reads these values out of.
    pub(crate) fn parent_step<'v>(
        &self,
        target: TargetId,
        axis: usize,
        value: impl Fn(usize) -> Option<&'v str>,
    ) -> Option<StepId> {
        let this = &self.pipeline.targets[target];
        let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
        let ours = this.bindings.iter().enumerate().filter(|(_, b)| b.axis == axis);
        let (theirs, values): (Vec<usize>, Vec<&str>) = ours.filter_map(|(i, b)| Some((b.parent?, value(i)?))).unzip();
        let values: Option<Vec<Id>> = values.into_iter().map(|value| self.steps.names.find(value)).collect();
        self.first_with(parent, theirs, &values?)
    }

    /// The steps that an axis of a target may read these values out of: of values of which not all are known, several.
    pub(crate) fn list_steps(&self, target: TargetId, axis: usize, values: &[(usize, String)]) -> Vec<StepId> {
        let Some((parent, theirs)) = self.read_from(target, axis, values) else { return Vec::new() };
        let (bindings, rows) = (&self.pipeline.targets[parent].bindings, &self.steps.rows[parent].steps);
        // A row that could not be read stands for steps of any values that are not known of it.
        let first = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        if theirs.len() == bindings.len()
            && let Some(step) = self.parent_step(target, axis, first)
        {
            return vec![step];
        }
        let has = |id: StepId, (binding, value): &(usize, String)| {
            !self.steps.is_known_of(id, &bindings[*binding]) || self.steps.values_of(id)[*binding] == value
        };
        rows.iter().copied().filter(|&id| theirs.iter().all(|value| has(id, value))).collect()
    }

    fn first_with(&self, target: TargetId, bindings: Vec<usize>, values: &[Id]) -> Option<StepId> {
        let mut known = self.by_values.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = &self.steps.rows[target].steps;
        let first = known.entry((target, bindings.clone())).or_default();
        for &id in &rows[first.rows..] {
            let bound = self.steps.bound(id);
            first.steps.entry(bindings.iter().map(|&b| bound[b].value).collect()).or_insert(id);
        }
        first.rows = rows.len();
        first.steps.get(values).copied()
    }
}
