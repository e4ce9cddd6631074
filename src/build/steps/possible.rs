//! Which values a target may have, as far as that can be told without its steps.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::pipeline::model::{Axis, AxisKind, Read, TargetId};
use crate::pipeline::{axis, values};

use super::StepId;
use crate::build::engine::Engine;
use crate::build::outcome::Status;
use crate::sync::lock;

/// The values of axes, each read once; none where they cannot be read.
#[derive(Default)]
pub(crate) struct AxisValues {
    /// Of those that need no output.
    listed: Mutex<HashMap<(TargetId, usize), Option<Known>>>,
    /// Of those that are read out of the output of a step.
    read: Mutex<HashMap<(TargetId, usize, StepId), Option<Known>>>,
    /// The same where that is to be made first, as it was last made.
    made: Mutex<HashMap<(TargetId, usize, StepId), Option<Known>>>,
}

type Known = Arc<HashSet<String>>;

impl Engine<'_> {
    /// Whether a target may ever have a step of these values, as its lists are now.
    pub(crate) fn may_have(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        values::may_be(&self.pipeline.targets, target, values) && self.are_listed(target, values)
    }

    fn are_listed(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        let this = &self.pipeline.targets[target];
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value);
        this.axes.iter().enumerate().all(|(position, axis)| match self.read_from(target, position, values) {
            Some((parent, theirs)) => self.are_listed(parent, &theirs),
            None => match (value(axis.binding), self.values_of_axis(target, position)) {
                (Some(value), Some(values)) => values.contains(value),
                _ => true,
            },
        })
    }

    /// How many of these values are in the lists that are told without an output, as these are now.
    pub(crate) fn listed_values(&self, target: TargetId, values: &[(usize, String)]) -> usize {
        let axes = self.pipeline.targets[target].axes.iter().enumerate();
        let is_listed = |(position, axis): &(usize, &Axis)| {
            let listed = self.values_of_axis(target, *position);
            listed.is_some_and(|listed| values.iter().any(|(b, value)| *b == axis.binding && listed.contains(value)))
        };
        axes.filter(is_listed).count()
    }

    /// Whether an axis that needs no output can be read, and has no value.
    pub(crate) fn has_no_values(&self, target: TargetId, position: usize) -> bool {
        self.values_of_axis(target, position).is_some_and(|values| values.is_empty())
    }

    /// Whether a target may come to have a step of these values once what is to be built is built.
    pub(crate) fn may_still_come(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        // A path that does not tell all values may come of any step that has those.
        values.len() < self.pipeline.targets[target].bindings.len() || self.awaited(target, values).is_some()
    }

    /// Whether it has none of these values as of the last build only: what they would be read out of is asked in each.
    pub(crate) fn may_come_when_asked(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        self.may_have(target, values) && self.always_asked(target, values).is_some()
    }

    /// Whether what an axis is read out of is there to be read, or is not to come, and does not have a step's value.
    pub(crate) fn is_read_without(&self, target: TargetId, axis: usize, values: &[(usize, String)]) -> bool {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let own = value(self.pipeline.targets[target].axes[axis].binding);
        match (self.read_from(target, axis, values), self.parent_step(target, axis, value)) {
            (None, _) => false,
            (Some((parent, theirs)), None) => {
                !self.may_still_come(parent, &theirs) && !self.may_come_when_asked(parent, &theirs)
            }
            (Some(_), Some(step)) => self.is_settled(step) && self.has_not(step, target, axis, own),
        }
    }

    /// Whether what a step's values were read out of, or those that they came with, is there as it was last built, and did
    /// not have them.
    pub(crate) fn was_read_without(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        self.pipeline.targets[target].axes.iter().enumerate().any(|(axis, of)| {
            let Some((parent, theirs)) = self.read_from(target, axis, values) else { return false };
            match self.parent_step(target, axis, value) {
                None => self.was_read_without(parent, &theirs),
                Some(step) => self.has_not(step, target, axis, value(of.binding)),
            }
        })
    }

    /// Whether it is seen only while building whether a target has a step again which it had no more as its lists were last
    /// built.
    pub(crate) fn may_be_back(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        // Of some of its values, what it is read out of may be any of several.
        let is_whole = values.len() == self.pipeline.targets[target].bindings.len();
        is_whole && self.was_read_without(target, values) && self.awaited(target, values).is_some()
    }

    /// Whether the list of an axis, which is read out of this step where it is read out of any, does not have a value.
    pub(crate) fn lacks_value(&self, target: TargetId, axis: usize, list: Option<StepId>, value: &str) -> bool {
        match list {
            Some(step) => self.has_not(step, target, axis, Some(value)),
            None => self.values_of_axis(target, axis).is_some_and(|values| !values.contains(value)),
        }
    }

    /// Whether what an axis reads out of a step is there to be read, or as it was last made, and does not have this value.
    fn has_not(&self, step: StepId, target: TargetId, axis: usize, value: Option<&str>) -> bool {
        let read = self.values_read_out_of(step, target, axis).or_else(|| self.values_as_made(step, target, axis));
        read.zip(value).is_some_and(|(read, value)| !read.contains(value))
    }

    /// The values that an axis of a target has by a step that is there to be read; of one that is absent, there are none.
    pub(crate) fn values_read_out_of(&self, step: StepId, target: TargetId, axis: usize) -> Option<Known> {
        let AxisKind::From { read, output, .. } = &self.pipeline.targets[target].axes[axis].kind else { return None };
        let values = || match self.bytes_to_read(step, *output) {
            None => (self.steps.step(step).status == Status::Absent).then(Known::default),
            Some(bytes) => known(read, &bytes.ok()?),
        };
        lock(&self.axis_values.read).entry((target, axis, step)).or_insert_with(values).clone()
    }

    /// The same by what a step made that is not to be read now, since it cannot be built.
    fn values_as_made(&self, step: StepId, target: TargetId, axis: usize) -> Option<Known> {
        let AxisKind::From { read, output, .. } = &self.pipeline.targets[target].axes[axis].kind else { return None };
        let values = || {
            let is_as_made = self.look_at_outputs(step).off.is_empty();
            let bytes = is_as_made.then(|| axis::read_file(&self.pipeline.root, self.path(step, *output)))?;
            known(read, &bytes.ok()?)
        };
        lock(&self.axis_values.made).entry((target, axis, step)).or_insert_with(values).clone()
    }

    pub(crate) fn values_of_axis(&self, target: TargetId, position: usize) -> Option<Known> {
        let mut known = lock(&self.axis_values.listed);
        let read = || {
            let kind = &self.pipeline.targets[target].axes[position].kind;
            axis::static_values(kind, &self.pipeline.root).ok().map(|values| Arc::new(values.into_iter().collect()))
        };
        known.entry((target, position)).or_insert_with(read).clone()
    }
}

/// The values that are read so out of these bytes.
fn known(read: &Read, bytes: &[u8]) -> Option<Known> {
    let values = axis::read_values(read, bytes).ok()?;
    Some(Arc::new(values.into_iter().map(|(value, _)| value).collect()))
}
