//! Several targets that make one file: those that describe the same step, and those that undo each other's work.

use crate::pipeline::makers::readings;
use crate::pipeline::model::{AxisKind, InputKind, Pattern, Read, StepsOf, TargetId};
use crate::pipeline::node::written;
use crate::pipeline::pattern;

use super::again::fresh;
use crate::build::engine::Engine;
use crate::build::engine::settings::{Settings, together};
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;
use crate::rules::Asks;

const ONLY_BUILT: &str = "is seen only while building";

impl Engine<'_> {
    /// The other targets that may make a step's output: those that describe the same step, and those that do not.
    pub(crate) fn other_makers(&self, id: StepId) -> (Vec<TargetId>, Vec<TargetId>) {
        let own = self.steps.step(id).target as usize;
        let makers = self.paths(id).flat_map(|path| self.makers().of(path));
        let shared: Vec<TargetId> =
            self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target).collect();
        // Where its steps are all told, and it has not this one, it does not make it.
        let may_make = |(target, values): &(TargetId, Vec<(usize, String)>)| {
            shared.contains(target) || !self.is_sure_not_to_make(*target, values)
        };
        let mut others: Vec<TargetId> = makers.filter(may_make).map(|(target, _)| target).collect();
        others.sort_unstable();
        others.dedup();
        others.into_iter().filter(|&t| t != own).partition(|&target| self.describes(target, id))
    }

    pub(crate) fn names(&self, targets: &[TargetId]) -> Vec<String> {
        targets.iter().map(|&target| self.pipeline.targets[target].name.clone()).collect()
    }

    /// In what the targets that describe a step differ beside that, and what holds of it where they are built together.
    pub(crate) fn held(&self, id: StepId, same: &[TargetId]) -> Vec<String> {
        let mut all: Vec<TargetId> = same.iter().copied().filter(|&target| self.is_heeded(id, target)).collect();
        all.push(self.steps.step(id).target as usize);
        all.sort_unstable();
        let together = all.iter().map(|&target| self.settings[target]).reduce(together);
        let Some(together) = together.map(|together| self.in_words(together)) else { return Vec::new() };
        let mut held = Vec::new();
        for (position, value) in together.into_iter().enumerate() {
            let of = |&target: &TargetId| {
                let own = &self.in_words(self.settings[target])[position];
                (*own != value).then(|| format!("{own} of {}", self.pipeline.targets[target].name))
            };
            let others: Vec<String> = all.iter().filter_map(of).collect();
            held.extend((!others.is_empty()).then(|| format!("{value} holds, not {}", others.join(" or "))));
        }
        let after = |target: TargetId| -> Vec<String> {
            self.pipeline.targets[target].after.iter().map(|after| self.label_of(after.target, &after.values)).collect()
        };
        let mut union: Vec<String> = all.iter().flat_map(|&target| after(target)).collect();
        union.sort();
        union.dedup();
        let lacks = all.iter().any(|&target| union.iter().any(|name| !after(target).contains(name)));
        held.extend(lacks.then(|| format!("after {}", union.join(", "))));
        let late = self.names(&same.iter().copied().filter(|&target| !self.is_heeded(id, target)).collect::<Vec<_>>());
        let late = (!late.is_empty()).then(|| late.join(" and "));
        held.extend(late.map(|late| format!("what {late} says of it does not hold, whose list needs it")));
        held
    }

    /// That targets beside those that describe a step may come to, and what would hold of it then; nothing where they did not
    /// when their lists were last built, and it would be the same.
    pub(super) fn joiners_note(
        &self,
        id: StepId,
        same: &[TargetId],
        joiners: &[TargetId],
        held: &[String],
    ) -> Option<String> {
        let then = self.held(id, &[same, joiners].concat());
        let then: Vec<&str> = then.iter().filter(|line| !held.contains(line)).map(String::as_str).collect();
        let makers = || self.paths(id).flat_map(|path| self.makers().of(path));
        let lacked = |of: &TargetId| {
            makers().filter(|(target, _)| target == of).all(|(target, values)| self.was_read_without(target, &values))
        };
        if joiners.is_empty() || then.is_empty() && joiners.iter().all(lacked) {
            return None;
        }
        let then = if then.is_empty() { String::new() } else { format!(": then {}", then.join("; ")) };
        Some(format!("whether {} describes this step, too, {ONLY_BUILT}{then}", self.names(joiners).join(" or ")))
    }

    /// That targets which describe a step, which is one whatever they come to, may not any more.
    pub(super) fn leavers_note(&self, id: StepId) -> Option<String> {
        let open = |&(target, row): &(TargetId, u32)| self.row_in_doubt(id, target, row).is_some();
        let leavers = self.steps.rows_of(id).filter(|row| self.in_doubt(id).is_none() && open(row));
        let leavers: Vec<TargetId> = leavers.map(|(target, _)| target).collect();
        (!leavers.is_empty())
            .then(|| format!("whether {} still describes this step {ONLY_BUILT}", self.names(&leavers).join(" or ")))
    }

    /// The targets that describe a step, the one that it goes by first.
    pub(crate) fn described_by(&self, id: StepId) -> Vec<TargetId> {
        self.steps.rows_of(id).map(|(target, _)| target).collect()
    }

    /// What a step only waits for: all that each target that describes it does.
    pub(crate) fn after_of(&self, id: StepId) -> Vec<&StepsOf> {
        let mut after = Vec::new();
        for target in self.described_by(id).into_iter().filter(|&target| self.is_heeded(id, target)) {
            for of in &self.pipeline.targets[target].after {
                if !after.contains(&of) {
                    after.push(of);
                }
            }
        }
        after
    }

    /// Targets that may come to make one file with this one, of which not all steps are told yet: otherwise, not as the
    /// same step.
    pub(crate) fn rivals_to_come(&self, target: TargetId) -> Vec<TargetId> {
        let is_told = |of: TargetId| self.unknown(of, &|step| !self.is_settled(step)).is_none();
        let is_open = |other: TargetId| {
            let mut steps = self.steps.rows[other].steps.iter();
            !is_told(other) || steps.any(|&step| self.paths(step).any(|path| self.may_make(target, path)))
        };
        let others = self.makers().meeting(target).into_iter();
        others
            .filter(|&other| !self.are_alike(target, other) && self.may_meet(target, other) && is_open(other))
            .collect()
    }

    /// Whether a target that may make a step's output describes the same step.
    pub(crate) fn describes(&self, target: TargetId, id: StepId) -> bool {
        self.steps.shared.get(&id).is_some_and(|also| also.iter().any(|(t, _)| *t == target))
            || self.are_alike(target, self.steps.step(id).target as usize)
    }

    /// Whether a step goes by this name: its own, or that which another target that describes it gives it.
    pub(crate) fn goes_by(&self, id: StepId, name: &str) -> bool {
        let label = self.steps.label(id);
        let (own, other) = (&self.steps.target(id).name, name.split('@').next().unwrap_or_default());
        let describes = || {
            let target = self.pipeline.targets.iter().position(|target| target.name == other);
            target.is_some_and(|target| self.describes(target, id))
        };
        name == label || label.strip_prefix(own.as_str()) == name.strip_prefix(other) && describes()
    }

    /// Whether a step that all of these describe would wait for itself: one of them is only made after what needs another.
    pub(crate) fn wait_for_each_other(&self, targets: &[TargetId]) -> bool {
        let mut after = targets.iter().flat_map(|&target| &self.pipeline.targets[target].after);
        after.any(|later| targets.iter().any(|&earlier| self.pipeline.comes_after(later.target, earlier)))
    }

    /// Whether two targets describe the same steps, where they have the same values.
    pub(crate) fn are_alike(&self, a: TargetId, b: TargetId) -> bool {
        let names = |target: TargetId| self.pipeline.targets[target].bindings.iter().map(|b| &b.name);
        let digest = |target: TargetId| self.rules[target].as_ref().map(|compiled| compiled.template_digest);
        digest(a) == digest(b)
            && names(a).eq(names(b))
            && self.inputs_in_words(a) == self.inputs_in_words(b)
            && self.source_asked_by(a) == self.source_asked_by(b)
            && !self.wait_for_each_other(&[a, b])
    }

    /// The source that the steps of a target ask; none where digests that come with their tags answer them.
    fn source_asked_by(&self, target: TargetId) -> Option<&str> {
        let compiled = self.rules[target].as_ref()?;
        let asks = match compiled.rule.common().asks {
            Asks::Never => false,
            Asks::Always => true,
            Asks::Unless(binding) => {
                let (root, axis) = self.root_of(target, binding);
                !matches!(self.pipeline.targets[root].axes[axis].kind, AxisKind::From { read: Read::Tags(_), .. })
            }
        };
        compiled.template.source.as_deref().filter(|_| asks)
    }

    /// What a target reads, as far as two targets can be compared by it.
    fn inputs_in_words(&self, target: TargetId) -> Vec<String> {
        let target = &self.pipeline.targets[target];
        let text = |p: &Pattern| pattern::template(p, &target.bindings);
        let inputs = target.inputs.iter().map(|input| match &input.kind {
            InputKind::Path(path) => text(path),
            InputKind::Target { target: of, on, partial } => {
                let on: Vec<_> = on.iter().map(|(binding, value)| (binding, text(value))).collect();
                let named = input.path.as_ref().filter(|_| self.pipeline.targets[*of].outputs.len() > 1).map(text);
                format!("{of} {partial} {on:?} {named:?}")
            }
        });
        inputs.collect()
    }

    /// Rivals among what a step reads, where the steps of one of them are still to come: once they are there, both fail.
    pub(crate) fn rival_inputs(&self, id: StepId) -> Vec<String> {
        let of = |input: &InputKind| match input {
            InputKind::Target { target, .. } => Some(*target),
            InputKind::Path(_) => None,
        };
        let mut read: Vec<TargetId> = self.steps.target(id).inputs.iter().filter_map(|input| of(&input.kind)).collect();
        read.sort_unstable();
        read.dedup();
        let to_come = read.iter().filter(|&&target| self.unknown(target, &|step| !self.is_settled(step)).is_some());
        let rivals = to_come.filter_map(|&target| {
            let (step, path) = self.input_steps(id).into_iter().find_map(|step| {
                let is_other = self.steps.step(step).target as usize != target && !self.describes(target, step);
                let path = self.paths(step).find(|path| is_other && self.may_make(target, path))?;
                Some((step, path))
            })?;
            let (step, name) = (self.steps.label(step), &self.pipeline.targets[target].name);
            Some(format!("{step} and `{name}` may make one file, {path}: then both fail, and this is blocked"))
        });
        rivals.collect()
    }

    fn may_make(&self, target: TargetId, path: &str) -> bool {
        let outputs = &self.pipeline.targets[target].outputs;
        outputs
            .iter()
            .flat_map(|o| readings(&self.pipeline.targets, target, &o.pattern, path))
            .any(|values| self.may_have(target, &values))
    }

    /// The steps that a step reads from, as far as they are known.
    pub(crate) fn input_steps(&self, id: StepId) -> Vec<StepId> {
        let steps = self.steps.inputs_of(id).iter().flat_map(|slot| match slot.wait {
            Wait::Step(step) => vec![step],
            Wait::Group(group) => self.steps.ordered(group),
            Wait::File(_) | Wait::None => Vec::new(),
        });
        steps.collect()
    }

    /// What two targets may set otherwise for one step.
    fn in_words(&self, settings: Settings) -> [String; 6] {
        let missing = if settings.missing_is_error { "error" } else { "ok" };
        let retries = settings.retries.map_or_else(|| "the usual".to_owned(), |retries| retries.to_string());
        let timeout = settings.timeout.map_or_else(|| "none".to_owned(), written);
        let pool = settings.pool.map_or_else(|| "none".to_owned(), |taken| self.pool_in_words(taken));
        [
            format!("fresh {}", fresh(settings.fresh)),
            format!("missing {missing}"),
            format!("retries {retries}"),
            format!("timeout {timeout}"),
            format!("pool {pool}"),
            format!("cache {}", settings.cached),
        ]
    }
}
