//! The values that targets have, as paths and records tell them: their names, and what they are read out of.

use crate::pipeline::model::{AxisKind, Binding, Pattern, Pipeline, TargetId};
use crate::pipeline::pattern;

use super::{StepId, printable};
use crate::build::engine::Engine;

/// The values of a target's bindings, as a path tells them.
pub(crate) type Values = Vec<(usize, String)>;

/// A binding's name, its value, and the digest that came with that.
pub(crate) type Value = (String, String, Option<String>);

/// What values of a target are read out of, each list once: of a step that makes several files, each of these.
pub(crate) fn read_out_of(pipeline: &Pipeline, target: TargetId, values: &[(usize, String)]) -> Vec<String> {
    let this = &pipeline.targets[target];
    let lists = this.axes.iter().filter_map(|axis| match &axis.kind {
        AxisKind::List(_) => Some(format!("the list of `{}` in the pipeline file", this.bindings[axis.binding].name)),
        AxisKind::Glob(pattern) => Some(format!("the files of {pattern}")),
        kind => list_of(kind).map(str::to_owned),
    });
    // There may be no such step any more.
    let made = (0..this.axes.len()).filter_map(|axis| made_list(pipeline, target, axis, values));
    each_once(lists.chain(made))
}

/// The few that there are, each once, in their order.
pub(crate) fn each_once(lists: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    lists.for_each(|list| all.extend(Some(list).filter(|list| !all.contains(list))));
    all
}

/// What an axis reads out of, by the name of the step that makes it; where that makes several files, with the one that is
/// read. In both, `{name}` stands for a value that is not known.
pub(crate) fn made_list(
    pipeline: &Pipeline,
    target: TargetId,
    axis: usize,
    values: &[(usize, String)],
) -> Option<String> {
    let AxisKind::From { output, .. } = pipeline.targets[target].axes[axis].kind else { return None };
    let (parent, theirs) = read_from(pipeline, target, axis, values)?;
    let step = label(&pipeline.targets[parent].name, &named(pipeline, parent, &theirs));
    Some(match pipeline.targets[parent].outputs.as_slice() {
        several @ [_, _, ..] => {
            format!("{} of {step}", partly_filled(pipeline, parent, &several[output].pattern, &theirs))
        }
        _ => step,
    })
}

/// A pattern of a target's bindings, filled as far as their values are known.
pub(crate) fn partly_filled(pipeline: &Pipeline, target: TargetId, of: &Pattern, known: &[(usize, String)]) -> String {
    let value = |(at, binding): (usize, &Binding)| {
        let known = known.iter().find(|(b, _)| *b == at).map(|(_, value)| value.clone());
        known.unwrap_or_else(|| format!("{{{}}}", binding.name))
    };
    let values: Vec<String> = pipeline.targets[target].bindings.iter().enumerate().map(value).collect();
    pattern::fill(of, &values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The same of any values of a target, as records keep it: with the names of the bindings for their values.
pub(crate) fn of_target(pipeline: &Pipeline, target: TargetId) -> Vec<String> {
    let bindings = pipeline.targets[target].bindings.iter();
    let values: Values = bindings.map(|binding| format!("{{{}}}", binding.name)).enumerate().collect();
    read_out_of(pipeline, target, &values)
}

/// What an axis reads out of: a target, and the values that came along from it, as far as they are known.
pub(crate) fn read_from(
    pipeline: &Pipeline,
    target: TargetId,
    axis: usize,
    values: &[(usize, String)],
) -> Option<(TargetId, Values)> {
    let this = &pipeline.targets[target];
    let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
    let ours = this.bindings.iter().enumerate().filter(|(_, b)| b.axis == axis);
    let theirs = ours.filter_map(|(i, b)| Some((b.parent?, values.iter().find(|(at, _)| *at == i)?.1.clone())));
    Some((parent, theirs.collect()))
}

/// A text with the values that are known in place of the names of their bindings.
pub(crate) fn filled(text: &str, values: &[Value]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value, _)| text.replace(&format!("{{{name}}}"), value))
}

