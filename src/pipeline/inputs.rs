//! `inputs:` and `after:`: what a target waits for.

use super::check::public_text;
use super::model::{AxisKind, Input, InputKind, Name, Node, Pattern, Read, Select, Target, TargetId, Text};
use super::outputs::{path_of, unknown_bindings};
use super::pattern;
use super::problem::{Problems, Span};
use super::targets::Known;

/// What a target names under `inputs:` and `after:`, with the places.
#[derive(Default)]
pub(super) struct Wants {
    pub inputs: Vec<Input>,
    pub after: Vec<(TargetId, Span)>,
}

/// Reads what target `id` waits for. `loose`: not all of its bindings are known.
pub(super) fn read(
    id: TargetId,
    node: &Node,
    loose: bool,
    targets: &[Target],
    known: &Known,
    problems: &mut Problems,
) -> Wants {
    let mut wants = Wants::default();
    if let Some(inputs) = node.get("inputs") {
        match (inputs.as_list(), inputs.as_map()) {
            (Some([]), _) | (_, Some([])) => {
                problems.at(inputs.span, "no inputs", "nothing is in here").help("leave `inputs` out");
            }
            (Some(items), _) => {
                items.iter().for_each(|n| wants.inputs.extend(input(id, None, n, loose, targets, known, problems)))
            }
            (_, Some(entries)) => {
                for (name, n) in entries {
                    if check_input_name(name, problems) {
                        wants.inputs.extend(input(id, Some(name), n, loose, targets, known, problems));
                    }
                }
            }
            _ => {}
        }
    }
    for item in node.get("after").and_then(Node::as_list).unwrap_or_default() {
        // Unknown names have been reported with their shape.
        let found = item.as_public().and_then(|name| known.ids.get(name.as_str()).copied());
        wants.after.extend(found.map(|t| (t, item.span)));
    }
    wants
}

/// A name under `inputs:` is used as `{in.NAME}`.
fn check_input_name(name: &Name, problems: &mut Problems) -> bool {
    if name.text == "list" {
        problems.at(
            name.span,
            "an input cannot be called `list`",
            "`{in.list}` is the file with the names of all inputs",
        );
        return false;
    }
    super::check::check_name(name, "an input", problems)
}

fn input(
    id: TargetId,
    name: Option<&Name>,
    node: &Node,
    loose: bool,
    targets: &[Target],
    known: &Known,
    problems: &mut Problems,
) -> Option<Input> {
    let name = name.map(|n| n.text.clone());
    if node.as_map().is_some() {
        let target = known.ids.get(node.get("target")?.as_public()?.as_str()).copied()?;
        let partial = node.get("partial").and_then(Node::as_bool).unwrap_or(false);
        let kind = InputKind::Target { target, on: join(&targets[id], &targets[target]), partial };
        return Some(Input { name, kind, span: node.get("target")?.span });
    }
    let text = public_text(node, "the name of an input", problems)?;
    let kind = match text.contains(['/', '.']) {
        true => path(id, &text, node, loose, targets, known, problems)?,
        false => {
            let before = problems.0.len();
            let found = known.find(&text, node.span, problems);
            if let Some(problem) = problems.0.get_mut(before) {
                let more = format!("`./{text}` names a file");
                problem.help = Some(problem.help.take().map_or(more.clone(), |help| format!("{help}\n{more}")));
            }
            let target = found?;
            InputKind::Target { target, on: join(&targets[id], &targets[target]), partial: false }
        }
    };
    Some(Input { name, kind, span: node.span })
}

/// The join on the bindings that both have.
pub(super) fn join(ours: &Target, theirs: &Target) -> Vec<(usize, Pattern)> {
    let mut on = Vec::new();
    for (b, binding) in theirs.bindings.iter().enumerate() {
        if let Some(own) = ours.bindings.iter().position(|o| o.name == binding.name) {
            let pattern = Pattern { parts: vec![super::model::Part::Binding(own)], span: binding_span(ours, own) };
            on.push((b, pattern));
        }
    }
    on
}

fn binding_span(target: &Target, binding: usize) -> Span {
    target.bindings.get(binding).and_then(|b| target.axes.get(b.axis)).map_or(target.span, |a| a.span)
}

/// A path: the target that makes it, or a file that is there.
fn path(
    id: TargetId,
    text: &str,
    node: &Node,
    loose: bool,
    targets: &[Target],
    known: &Known,
    problems: &mut Problems,
) -> Option<InputKind> {
    let (path, folder) = path_of(text);
    let ours = &targets[id].bindings;
    let pattern = pattern::parse(&Text::plain(path), node.span, known.source, ours);
    let before = problems.0.len();
    if !loose {
        unknown_bindings(&pattern.parts, ours, problems);
    }
    if let Err(why) = pattern::safe_pattern(&pattern) {
        problems.at(node.span, why, "cannot be read");
    }
    if problems.0.len() > before {
        return None;
    }
    let makers = targets.iter().enumerate().filter(|(_, t)| t.rule.is_some()).filter_map(|(target, t)| {
        let on = t.outputs.iter().find_map(|o| pattern::unify(&pattern, &o.pattern))?;
        Some((narrowness(t), target, on))
    });
    // Of several that make it, the one that chooses the least: whatever another makes, it makes, too.
    if let Some((_, target, on)) = makers.min_by_key(|(narrow, target, _)| (*narrow, *target)) {
        return Some(InputKind::Target { target, on, partial: false });
    }
    if let Some(maker) = in_folder(&pattern, targets) {
        problems
            .at(node.span, format!("`{path}` lies in a folder that `{}` makes", maker.name), "is part of an output")
            .help(format!("name the target: `{}`", maker.name));
        return None;
    }
    if folder {
        problems
            .at(node.span, "a folder that no target makes", "an input is a file")
            .help("name the files, or a target");
        return None;
    }
    Some(InputKind::Path(pattern))
}

/// How many of a target's axes leave something out.
fn narrowness(target: &Target) -> usize {
    let narrow = |kind: &AxisKind| matches!(kind, AxisKind::From { read: Read::Tags(select), .. } if !matches!(select, Select::All));
    target.axes.iter().filter(|a| narrow(&a.kind)).count()
}

fn in_folder<'a>(path: &Pattern, targets: &'a [Target]) -> Option<&'a Target> {
    // With a capture for the rest of the path, a folder's pattern covers what lies in it.
    let rest = |o: &super::model::Output| {
        let mut pattern = o.pattern.clone();
        pattern.parts.push(super::model::Part::Text(Text::plain("/")));
        pattern.parts.push(super::model::Part::Binding(usize::MAX));
        pattern
    };
    targets.iter().find(|t| t.outputs.iter().any(|o| o.folder && pattern::unify(path, &rest(o)).is_some()))
}
