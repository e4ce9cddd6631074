//! Whether steps of two targets may make one file, by the values that their lists can have.

use std::collections::HashSet;
use std::sync::Arc;

use crate::pipeline::backwards;
use crate::pipeline::model::{AxisKind, Binding, Part, Pattern, Target, TargetId};
use crate::pipeline::values::{self, UNKNOWN};

use crate::build::engine::Engine;

/// The values that a binding can have.
enum Possible {
    Listed(Arc<HashSet<String>>),
    /// Such as begin so, or any.
    Like(Vec<String>),
}

impl Possible {
    fn any(&self, is: impl FnMut(&String) -> bool) -> bool {
        match self {
            Possible::Listed(values) => values.iter().any(is),
            Possible::Like(values) => values.iter().any(is),
        }
    }
}

impl Engine<'_> {
    /// Whether two targets may come to make one file, whatever is read out of what is still to be built.
    pub(crate) fn may_meet(&self, one: TargetId, other: TargetId) -> bool {
        let outputs = |target: TargetId| self.pipeline.targets[target].outputs.iter();
        outputs(one).any(|ours| {
            outputs(other).any(|theirs| {
                self.may_be_at((one, &ours.pattern), (other, &theirs.pattern))
                    || self.may_be_at((other, &theirs.pattern), (one, &ours.pattern))
            })
        })
    }

    /// Whether the path of one target may be that of an output of another.
    fn may_be_at(&self, (of, path): (TargetId, &Pattern), (target, output): (TargetId, &Pattern)) -> bool {
        let mut may_be = false;
        backwards::each_unified(path, output, &mut |on| {
            may_be = on.iter().all(|(binding, value)| match value.parts.as_slice() {
                [Part::Binding(own)] => self.possible(of, *own).any(|value| self.may_take(target, *binding, value)),
                _ => self.may_take(target, *binding, &values::known(value)),
            });
            !may_be
        });
        may_be
    }

    fn possible(&self, target: TargetId, binding: usize) -> Possible {
        let (root, axis) = self.root_of(target, binding);
        let read = match &self.pipeline.targets[root].axes[axis].kind {
            AxisKind::From { target: list, .. } => values::starts_of(&self.pipeline.targets[*list]),
            _ => match self.values_of_axis(root, axis) {
                Some(listed) => return Possible::Listed(listed),
                None => None,
            },
        };
        Possible::Like(read.unwrap_or_else(|| vec![String::new()]).into_iter().map(|start| start + "\0").collect())
    }

    /// Whether a binding can have this value, of which not all has to be known.
    fn may_take(&self, target: TargetId, binding: usize, value: &str) -> bool {
        let (root, axis) = self.root_of(target, binding);
        let is_read_out = matches!(self.pipeline.targets[root].axes[axis].kind, AxisKind::From { .. });
        let listed = if is_read_out { None } else { self.values_of_axis(root, axis) };
        let is_listed = |listed: Arc<HashSet<String>>| match value.contains(UNKNOWN) {
            true => listed.iter().any(|listed| values::fits(listed, value)),
            false => listed.contains(value),
        };
        values::of_binding(&self.pipeline.targets, target, binding, value).is_some() && listed.is_none_or(is_listed)
    }

    /// The axis that gives a binding its values, by its target and its place there: the targets in between only pass them on.
    pub(crate) fn root_of(&self, mut target: TargetId, mut binding: usize) -> (TargetId, usize) {
        loop {
            let Target { bindings, axes, .. } = &self.pipeline.targets[target];
            let Binding { axis, parent, .. } = bindings[binding];
            match (&axes[axis].kind, parent) {
                (AxisKind::From { target: of, .. }, Some(theirs)) => (target, binding) = (*of, theirs),
                _ => return (target, axis),
            }
        }
    }
}
