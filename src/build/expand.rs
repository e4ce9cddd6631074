//! From targets to steps: at the start where values are known, and while building where they are read out of outputs.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::pipeline::model::{Axis, AxisKind, Input, InputKind, Read, Target, TargetId};
use crate::pipeline::problem::Span;
use crate::pipeline::{axis, pattern};
use crate::store::Sha256;
use crate::store::state::{PathId, State};

use super::engine::Engine;
use super::intern::Id;
use super::outcome::Status;
use super::steps::{Bound, Clash, GroupId, NONE, StepId, Wait, printable};

/// The one target that a target's rows are read out of, where there is one. A target that reads from several expands
/// once all of them are done, and its rows have no parent.
pub fn parent_of(target: &Target) -> Option<TargetId> {
    let mut parents = parents_of(target);
    let first = parents.next()?;
    parents.next().is_none().then_some(first)
}

/// The targets that a target's axes read from.
pub fn parents_of(target: &Target) -> impl Iterator<Item = TargetId> + '_ {
    target.axes.iter().filter_map(|a| match a.kind {
        AxisKind::From { target, .. } => Some(target),
        _ => None,
    })
}

/// What waits to be expanded: a row of a target that others read values from.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    pub target: TargetId,
    pub row: u32,
    pub step: StepId,
}

/// Finds paths near where they are expected: those of a target's steps were first put in a rhythm, and so they come back.
#[derive(Default)]
pub(super) struct Rhythm(HashMap<(TargetId, usize), (PathId, PathId), foldhash::fast::RandomState>);

impl Rhythm {
    /// The number of a path that comes after the others of this place.
    fn find(&mut self, state: &mut State, place: (TargetId, usize), path: &str) -> PathId {
        let last = self.0.get_mut(&place);
        let guess = last.as_ref().map(|(before, last)| last.in_step(*before));
        let found = match guess.and_then(|guess| state.find_near(path, guess)) {
            Some(found) => found,
            None => state.intern(path),
        };
        match last {
            Some((before, last)) => (*before, *last) = (*last, found),
            None => drop(self.0.insert(place, (found, found))),
        }
        found
    }
}

/// A value of an axis and the digest that came with it.
type Value = (String, Option<[u8; 32]>);

/// What one target reads out of a row, or why it cannot.
type Values = (TargetId, Result<Vec<Value>, String>);

/// Buffers for what is made anew for each step.
#[derive(Default)]
pub(super) struct Scratch {
    path: String,
    paths: Vec<PathId>,
    waits: Vec<Wait>,
}

