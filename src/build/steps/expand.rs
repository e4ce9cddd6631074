//! From targets to steps: at the start where values are known, and while building where they are read out of outputs.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use crate::pipeline::model::{Axis, AxisKind, Pipeline, Read, Target, TargetId};
use crate::pipeline::{axis, pattern};
use crate::store::Sha256;
use crate::store::state::{PathId, State};

use super::intern::{Id, Interner};
use super::waits::Wait;
use super::{Bound, NONE, StepId};
use crate::build::engine::Engine;
use crate::build::outcome::Status;

/// The one target that a target's rows are read out of, where there is one. A target that reads from several expands
/// once all of them are done, and its rows have no parent.
pub fn parent_of(target: &Target) -> Option<TargetId> {
    let mut parents = target.parents();
    let first = parents.next()?;
    parents.next().is_none().then_some(first)
}

/// What waits to be expanded: a row of a target that others read values from.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    pub target: TargetId,
    pub row: u32,
    pub step: StepId,
}

/// Finds paths near where they are expected: those of a target's steps were first put in a rhythm, and so they come back.
///
/// By target, and by the place of a path among its outputs and inputs: the last two.
#[derive(Default)]
pub(crate) struct Rhythm(Vec<Vec<Option<(PathId, PathId)>>>);

impl Rhythm {
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        Self(pipeline.targets.iter().map(|target| vec![None; target.outputs.len() + target.inputs.len()]).collect())
    }

    /// The number of a path that comes after the others of this place.
    pub(crate) fn find(&mut self, state: &mut State, target: TargetId, place: usize, path: &str) -> PathId {
        let last = &mut self.0[target][place];
        let guess = last.map(|(before, last)| last.in_step(before));
        let found = match guess.and_then(|guess| state.find_near(path, guess)) {
            Some(found) => found,
            None => state.intern(path),
        };
        *last = Some((last.map_or(found, |(_, last)| last), found));
        found
    }
}

/// A value of an axis and the digest that came with it.
type Value = (String, Option<[u8; 32]>);

/// What one target reads out of a row, or why it cannot.
type Values = (TargetId, Result<Vec<Value>, String>);

/// Buffers for what is made anew for each step.
#[derive(Default)]
pub(crate) struct Scratch {
    pub path: String,
    pub paths: Vec<PathId>,
    pub waits: Vec<Wait>,
    /// The targets that described a step when that was last asked, and whether it would wait for itself.
    pub sharing: Option<(Vec<TargetId>, bool)>,
}

