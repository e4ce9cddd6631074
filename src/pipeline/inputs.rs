//! `inputs:` and `after:`: what a target waits for.

use super::known::Known;
use super::makers::Makers;
use super::model::{Input, InputKind, Name, Node, Part, Pattern, Target, TargetId, Text};
use super::names::public_text;
use super::outputs::{path_of, unknown_bindings};
use super::problem::{Problems, Span};
use super::{paths, pattern};

/// What is known of all targets once their outputs are.
pub(super) struct Made<'a> {
    pub all: &'a Known<'a>,
    pub targets: &'a [Target],
    pub makers: &'a Makers<'a>,
}

/// What a target names under `inputs:` and `after:`, with the places.
#[derive(Default)]
pub(super) struct Wants {
    pub inputs: Vec<Input>,
    pub after: Vec<(TargetId, Span)>,
}

/// Reads what target `id` waits for. `loose`: not all of its bindings are known.
pub(super) fn read(id: TargetId, node: &Node, loose: bool, known: &Made, problems: &mut Problems) -> Wants {
    let mut wants = Wants::default();
    if let Some(inputs) = node.get("inputs") {
        match (inputs.as_list(), inputs.as_map()) {
            (Some([]), _) | (_, Some([])) => {
                problems.at(inputs.span, "no inputs", "nothing is in here").help("leave `inputs` out");
            }
            (Some(items), _) => {
                items.iter().for_each(|n| wants.inputs.extend(input(id, None, n, loose, known, problems)))
            }
            (_, Some(entries)) => {
                for (name, n) in entries {
                    if check_input_name(name, problems) {
                        wants.inputs.extend(input(id, Some(name), n, loose, known, problems));
                    }
                }
            }
            _ => {}
        }
    }
    for item in node.get("after").and_then(Node::as_list).unwrap_or_default() {
        // Unknown names have been reported with their shape.
        let found = item.as_public().and_then(|name| known.all.ids.get(name.as_str()).copied());
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
    super::names::check_name(name, "an input", problems)
}

fn input(
    id: TargetId,
    name: Option<&Name>,
    node: &Node,
    loose: bool,
    known: &Made,
    problems: &mut Problems,
) -> Option<Input> {
    let name = name.map(|n| n.text.clone());
    if node.as_map().is_some() {
        let target = known.all.ids.get(node.get("target")?.as_public()?.as_str()).copied()?;
        let partial = node.get("partial").and_then(Node::as_bool).unwrap_or(false);
        let kind = InputKind::Target { target, on: join(&known.targets[id], &known.targets[target]), partial };
        return Some(Input { name, path: None, kind, others: Vec::new(), group: None, span: node.get("target")?.span });
    }
    let text = public_text(node, "the name of an input", problems)?;
    let (path, kind) = match text.contains(['/', '.', '{']) {
        true => {
            let (path, kind) = path(id, &text, node, loose, known, problems)?;
            (Some(path), kind)
        }
        false => {
            let before = problems.0.len();
            let found = known.all.find(&text, node.span, problems);
            if let Some(problem) = problems.0.get_mut(before) {
                let more = format!("`./{text}` names a file");
                problem.help = Some(problem.help.take().map_or(more.clone(), |help| format!("{help}\n{more}")));
            }
            let target = found?;
            (None, InputKind::Target { target, on: join(&known.targets[id], &known.targets[target]), partial: false })
        }
    };
    let others = path.as_ref().map_or_else(Vec::new, |path| known.makers.others(path, id, &kind));
    Some(Input { name, path, kind, others, group: None, span: node.span })
}

/// The join on the bindings that both have.
pub(super) fn join(ours: &Target, theirs: &Target) -> Vec<(usize, Pattern)> {
    let mut on = Vec::new();
    for (b, binding) in theirs.bindings.iter().enumerate() {
        if let Some(own) = ours.bindings.iter().position(|o| o.name == binding.name) {
            let pattern = Pattern { parts: vec![Part::Binding(own)], span: binding_span(ours, own) };
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
    known: &Made,
    problems: &mut Problems,
) -> Option<(Pattern, InputKind)> {
    let (path, folder) = path_of(text);
    let ours = &known.targets[id].bindings;
    let pattern = pattern::parse(&Text::plain(path), node.span, known.all.source, ours);
    let before = problems.0.len();
    if !loose {
        unknown_bindings(&pattern.parts, ours, problems);
    }
    if let Err(why) = paths::safe_pattern(&pattern) {
        problems.at(node.span, why, "cannot be read");
    }
    if problems.0.len() > before {
        return None;
    }
    if let Some((target, on)) = known.makers.find(&pattern, id) {
        return Some((pattern, InputKind::Target { target, on, partial: false }));
    }
    if let Some(&maker) = known.makers.folders_around(&pattern).first() {
        let maker = &known.targets[maker].name;
        problems
            .at(node.span, format!("`{path}` lies in a folder that `{maker}` makes"), "is part of an output")
            .help(format!("name the target: `{maker}`"));
        return None;
    }
    let writers = known.makers.writing_in(path);
    if let Some(&writer) = writers.iter().find(|writer| **writer != id) {
        let writer = &known.targets[writer].name;
        problems
            .at(node.span, format!("`{writer}` writes in `{path}`"), "would be read while it is written")
            .help(format!("name the target: `{writer}`"));
        return None;
    }
    if folder {
        problems
            .at(node.span, "a folder that no target makes", "an input is a file")
            .help("name the files, or a target");
        return None;
    }
    Some((pattern.clone(), InputKind::Path(pattern)))
}