impl Engine<'_> {
    /// Expands every wanted target that needs no output for it. Call it once, first.
    pub(super) fn expand_static(&mut self) {
        self.make_direct();
        self.make_group_sets();
        for target in self.pipeline.order.clone() {
            if !self.wanted[target].is_wanted() {
                continue;
            }
            if parents_of(&self.pipeline.targets[target]).next().is_none() {
                self.expand_product(target, &[], None);
                self.close_target(target, None);
            } else if parent_of(&self.pipeline.targets[target]).is_none() {
                self.wait_for_parents(target);
            }
        }
        self.settle_groups();
    }

    /// The path of each input that is one file, over the bindings of the target that reads it. A join on all bindings
    /// of another target finds its one step by the path of its output, where that step is sure to be there before; an
    /// output that no step makes is a file that must be there already.
    fn make_direct(&mut self) {
        self.direct = (0..self.pipeline.targets.len())
            .map(|target| {
                let path = |input: &Input| match &input.kind {
                    InputKind::Path(path) => Some(path.clone()),
                    InputKind::Target { target: of, on, .. } if self.joins_directly(target, *of, on.len()) => {
                        let by = |b: usize| on.iter().find(|(theirs, _)| *theirs == b).map(|(_, mine)| mine);
                        pattern::compose(&self.pipeline.targets[*of].outputs[0].pattern, by)
                    }
                    InputKind::Target { .. } => None,
                };
                self.pipeline.targets[target].inputs.iter().map(path).collect()
            })
            .collect();
    }

    /// Groups must be known before the rows that fall into them.
    fn make_group_sets(&mut self) {
        for target in
            self.pipeline.order.iter().rev().copied().filter(|&t| self.wanted[t].is_wanted()).collect::<Vec<_>>()
        {
            let this = &self.pipeline.targets[target];
            for (position, input) in this.inputs.iter().enumerate() {
                if let InputKind::Target { target: of, on, .. } = &input.kind
                    && self.direct[target][position].is_none()
                {
                    self.need_group_set(*of, &on.iter().map(|(theirs, _)| *theirs).collect::<Vec<_>>());
                }
            }
            for &of in &this.after {
                self.need_group_set(of, &[]);
            }
            for of in parents_of(this).collect::<Vec<_>>() {
                self.need_group_set(of, &[]);
                self.readers[of].push(target);
            }
        }
        // Pushed consumers first; expansion goes producers first.
        let order: HashMap<TargetId, usize> = self.pipeline.order.iter().enumerate().map(|(i, &t)| (t, i)).collect();
        for readers in &mut self.readers {
            readers.sort_by_key(|t| order[t]);
            readers.dedup();
        }
    }

    /// A group of a target closes with a group of the target that it is read out of: that one is needed too.
    fn need_group_set(&mut self, target: TargetId, on: &[usize]) {
        self.steps.group_set(target, on);
        if let Some(parent) = parent_of(&self.pipeline.targets[target]) {
            let inherited = self.inherited(target, on);
            self.need_group_set(parent, &inherited);
        }
    }

    /// The parent's bindings behind these, or none where one of them is the target's own.
    fn inherited(&self, target: TargetId, on: &[usize]) -> Vec<usize> {
        let target = &self.pipeline.targets[target];
        on.iter()
            .map(|&b| {
                let binding = &target.bindings[b];
                let from = matches!(target.axes[binding.axis].kind, AxisKind::From { .. });
                binding.parent.filter(|_| from)
            })
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    /// A join on all bindings finds its one step by path, where that step is sure to be there before.
    fn joins_directly(&self, target: TargetId, of: TargetId, on: usize) -> bool {
        let (this, of) = (&self.pipeline.targets[target], &self.pipeline.targets[of]);
        let same_parent = parent_of(of) == parent_of(this);
        on == of.bindings.len()
            && !of.outputs.is_empty()
            && (parents_of(of).next().is_none() || same_parent && parent_of(of).is_some())
    }

    /// Rows of one set of parents: the product of the static axes (and of `read`, the values that a parent's output
    /// holds), filtered by what is wanted.
    fn expand_product(&mut self, target: TargetId, read: &[Value], parent: Option<(u32, StepId)>) {
        let this = &self.pipeline.targets[target];
        let mut columns: Vec<Vec<Bound>> = Vec::with_capacity(this.axes.len());
        for axis in &this.axes {
            let column = match &axis.kind {
                AxisKind::From { .. } => self.intern(read),
                _ => match self.static_values(target, axis) {
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

    fn intern(&mut self, values: &[Value]) -> Vec<Bound> {
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
    fn static_values(&mut self, target: TargetId, axis: &Axis) -> Option<Vec<Bound>> {
        let name = format!("{:?}", axis.kind);
        if let Some(column) = self.columns.get(&name) {
            return Some(column.clone());
        }
        match axis::static_values(&axis.kind, &self.pipeline.root) {
            Ok(values) => {
                let names = &mut self.steps.names;
                let bound = |value: String| Bound { value: names.intern(&value), fingerprint: NONE };
                let column: Vec<Bound> = values.into_iter().map(bound).collect();
                self.columns.insert(name, column.clone());
                Some(column)
            }
            Err(message) => {
                self.fail_target(target, axis, message);
                None
            }
        }
    }

    /// Adds one step, or finds that another target has described it already.
    fn add_step(&mut self, target: TargetId, bound: &[Bound], parent: Option<u32>) {
        if !self.wanted[target].takes(|b| self.steps.names.get(bound[b].value)) {
            return;
        }
        let id = self.steps.push(target, bound);
        // Buffers that are used again for each step.
        let (mut paths, mut waits) = (std::mem::take(&mut self.scratch.paths), std::mem::take(&mut self.scratch.waits));
        let clash = match self.output_paths(target, id, &mut paths) {
            Err(message) => Some((None, message)),
            Ok(()) => {
                self.waits(target, id, &mut waits);
                match self.steps.claim(id, &paths, &self.state) {
                    Ok(()) => {
                        self.steps.set_slots(id, &waits);
                        None
                    }
                    Err(Clash::SameFile(other)) if self.describes_same(id, other, &paths, &waits) => {
                        (self.scratch.paths, self.scratch.waits) = (paths, waits);
                        self.steps.pop(id);
                        self.share(target, other, parent);
                        return;
                    }
                    Err(clash) => Some(self.told(clash, &paths)),
                }
            }
        };
        (self.scratch.paths, self.scratch.waits) = (paths, waits);
        if clash.is_some() {
            let slots = self.pipeline.targets[target].inputs.len() + self.pipeline.targets[target].after.len();
            self.steps.set_slots(id, &vec![Wait::File(NONE); slots]);
        }
        self.add_row(target, id, parent);
        self.stats.total += 1;
        match clash {
            None if self.steps.step(id).pending == 0 => self.ready.push(id),
            None => {}
            Some((other, message)) => {
                if let Some(other) = other {
                    if self.before_build {
                        let span = self.pipeline.targets[target].outputs.first().map_or(Span::default(), |o| o.span);
                        let label = format!("{} and {}", self.steps.label(other), self.steps.label(id));
                        self.problem(span, &message, label);
                    }
                    self.fail_late(other, format!("{message} (the other is {})", self.steps.label(id)));
                    let message = format!("{message} (the other is {})", self.steps.label(other));
                    return self.fail(id, message, None);
                }
                self.fail(id, message, None);
            }
        }
    }

    /// Enters a step among a target's rows and into its groups, which are made with what closes them.
    fn add_row(&mut self, target: TargetId, id: StepId, parent: Option<u32>) -> u32 {
        let row = self.steps.add_row(target, id, parent);
        for set in 0..self.steps.rows[target].group_sets.len() {
            let values = self.steps.projected(target, set, id);
            let group = self.group(target, set, &values);
            self.steps.enter(group, row);
        }
        row
    }

    /// Another target describes this step too: it gets a row there.
    fn share(&mut self, target: TargetId, id: StepId, parent: Option<u32>) {
        let again = self.steps.step(id).target as usize == target
            || self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|&(t, _)| t == target));
        if again {
            return;
        }
        let row = self.add_row(target, id, parent);
        self.steps.shared.entry(id).or_default().push((target, row));
        if self.steps.step(id).status.is_done() {
            self.row_done(target, row, id);
        }
    }

    /// The other step of a clash, and the clash in words.
    fn told(&self, clash: Clash, paths: &[PathId]) -> (Option<StepId>, String) {
        let (Clash::SameFile(other) | Clash::FileAndFolder(other)) = clash;
        let (path, theirs) = (paths.first().map_or("", |&path| self.state.path(path)), self.path(other, 0));
        let what = match clash {
            Clash::SameFile(_) => format!("two steps for one file: {path}"),
            Clash::FileAndFolder(_) => format!("a file where another step needs a folder: {path}, {theirs}"),
        };
        (Some(other), what)
    }

    /// The paths of a step's outputs, or why it must not be: values that its rule refuses, or a path that leaves the
    /// pattern.
    fn output_paths(&mut self, target: TargetId, id: StepId, paths: &mut Vec<PathId>) -> Result<(), String> {
        paths.clear();
        if let Some(compiled) = self.rules[target].as_ref().filter(|c| c.by_source) {
            compiled.rule.check(&self.steps.values_of(id))?;
        }
        let Self { steps, state, rhythm, pipeline, scratch, .. } = self;
        let bound = steps.bound(id);
        for (position, output) in pipeline.targets[target].outputs.iter().enumerate() {
            scratch.path.clear();
            pattern::fill_into(&mut scratch.path, &output.pattern, |b| steps.names.get(bound[b].value));
            pattern::safe_path(&scratch.path)
                .map_err(|why| format!("the output path {:?}: {why}", printable(&scratch.path)))?;
            paths.push(rhythm.find(state, (target, position), &scratch.path));
        }
        Ok(())
    }

    /// Two steps are one where rule, parameters, values, outputs and inputs agree.
    fn describes_same(&self, a: StepId, b: StepId, paths: &[PathId], waits: &[Wait]) -> bool {
        let (ta, tb) = (self.steps.step(a).target as usize, self.steps.step(b).target as usize);
        let (Some(ra), Some(rb)) = (&self.rules[ta], &self.rules[tb]) else { return false };
        let read = |id: StepId, rule: &super::engine::Compiled| -> Vec<(Id, Option<Sha256>)> {
            let bound = self.steps.bound(id);
            rule.rule.reads().iter().map(|&i| (bound[i].value, self.steps.fingerprint(&bound[i]).copied())).collect()
        };
        ra.template_digest == rb.template_digest
            && read(a, ra) == read(b, rb)
            && paths == self.steps.outputs(b)
            && waits.iter().copied().eq(self.steps.slots_of(b).iter().map(|s| s.wait))
    }

    /// What each of a step's slots waits on.
    fn waits(&mut self, target: TargetId, id: StepId, waits: &mut Vec<Wait>) {
        waits.clear();
        let this = &self.pipeline.targets[target];
        for (position, input) in this.inputs.iter().enumerate() {
            match (&self.direct[target][position], &input.kind) {
                (Some(path), _) => {
                    let Self { steps, state, rhythm, scratch, .. } = self;
                    let bound = steps.bound(id);
                    scratch.path.clear();
                    pattern::fill_into(&mut scratch.path, path, |b| steps.names.get(bound[b].value));
                    let path = rhythm.find(state, (target, this.outputs.len() + position), &scratch.path);
                    waits.push(steps.wait_for_path(path));
                }
                (None, InputKind::Target { target: of, on, .. }) => {
                    let values = self.steps.values_of(id);
                    let joined: Vec<(usize, String)> =
                        on.iter().map(|(theirs, mine)| (*theirs, pattern::fill(mine, &values))).collect();
                    waits.push(self.join_group(*of, &joined));
                }
                (None, InputKind::Path(_)) => unreachable!("a path is direct"),
            }
        }
        for &of in &this.after {
            waits.push(self.join_group(of, &[]));
        }
    }

    fn join_group(&mut self, of: TargetId, joined: &[(usize, String)]) -> Wait {
        let on: Vec<usize> = joined.iter().map(|(theirs, _)| *theirs).collect();
        let values: Vec<Id> = joined.iter().map(|(_, value)| self.steps.names.intern(value)).collect();
        let set = self.steps.group_set(of, &on);
        Wait::Group(self.group(of, set, &values))
    }

    /// The group with these values; where it is new, what closes it is settled.
    fn group(&mut self, target: TargetId, set: usize, values: &[Id]) -> GroupId {
        let (group, new) = self.steps.group(target, set, values);
        if new {
            self.set_closing(target, set, values, group);
        }
        group
    }

    fn set_closing(&mut self, target: TargetId, set: usize, values: &[Id], group: GroupId) {
        if self.closed[target] {
            self.steps.groups[group as usize].closed = true;
            return;
        }
        let Some(parent) = parent_of(&self.pipeline.targets[target]) else { return };
        let on = self.steps.rows[target].group_sets[set].on.clone();
        let inherited = self.inherited(target, &on);
        let values = if inherited.len() == on.len() { values } else { &[] };
        let parent_set = self.steps.group_set(parent, &inherited);
        let parent_group = self.group(parent, parent_set, values);
        if self.steps.is_complete(parent_group) {
            self.close_group(group, parent_group);
        } else {
            self.steps.groups[parent_group as usize].closes.push(group);
        }
    }

    /// No more rows can come into `group`, since all of `from` has been read.
    fn close_group(&mut self, group: GroupId, from: GroupId) {
        let [own, inherited] = [group, from].map(|g| self.steps.groups[g as usize].blocked_by);
        let blocked_by = self.steps.earlier(own, inherited);
        let group = &mut self.steps.groups[group as usize];
        group.closed = true;
        group.read_out_of = Some(from);
        group.blocked_by = blocked_by;
    }

    /// No more rows can come to a target.
    fn close_target(&mut self, target: TargetId, blocked_by: Option<StepId>) {
        self.closed[target] = true;
        for group in self.steps.groups_of(target).collect::<Vec<_>>() {
            let blocked_by = self.steps.earlier(self.steps.groups[group as usize].blocked_by, blocked_by);
            let g = &mut self.steps.groups[group as usize];
            g.closed = true;
            g.blocked_by = blocked_by;
            self.check_group.push(group);
        }
    }

    /// A row is done: what is read out of it comes next, and only then do its groups count it.
    pub(super) fn row_done(&mut self, target: TargetId, row: u32, step: StepId) {
        if self.readers[target].iter().any(|&r| parent_of(&self.pipeline.targets[r]).is_some()) {
            self.to_expand.push(Pending { target, row, step });
        } else {
            self.count_row(target, step);
        }
    }

    fn count_row(&mut self, target: TargetId, step: StepId) {
        for set in 0..self.steps.rows[target].group_sets.len() {
            let group = self.steps.group_of(target, set, step);
            self.steps.mark(group, step);
            let group_state = &mut self.steps.groups[group as usize];
            group_state.pending -= 1;
            if group_state.pending == 0 {
                self.check_group.push(group);
            }
        }
    }

    /// Wakes what waits on groups that became complete, and closes the groups that waited for them to close.
    pub(super) fn settle_groups(&mut self) {
        while let Some(group) = self.check_group.pop() {
            if !self.steps.is_complete(group) {
                continue;
            }
            self.steps.wake_group(group, &mut self.ready);
            for closes in std::mem::take(&mut self.steps.groups[group as usize].closes) {
                self.close_group(closes, group);
                self.check_group.push(closes);
            }
            self.expand_waiting(self.steps.groups[group as usize].target);
        }
    }

    /// Reads the outputs of all rows that are due, in parallel, and adds the steps that come of them.
    pub(super) fn expand_due(&mut self) {
        let due = std::mem::take(&mut self.to_expand);
        if due.is_empty() {
            return;
        }
        let read: Vec<Vec<Values>> = due.par_iter().map(|p| self.read_row(*p)).collect();
        for (pending, per_reader) in due.into_iter().zip(read) {
            for (reader, values) in per_reader {
                match values {
                    Ok(values) => self.expand_product(reader, &values, Some((pending.row, pending.step))),
                    Err(message) => self.fail_late(pending.step, message),
                }
            }
            self.count_row(pending.target, pending.step);
        }
        self.settle_groups();
    }

    /// The values that each reader of a row's target reads out of it.
    fn read_row(&self, Pending { target, step, .. }: Pending) -> Vec<Values> {
        let readers = self.readers[target].iter().filter(|&&r| parent_of(&self.pipeline.targets[r]).is_some());
        if !self.can_read(step) {
            return Vec::new();
        }
        let path = self.path(step, 0).to_owned();
        let bytes = std::fs::read(self.pipeline.root.join(&path));
        readers
            .map(|&reader| {
                let values = match (&bytes, read_of(&self.pipeline.targets[reader], target)) {
                    (Ok(bytes), Some(read)) => axis::read_values(read, bytes).map_err(|e| format!("{path}: {e}")),
                    (Err(error), _) => Err(format!("cannot read {path}: {error}")),
                    (_, None) => Ok(Vec::new()),
                };
                (reader, values)
            })
            .collect()
    }

    /// Its outputs can be read for values: they are built, or (where nothing is run) there from before.
    fn can_read(&self, step: StepId) -> bool {
        let status = self.steps.step(step).status;
        status.has_outputs() || status == Status::Stale && self.pipeline.root.join(self.path(step, 0)).is_file()
    }

    /// A target that reads from several others waits until all of them are done.
    fn wait_for_parents(&mut self, target: TargetId) {
        let parents: Vec<TargetId> = parents_of(&self.pipeline.targets[target]).collect();
        for parent in parents {
            let set = self.steps.group_set(parent, &[]);
            self.group(parent, set, &[]);
        }
        self.waiting.push(target);
    }

    fn expand_waiting(&mut self, parent: TargetId) {
        let due: Vec<TargetId> = self
            .waiting
            .iter()
            .copied()
            .filter(|&t| parents_of(&self.pipeline.targets[t]).any(|p| p == parent))
            .filter(|&t| {
                parents_of(&self.pipeline.targets[t]).collect::<Vec<_>>().into_iter().all(|p| {
                    let set = self.steps.group_set(p, &[]);
                    let (group, _) = self.steps.group(p, set, &[]);
                    self.steps.is_complete(group)
                })
            })
            .collect();
        self.waiting.retain(|t| !due.contains(t));
        for target in due {
            let blocked = self.expand_joined(target);
            self.close_target(target, blocked);
        }
    }

    /// The rows of a target that reads from several: each combination of their rows that agrees on what they share.
    /// Gives a step that could not be read, where there is one.
    fn expand_joined(&mut self, target: TargetId) -> Option<StepId> {
        let this = &self.pipeline.targets[target];
        let mut blocked = None;
        let mut partial: Vec<Vec<Option<Bound>>> = vec![vec![None; this.bindings.len()]];
        for (position, axis) in this.axes.iter().enumerate() {
            let choices = match &axis.kind {
                AxisKind::From { target: from, read } => {
                    let set = self.steps.group_set(*from, &[]);
                    let (group, _) = self.steps.group(*from, set, &[]);
                    blocked = self.steps.earlier(blocked, self.steps.groups[group as usize].blocked_by);
                    self.joined_choices(target, position, group, read)
                }
                _ => self.static_values(target, axis)?.into_iter().map(|b| vec![(axis.binding, b)]).collect(),
            };
            partial = partial.iter().flat_map(|row| choices.iter().filter_map(|choice| agree(row, choice))).collect();
        }
        for row in partial {
            let bound: Option<Vec<Bound>> = row.into_iter().collect();
            if let Some(bound) = bound {
                self.add_step(target, &bound, None);
            }
        }
        blocked
    }

    /// Every value of one axis, with the bindings that come along from the row it was read from.
    fn joined_choices(
        &mut self,
        target: TargetId,
        axis: usize,
        group: GroupId,
        read: &Read,
    ) -> Vec<Vec<(usize, Bound)>> {
        let bindings = &self.pipeline.targets[target].bindings;
        let mut choices = Vec::new();
        for step in self.steps.ordered(group).into_iter().filter(|&s| self.can_read(s)).collect::<Vec<_>>() {
            let path = self.path(step, 0).to_owned();
            let values = std::fs::read(self.pipeline.root.join(&path))
                .map_err(|e| format!("cannot read {path}: {e}"))
                .and_then(|bytes| axis::read_values(read, &bytes).map_err(|e| format!("{path}: {e}")));
            match values {
                Err(message) => self.fail_late(step, message),
                Ok(values) => {
                    for own in self.intern(&values) {
                        let row = bindings
                            .iter()
                            .enumerate()
                            .filter(|(_, b)| b.axis == axis)
                            .map(|(i, b)| (i, b.parent.map_or(own, |parent| self.steps.bound(step)[parent])));
                        choices.push(row.collect());
                    }
                }
            }
        }
        choices
    }
}

/// A row with one axis more, where the two agree on the bindings that both have.
fn agree(row: &[Option<Bound>], choice: &[(usize, Bound)]) -> Option<Vec<Option<Bound>>> {
    let mut row = row.to_vec();
    for (binding, bound) in choice {
        match row[*binding] {
            Some(there) if there.value != bound.value => return None,
            _ => row[*binding] = Some(*bound),
        }
    }
    Some(row)
}

/// How a target reads values out of the outputs of another.
fn read_of(target: &Target, from: TargetId) -> Option<&Read> {
    target.axes.iter().find_map(|a| match &a.kind {
        AxisKind::From { target, read } if *target == from => Some(read),
        _ => None,
    })
}
