//! Targets that read values from several others: they expand once all of those are done.

use crate::pipeline::axis;
use crate::pipeline::model::{AxisKind, TargetId};

use super::Bound;
use super::waits::GroupId;
use crate::build::engine::Engine;

impl Engine<'_> {
    /// A target that reads from several others waits until all of them are done.
    pub(crate) fn wait_for_parents(&mut self, target: TargetId) {
        let parents: Vec<TargetId> = self.pipeline.targets[target].parents().collect();
        for parent in parents {
            let set = self.steps.group_set(parent, &[]);
            let group = self.group(parent, set, &[]);
            // It may have been complete all along, and then nothing else tells.
            if self.steps.is_complete(group) {
                self.check_group.push(group);
            }
        }
        self.waiting.push(target);
    }

    pub(crate) fn expand_waiting(&mut self, parent: TargetId) {
        let due: Vec<TargetId> = self
            .waiting
            .iter()
            .copied()
            .filter(|&t| self.pipeline.targets[t].parents().any(|p| p == parent))
            .filter(|&t| {
                self.pipeline.targets[t].parents().collect::<Vec<_>>().into_iter().all(|p| {
                    let set = self.steps.group_set(p, &[]);
                    let (group, _) = self.steps.group(p, set, &[]);
                    self.steps.is_complete(group)
                })
            })
            .collect();
        self.waiting.retain(|t| !due.contains(t));
        for target in due {
            let from = self.expand_joined(target);
            self.close_target(target, &from);
        }
    }

    /// The rows of a target that reads from several: each combination of what is read out of them.
    /// Gives the groups of those: only now is it known which of their steps could be read.
    fn expand_joined(&mut self, target: TargetId) -> Vec<GroupId> {
        let this = &self.pipeline.targets[target];
        let mut groups = Vec::new();
        let mut partial: Vec<Vec<Option<Bound>>> = vec![vec![None; this.bindings.len()]];
        for (position, axis) in this.axes.iter().enumerate() {
            let choices = match &axis.kind {
                AxisKind::From { target: from, .. } => {
                    let set = self.steps.group_set(*from, &[]);
                    let (group, _) = self.steps.group(*from, set, &[]);
                    groups.push(group);
                    self.joined_choices(target, position, group)
                }
                _ => {
                    let values = self.static_values(axis).unwrap_or_default();
                    values.into_iter().map(|b| vec![(axis.binding, b)]).collect()
                }
            };
            partial = partial.iter().flat_map(|row| choices.iter().map(|choice| with(row, choice))).collect();
        }
        for row in partial {
            let bound: Option<Vec<Bound>> = row.into_iter().collect();
            if let Some(bound) = bound {
                self.add_step(target, &bound, None);
            }
        }
        groups
    }

    /// Every value of one axis, with the bindings that come along from the row it was read from.
    fn joined_choices(&mut self, target: TargetId, axis: usize, group: GroupId) -> Vec<Vec<(usize, Bound)>> {
        let this = &self.pipeline.targets[target];
        let AxisKind::From { read, output, .. } = &this.axes[axis].kind else { return Vec::new() };
        let mut choices = Vec::new();
        for step in self.steps.ordered(group) {
            let Some(bytes) = self.bytes_to_read(step, *output) else {
                self.keep_one_from_being(target, axis, step);
                continue;
            };
            self.note_old_list(step, true);
            match bytes.and_then(|bytes| axis::read_values(read, &bytes)) {
                Err(why) => self.misread_of_several(target, axis, (group, step), &why),
                Ok(values) => {
                    for own in self.intern(&values) {
                        let row = this
                            .bindings
                            .iter()
                            .enumerate()
                            .filter(|(_, b)| b.axis == axis)
                            .map(|(i, b)| (i, b.parent.map_or(own, |parent| self.steps.bound(step)[parent])));
                        choices.push(row.collect());
                    }
                }
            }
        }
        for unborn in self.unborn_of(self.steps.groups[group as usize].target) {
            self.keep_one_from_being(target, axis, unborn);
        }
        choices
    }
}

/// A row with the values of one axis more.
fn with(row: &[Option<Bound>], choice: &[(usize, Bound)]) -> Vec<Option<Bound>> {
    let mut row = row.to_vec();
    choice.iter().for_each(|(binding, bound)| row[*binding] = Some(*bound));
    row
}
