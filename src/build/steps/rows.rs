//! From a row's values to a step: its paths, what it waits on, and whether another target has described it already.

use crate::pipeline::model::{Input, InputKind, StepsOf, Target, TargetId};
use crate::pipeline::problem::Span;
use crate::pipeline::{implied, paths, pattern};
use crate::store::Sha256;
use crate::store::state::PathId;

use super::expand::parent_of;
use super::intern::Id;
use super::waits::Wait;
use super::{Bound, Clash, NONE, StepId, printable};
use crate::build::engine::{Compiled, Engine};
use crate::build::outcome::Status;

impl Engine<'_> {
    /// Adds one step, or finds that another target has described it already.
    pub(crate) fn add_step(&mut self, target: TargetId, bound: &[Bound], parent: Option<u32>) {
        if !self.wanted[target].takes(|b| self.steps.names.get(bound[b].value)) {
            return;
        }
        let id = self.steps.push(target, bound);
        // Buffers that are used again for each step.
        let (mut paths, mut waits) = (std::mem::take(&mut self.scratch.paths), std::mem::take(&mut self.scratch.waits));
        // Of a file where others need a folder, all of these but the one that is told.
        let mut inside: Vec<StepId> = Vec::new();
        let clash = match self.output_paths(target, id, &mut paths) {
            Err(message) => Some((None, message)),
            Ok(Some(refusal)) => match paths.first().and_then(|&path| self.steps.maker(path)) {
                Some(other)
                    if self.steps.is_refused(other)
                        && self.describes_same(id, other, &paths, &self.no_waits(target)) =>
                {
                    self.steps.pop(id);
                    self.share(target, other, parent, &[]);
                    (self.scratch.paths, self.scratch.waits) = (paths, waits);
                    return;
                }
                _ => {
                    self.steps.claim_in_vain(id, &paths);
                    Some((None, refusal))
                }
            },
            Ok(None) => {
                self.waits(target, id, &mut waits);
                match self.steps.claim(id, &paths, &mut self.state) {
                    Ok(()) => {
                        self.steps.set_slots(id, &waits);
                        None
                    }
                    Err(Clash::SameFile(other)) if !self.describes_same(id, other, &paths, &waits) => {
                        Some(self.told(Clash::SameFile(other), target, &paths))
                    }
                    Err(Clash::SameFile(other)) if self.would_wait_for_itself(target, other) => {
                        let (other, message) = self.told(Clash::SameFile(other), target, &paths);
                        Some((other, format!("{message}: as one step, by `after`, it would wait for itself")))
                    }
                    Err(Clash::SameFile(other)) => {
                        self.steps.pop(id);
                        self.share(target, other, parent, &waits[self.pipeline.targets[target].inputs.len()..]);
                        (self.scratch.paths, self.scratch.waits) = (paths, waits);
                        return;
                    }
                    Err(clash) => {
                        inside = paths.iter().flat_map(|&path| self.steps.inside(path, &self.state)).collect();
                        inside.retain(|&other| clash != Clash::FileAndFolder(other));
                        Some(self.told(clash, target, &paths))
                    }
                }
            }
        };
        (self.scratch.paths, self.scratch.waits) = (paths, waits);
        if clash.is_some() {
            self.steps.set_slots(id, &self.no_waits(target));
            self.steps.refused.entry(target).or_default().push(id);
        }
        self.add_row(target, id, parent);
        self.stats.total += 1;
        match clash {
            None => {
                if self.steps.step(id).pending == 0 {
                    self.ready.push(id);
                }
                self.refuse_finders(id);
            }
            Some((other, message)) => {
                if let Some(other) = other {
                    self.clashes.entry(id).or_default().push(other);
                    self.clashes.entry(other).or_default().push(id);
                    if self.before_build {
                        let span = self.pipeline.targets[target].outputs.first().map_or(Span::default(), |o| o.span);
                        let label = format!("{} and {}", self.steps.label(other), self.steps.label(id));
                        self.problem(span, &message, label);
                    }
                    self.fail_late(other, format!("{message} (the other is {})", self.steps.label(id)));
                    let message = format!("{message} (the other is {})", self.steps.label(other));
                    self.fail(id, message, None);
                    let perhaps = [id, other].iter().any(|&step| self.is_in_doubt(step));
                    [id, other].iter().for_each(|&step| self.mark_perhaps(step, perhaps));
                    inside.into_iter().for_each(|other| self.clash_with_folder(id, other));
                    return;
                }
                self.fail(id, message, None);
                self.mark_perhaps(id, self.is_in_doubt(id));
            }
        }
    }

    /// Another step makes something in the folder that lies where a step that was refused would make a file.
    fn clash_with_folder(&mut self, id: StepId, other: StepId) {
        self.clashes.entry(id).or_default().push(other);
        self.clashes.entry(other).or_default().push(id);
        let (_, message) =
            self.told(Clash::FileAndFolder(other), self.steps.step(id).target as usize, &self.scratch.paths);
        self.fail_late(other, format!("{message} (the other is {})", self.steps.label(id)));
        let perhaps = [id, other].iter().any(|&step| self.is_in_doubt(step));
        self.mark_perhaps(other, perhaps);
    }

    /// The slots of a step that cannot be.
    fn no_waits(&self, target: TargetId) -> Vec<Wait> {
        let Target { inputs, after, .. } = &self.pipeline.targets[target];
        vec![Wait::File(NONE); inputs.len() + after.len()]
    }

    /// Enters a step among a target's rows and into its groups, which are made with what closes them.
    pub(super) fn add_row(&mut self, target: TargetId, id: StepId, parent: Option<u32>) -> u32 {
        let row = self.steps.add_row(target, id, parent);
        for set in 0..self.steps.rows[target].group_sets.len() {
            let values = self.steps.projected(target, set, id);
            let group = self.group(target, set, &values);
            self.steps.enter(group, row);
        }
        row
    }

    /// Another target describes this step too: it gets a row there, and waits for what that target names under `after:`.
    fn share(&mut self, target: TargetId, id: StepId, parent: Option<u32>, after: &[Wait]) {
        let again = self.steps.step(id).target as usize == target
            || self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|&(t, _)| t == target));
        if again {
            return;
        }
        let row = self.add_row(target, id, parent);
        self.steps.shared.entry(id).or_default().push((target, row));
        match self.steps.step(id).status {
            Status::Pending => {
                let was_ready = self.steps.step(id).pending == 0;
                if self.is_heeded(id, target) {
                    self.steps.wait_also(id, after);
                }
                if was_ready && self.steps.step(id).pending > 0 {
                    self.withdrawn.insert(id);
                }
            }
            status if status.is_done() => self.row_done(target, row, id),
            _ => {}
        }
    }

    /// The other step of a clash, and the clash in words.
    fn told(&self, clash: Clash, target: TargetId, paths: &[PathId]) -> (Option<StepId>, String) {
        let other = match clash {
            Clash::SameFile(other) | Clash::FileAndFolder(other) => other,
            Clash::Read => NONE,
        };
        let path = paths.first().map_or("", |&path| self.state.path(path));
        // One that is refused itself has its file only in name.
        let theirs = if other == NONE { None } else { self.files_of(other).into_iter().next() }.unwrap_or_default();
        let what = match clash {
            Clash::SameFile(_) => format!("two steps for one file: {path}"),
            Clash::FileAndFolder(_) => format!("a file where another step needs a folder: {path}, {theirs}"),
            Clash::Read => {
                let own = &self.pipeline.targets[target].name;
                return (None, format!("{path} was taken for a file that no target makes by what `{own}` waits for"));
            }
        };
        (Some(other), what)
    }

    /// The paths of a step's outputs, and why they are not to be made, where that is so: its rule refuses its values, or the
    /// pipeline is read from there; or why it cannot have them: a path that leaves the pattern.
    fn output_paths(
        &mut self,
        target: TargetId,
        id: StepId,
        paths: &mut Vec<PathId>,
    ) -> Result<Option<String>, String> {
        paths.clear();
        let compiled = self.rules[target].as_ref().filter(|c| c.by_source);
        let mut refusal = compiled.and_then(|compiled| compiled.rule.check(&self.steps.values_of(id)).err());
        let Self { steps, state, rhythm, pipeline, scratch, protected, .. } = self;
        let bound = steps.bound(id);
        for (position, output) in pipeline.targets[target].outputs.iter().enumerate() {
            scratch.path.clear();
            pattern::fill_into(&mut scratch.path, &output.pattern, |b| steps.names.get(bound[b].value));
            if let Err(why) = paths::safe_path(implied::below(&pipeline.targets[target].name, &scratch.path)) {
                let why = format!("the output path {:?}: {why}", printable(&scratch.path));
                return Err(refusal.unwrap_or(why));
            }
            let path = rhythm.find(state, target, position, &scratch.path);
            paths.push(path);
            let why = protected.refuses(output, &scratch.path, Some(path));
            match why.filter(|_| refusal.is_none()) {
                // In such a folder lies what is no step's.
                Some(why) if output.folder => return Err(why),
                Some(why) => refusal = Some(why),
                None => {}
            }
        }
        Ok(refusal)
    }

    /// Two steps are one where rule, parameters, values, outputs and inputs agree, and the source that they ask, if they do.
    fn describes_same(&self, a: StepId, b: StepId, paths: &[PathId], waits: &[Wait]) -> bool {
        let (ta, tb) = (self.steps.step(a).target as usize, self.steps.step(b).target as usize);
        let (Some(ra), Some(rb)) = (&self.rules[ta], &self.rules[tb]) else { return false };
        let read = |id: StepId, rule: &Compiled| -> Vec<(Id, Option<Sha256>)> {
            let bound = self.steps.bound(id);
            rule.rule
                .common()
                .reads
                .iter()
                .map(|&i| (bound[i].value, self.steps.fingerprint(&bound[i]).copied()))
                .collect()
        };
        let names = |target: TargetId| self.pipeline.targets[target].bindings.iter().map(|b| &b.name);
        let values = |id: StepId| self.steps.bound(id).iter().map(|b| b.value);
        // A step has one set of values: groups and joins of both targets go by them.
        names(ta).eq(names(tb))
            && values(a).eq(values(b))
            && ra.template_digest == rb.template_digest
            && read(a, ra) == read(b, rb)
            && self.source_asked(a) == self.source_asked(b)
            && paths == self.steps.outputs(b)
            && self.steps.inputs_of(b).iter().zip(waits).enumerate().all(|(position, (theirs, &ours))| {
                ours == theirs.wait && self.named_output(a, position, ours) == self.named_output(b, position, ours)
            })
            && self.pipeline.targets[ta].inputs.len() == self.pipeline.targets[tb].inputs.len()
    }

    /// The source that a step has a question for.
    fn source_asked(&self, id: StepId) -> Option<&str> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        compiled.template.source.as_deref().filter(|_| self.asks_a_source(id, compiled))
    }

    /// Whether a step could not be made if a target that describes it, too, shared it.
    fn would_wait_for_itself(&mut self, target: TargetId, id: StepId) -> bool {
        let also = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
        let all: Vec<TargetId> = also.chain([self.steps.step(id).target as usize, target]).collect();
        // Rows come in runs of the same targets.
        match &self.scratch.sharing {
            Some((known, waits)) if *known == all => *waits,
            _ => {
                let waits = self.wait_for_each_other(&all);
                self.scratch.sharing = Some((all, waits));
                waits
            }
        }
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
                    let path = rhythm.find(state, target, this.outputs.len() + position, &scratch.path);
                    waits.push(match (steps.maker(path), &input.kind, &input.path) {
                        (Some(step), ..) => Wait::Step(step),
                        (None, InputKind::Target { target: of, on, .. }, named) => {
                            // A step that was refused is one all the same, though it makes nothing.
                            match (steps.refused_with(*of, on, id), named) {
                                (Some(step), _) => Wait::Step(step),
                                // The other target has no step of these values.
                                (None, None) => Wait::None,
                                // It is known by its first output; the file that is named may be another one.
                                (None, Some(named)) => {
                                    scratch.path.clear();
                                    pattern::fill_into(&mut scratch.path, named, |b| steps.names.get(bound[b].value));
                                    steps.wait_for_path(state.intern(&scratch.path))
                                }
                            }
                        }
                        (None, InputKind::Path(_), _) => steps.wait_for_path(path),
                    });
                }
                (None, InputKind::Target { target: of, on, .. }) => {
                    let values = self.steps.values_of(id);
                    let joined = pattern::joined(on, &values);
                    waits.push(self.join_group(*of, &joined));
                }
                (None, InputKind::Path(_)) => unreachable!("a path is direct"),
            }
        }
        for StepsOf { target: of, values, .. } in &this.after {
            waits.push(self.join_group(*of, values));
        }
    }

    /// The path of each input that is one file, over the bindings of the target that reads it. A join on all bindings
    /// of another target finds its one step by the path of its output, where that step is sure to be there before; an
    /// output that no step makes is a file that must be there already.
    pub(crate) fn make_direct(&mut self) {
        self.direct = (0..self.pipeline.targets.len())
            .map(|target| {
                let path = |input: &Input| match &input.kind {
                    InputKind::Path(path) => Some(path.clone()),
                    // What else it may be is seen only while building.
                    InputKind::Target { .. } if !input.others.is_empty() => None,
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

    /// A join on all bindings finds its one step by path, where that step is sure to be there before.
    pub(crate) fn joins_directly(&self, target: TargetId, of: TargetId, on: usize) -> bool {
        let (this, of) = (&self.pipeline.targets[target], &self.pipeline.targets[of]);
        // Of one parent, both must choose the same rows.
        let axes = |target: &Target| format!("{:?}", target.axes.iter().map(|a| &a.kind).collect::<Vec<_>>());
        let same_parent = parent_of(of) == parent_of(this) && axes(of) == axes(this);
        on == of.bindings.len()
            && !of.outputs.is_empty()
            && (of.parents().next().is_none() || same_parent && parent_of(of).is_some())
    }
}