/// The values that steps of a target are to have to be meant: ` with repo=a,tag=b`; nothing, where all are.
pub(crate) fn joined_words(values: &[Value]) -> String {
    let with = if values.is_empty() { "" } else { " with " };
    let each = values.iter().map(|(name, value, _)| format!("{name}={}", printable(value)));
    format!("{with}{}", each.collect::<Vec<_>>().join(","))
}

/// The file that an axis takes its values from.
pub(crate) fn list_of(axis: &AxisKind) -> Option<&str> {
    match axis {
        AxisKind::Lines(path) | AxisKind::Csv { path, .. } => Some(path),
        AxisKind::List(_) | AxisKind::Glob(_) | AxisKind::From { .. } => None,
    }
}

/// Values by the names of their bindings, in the order of those.
pub(crate) fn named(pipeline: &Pipeline, target: TargetId, values: &[(usize, String)]) -> Vec<Value> {
    let mut values = values.to_vec();
    values.sort_by_key(|(binding, _)| *binding);
    let name = |binding: usize| pipeline.targets[target].bindings[binding].name.clone();
    values.into_iter().map(|(binding, value)| (name(binding), value, None)).collect()
}

pub(crate) fn label(target: &str, values: &[Value]) -> String {
    let mut label = target.to_owned();
    for (i, (name, value, _)) in values.iter().enumerate() {
        label.push(if i == 0 { '@' } else { ',' });
        label.push_str(&format!("{name}={}", printable(value)));
    }
    label
}

impl Engine<'_> {
    /// What an axis reads out of: a target, and the values that came along from it, as far as they are known.
    pub(crate) fn read_from(
        &self,
        target: TargetId,
        axis: usize,
        values: &[(usize, String)],
    ) -> Option<(TargetId, Values)> {
        read_from(self.pipeline, target, axis, values)
    }

    /// The axis by which a value is read first, by its target and its place there, and what of these values that target has:
    /// those in between only pass it on.
    pub(crate) fn first_read(
        &self,
        target: TargetId,
        binding: usize,
        values: &[(usize, String)],
    ) -> Option<(TargetId, usize, Values)> {
        let Binding { axis, parent, .. } = self.pipeline.targets[target].bindings[binding];
        let Some(theirs) = parent else { return Some((target, axis, values.to_vec())) };
        let (parent, values) = self.read_from(target, axis, values)?;
        self.first_read(parent, theirs, &values)
    }

    /// The step that an axis of a target reads out of; where it makes several files, with the one that is read. It goes by the
    /// target that is read: another one that describes it, too, has no say over what comes of it here.
    pub(crate) fn list_in(&self, step: StepId, target: TargetId, axis: usize) -> String {
        self.list_and_file(step, target, axis).0
    }

    /// The same as a place where values are.
    pub(crate) fn in_list(&self, step: StepId, target: TargetId, axis: usize) -> String {
        match self.list_and_file(step, target, axis) {
            (list, true) => list,
            (list, false) => format!("what {list} makes"),
        }
    }

    /// The name of a list, and whether that tells a file.
    fn list_and_file(&self, step: StepId, target: TargetId, axis: usize) -> (String, bool) {
        let AxisKind::From { target: read, output, .. } = self.pipeline.targets[target].axes[axis].kind else {
            return (self.steps.label(step), false);
        };
        let label = self.steps.label_as(step, read);
        match self.paths(step).len() {
            0 | 1 => (label, false),
            _ => (format!("{} of {label}", self.path(step, output)), true),
        }
    }

    pub(crate) fn label_of(&self, target: TargetId, values: &[(usize, String)]) -> String {
        label(&self.pipeline.targets[target].name, &self.named(target, values))
    }

    /// Values by the names of their bindings.
    pub(crate) fn named(&self, target: TargetId, values: &[(usize, String)]) -> Vec<Value> {
        named(self.pipeline, target, values)
    }
}
