//! What the values of steps are read out of, in words.

use crate::pipeline::model::{AxisKind, Pipeline, TargetId};

use super::neighbourhood::list_of;
use super::remembered::{Value, Values, label, named};
use crate::build::steps::printable;

/// What values of a target are read out of, each list or step once.
pub(super) fn read_out_of(pipeline: &Pipeline, target: TargetId, values: &[(usize, String)]) -> Vec<String> {
    let this = &pipeline.targets[target];
    let lists = this.axes.iter().filter_map(|axis| match &axis.kind {
        AxisKind::List(_) => Some(format!("the list of `{}` in the pipeline file", this.bindings[axis.binding].name)),
        AxisKind::Glob(pattern) => Some(format!("the files of {pattern}")),
        kind => list_of(kind).map(str::to_owned),
    });
    // There may be no such step any more.
    let parents = (0..this.axes.len()).filter_map(|axis| read_from(pipeline, target, axis, values));
    let labels =
        parents.map(|(parent, theirs)| label(&pipeline.targets[parent].name, &named(pipeline, parent, &theirs)));
    lists.chain(labels).collect()
}

/// The same of any values of a target, as records keep it: with the names of the bindings for their values.
pub(crate) fn of_target(pipeline: &Pipeline, target: TargetId) -> Vec<String> {
    let bindings = pipeline.targets[target].bindings.iter();
    let values: Values = bindings.map(|binding| format!("{{{}}}", binding.name)).enumerate().collect();
    read_out_of(pipeline, target, &values)
}

/// What an axis reads out of: a target, and the values that came along from it, as far as they are known.
pub(super) fn read_from(
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
pub(super) fn filled(text: &str, values: &[Value]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value, _)| text.replace(&format!("{{{name}}}"), value))
}

/// The values that steps of a target are to have to be meant: ` with repo=a,tag=b`; nothing, where all are.
pub(super) fn joined_words(values: &[Value]) -> String {
    let with = if values.is_empty() { "" } else { " with " };
    let each = values.iter().map(|(name, value, _)| format!("{name}={}", printable(value)));
    format!("{with}{}", each.collect::<Vec<_>>().join(","))
}