impl Engine<'_> {
    /// Expands every wanted target that needs no output for it. Call it once, first.
    pub(crate) fn expand_static(&mut self) {
        self.make_direct();
        self.make_group_sets();
        for target in self.pipeline.order.clone() {
            if !self.wanted[target].is_wanted() {
                continue;
            }
            let this = &self.pipeline.targets[target];
            for output in &this.outputs {
                let refused = |path: String| self.protected.refuses(output, &path, self.state.find(&path));
                if let Some(why) = pattern::literal(&output.pattern).and_then(refused) {
                    self.problem(output.span, "an output that the pipeline itself is read from", why);
                }
            }
            for axis in this.axes.iter().filter(|a| !matches!(a.kind, AxisKind::From { .. })) {
                // Read before anything runs: a list that is missing is told first, and is the same for all rows.
                self.static_values(axis);
            }
            if this.parents().next().is_none() {
                self.expand_product(target, &[], None);
                self.close_target(target, &[]);
            } else if parent_of(&self.pipeline.targets[target]).is_none() {
                self.wait_for_parents(target);
            }
        }
        self.settle_groups();
    }

    /// Rows of one set of parents: the product of the static axes (and of `read`, the values that a parent's output
    /// holds), filtered by what is wanted.
    fn expand_product(&mut self, target: TargetId, read: &[Value], parent: Option<(u32, StepId)>) {
        let this = &self.pipeline.targets[target];
        let mut columns: Vec<Vec<Bound>> = Vec::with_capacity(this.axes.len());
        for axis in &this.axes {
            let column = match &axis.kind {
                AxisKind::From { .. } => self.intern(read),
                _ => match self.static_values(axis) {
                    Some(values) => values,
                    None => return,
                },
            };
            columns.push(column);
        }
        let inherited: Vec<Option<Bound>> =
            this.bindings.iter().map(|b| Some(self.steps.bound(parent?.1)[b.parent?])).collect();
        self.rows_of(target, &columns, &inherited, parent.map(|(row, _)| row));
    }

    /// One row for each combination of the columns, the last one turning fastest.
    fn rows_of(&mut self, target: TargetId, columns: &[Vec<Bound>], inherited: &[Option<Bound>], parent: Option<u32>) {
        if columns.iter().any(Vec::is_empty) {
            return;
        }
        let bindings = &self.pipeline.targets[target].bindings;
        let mut at = vec![0; columns.len()];
        let mut bound = Vec::with_capacity(bindings.len());
        loop {
            bound.clear();
            bound.extend(bindings.iter().zip(inherited).map(|(b, i)| i.unwrap_or_else(|| columns[b.axis][at[b.axis]])));
            self.add_step(target, &bound, parent);
            let Some(turn) = (0..columns.len()).rev().find(|&c| at[c] + 1 < columns[c].len()) else { return };
            at[turn] += 1;
            at[turn + 1..].fill(0);
        }
    }

    pub(crate) fn intern(&mut self, values: &[Value]) -> Vec<Bound> {
        values
            .iter()
            .map(|(value, digest)| {
                let fingerprint = digest.map_or(NONE, |d| {
                    self.steps.fingerprints.push(Sha256(d));
                    u32::try_from(self.steps.fingerprints.len() - 1).expect("fewer than 2^32 digests fit in memory")
                });
                Bound { value: self.steps.names.intern(value), fingerprint }
            })
            .collect()
    }

    /// The values of an axis that needs no output: read once, whichever targets go over them.
    pub(crate) fn static_values(&mut self, axis: &Axis) -> Option<Vec<Bound>> {
        let name = format!("{:?}", axis.kind);
        if let Some(column) = self.columns.get(&name) {
            return Some(column.clone());
        }
        match column(&axis.kind, &self.pipeline.root, &mut self.steps.names) {
            Ok(column) => {
                self.columns.insert(name, column.clone());
                Some(column)
            }
            Err(message) => {
                self.fail_target(axis, message);
                None
            }
        }
    }

    /// Reads the outputs of all rows that are due, in parallel, and adds the steps that come of them.
    pub(crate) fn expand_due(&mut self) {
        let due = std::mem::take(&mut self.to_expand);
        if due.is_empty() {
            return;
        }
        let read: Vec<Vec<Values>> = due.par_iter().map(|p| self.read_row(*p)).collect();
        for (pending, per_reader) in due.into_iter().zip(read) {
            self.note_old_list(pending.step, !per_reader.is_empty());
            let is_kept = self.steps.step(pending.step).status.blocks();
            let read: Option<Vec<TargetId>> = is_kept.then(|| per_reader.iter().map(|(reader, _)| *reader).collect());
            for (reader, values) in per_reader {
                match values {
                    Ok(values) => self.expand_product(reader, &values, Some((pending.row, pending.step))),
                    Err(why) => self.misread_row(reader, pending, &why),
                }
            }
            read.iter().for_each(|read| self.keep_from_being(pending.target, pending.step, read));
            self.count_row(pending.target, pending.step);
        }
        self.settle_groups();
    }

    /// The values that each reader of a row's target reads out of it.
    fn read_row(&self, Pending { target, step, .. }: Pending) -> Vec<Values> {
        let readers = self.readers[target].iter().filter(|&&r| parent_of(&self.pipeline.targets[r]).is_some());
        // Most read the same output.
        let mut outputs: Vec<(usize, Bytes)> = Vec::new();
        let values = readers.filter_map(|&reader| {
            let Some((read, output)) = read_of(&self.pipeline.targets[reader], target) else {
                return Some((reader, Ok(Vec::new())));
            };
            let at = outputs.iter().position(|(place, _)| *place == output).unwrap_or_else(|| {
                outputs.push((output, self.bytes_to_read(step, output)));
                outputs.len() - 1
            });
            let values = match outputs[at].1.as_ref()? {
                Ok(bytes) => axis::read_values(read, bytes),
                Err(why) => Err(why.clone()),
            };
            Some((reader, values))
        });
        values.collect()
    }

    /// What values are read out of: an output of a step that is built, by its place. Where nothing is run, what comes back from the
    /// store, or what is still there as it was made; `None` where there is none of these.
    pub(crate) fn bytes_to_read(&self, step: StepId, output: usize) -> Bytes {
        let status = self.steps.step(step).status;
        if let Some(stored) = self.steps.restores.get(&step).and_then(|stored| stored.get(output)) {
            return self.blobs.peek(&stored.blob).map(Ok);
        }
        let may_stand = status == Status::Stale || self.was_answered(step);
        let as_made = || may_stand && self.look_at_outputs(step).off.is_empty();
        (status.has_outputs() || as_made()).then(|| axis::read_file(&self.pipeline.root, self.path(step, output)))
    }
}

/// What is in a file that values are read out of, or why it cannot be read; `None` where there is none to read.
type Bytes = Option<Result<Vec<u8>, String>>;

/// How a target reads values out of the outputs of another, and out of which.
fn read_of(target: &Target, from: TargetId) -> Option<(&Read, usize)> {
    target.axes.iter().find_map(|a| match &a.kind {
        AxisKind::From { target, read, output } if *target == from => Some((read, *output)),
        _ => None,
    })
}

/// The values of an axis that needs no output, interned as they are read: the first of each.
fn column(kind: &AxisKind, root: &Path, names: &mut Interner) -> Result<Vec<Bound>, String> {
    let mut column = Vec::new();
    let known = names.len();
    // Those of them that had a name before.
    let mut again: HashSet<Id> = HashSet::new();
    axis::each_static_value(kind, root, &mut |value| {
        let before = names.len();
        let value = names.intern(value);
        if names.len() > before || (value as usize) < known && again.insert(value) {
            axis::room_for_one_more(column.len())?;
            column.push(Bound { value, fingerprint: NONE });
        }
        Ok(())
    })?;
    Ok(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_file_is_taken_once_whatever_had_a_name_before() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("values"), "b\na\nb\nold\nc\na\nold\n").unwrap();
        let mut names = Interner::default();
        names.intern("other");
        names.intern("old");
        for _ in 0..2 {
            let column = column(&AxisKind::Lines("values".into()), dir.path(), &mut names).unwrap();
            let values: Vec<&str> = column.iter().map(|bound| names.get(bound.value)).collect();
            assert_eq!(values, ["b", "a", "old", "c"]);
        }
    }
}
