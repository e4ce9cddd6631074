//! `output:` to patterns, and whether outputs get in each other's way.

use std::collections::{BTreeMap, HashMap};

use super::known::Known;
use super::model::{Binding, Name, Node, Output, Part, Piece, Target, TargetId, Text, Value};
use super::problem::{Problems, suggest};
use super::{implied, paths, pattern};

/// Reads the outputs of target `of`. `loose`: not all of its bindings are known.
pub(super) fn read(
    node: Option<&Node>,
    of: &str,
    bindings: &[Binding],
    loose: bool,
    known: &Known,
    problems: &mut Problems,
) -> Vec<Output> {
    let Some(node) = node else { return Vec::new() };
    let mut outputs: Vec<Output> = Vec::new();
    let mut add = |name: Option<&Name>, node: &Node, problems: &mut Problems| {
        let Some(mut output) = one(node, of, bindings, loose, known, problems) else { return };
        if let Some(first) = outputs.iter().find(|o| o.pattern.parts == output.pattern.parts) {
            problems
                .at(node.span, "two outputs for one file", "written a second time")
                .also(first.span, "written here");
            return;
        }
        if let Some(name) = name {
            if !super::names::check_name(name, "an output", problems) {
                return;
            }
            output.name = Some(name.text.clone());
        }
        outputs.push(output);
    };
    match (node.as_list(), node.as_map()) {
        (Some(items), _) => items.iter().for_each(|i| add(None, i, problems)),
        (_, Some(entries)) => entries.iter().for_each(|(n, i)| add(Some(n), i, problems)),
        _ => add(None, node, problems),
    }
    if outputs.is_empty() && (node.as_list().is_some_and(<[_]>::is_empty) || node.as_map().is_some_and(<[_]>::is_empty))
    {
        problems.at(node.span, "no outputs", "a rule writes at least one file");
    }
    outputs
}

fn one(
    node: &Node,
    of: &str,
    bindings: &[Binding],
    loose: bool,
    known: &Known,
    problems: &mut Problems,
) -> Option<Output> {
    let text = node.as_text()?;
    if text.0.iter().any(|p| matches!(p, Piece::Secret { .. })) {
        problems.at(node.span, "a secret in the path of an output", "would be shown and recorded");
        return None;
    }
    let text = text.public();
    let (path, folder) = path_of(&text);
    let pattern = pattern::parse(&Text::plain(path), node.span, known.source, bindings);
    let before = problems.0.len();
    if !loose {
        unknown_bindings(&pattern.parts, bindings, problems);
    }
    if let Err(why) = paths::safe_path(implied::below(of, &paths::sample(&pattern))) {
        problems.at(node.span, why, "cannot be written");
    } else if problems.0.len() == before && !loose {
        // Two steps that differ in a binding alone must not write the same file.
        let unused: Vec<&str> = (0..bindings.len())
            .filter(|b| !pattern::bindings(&pattern).any(|used| used == *b))
            .map(|b| bindings[b].name.as_str())
            .collect();
        if let Some(first) = unused.first() {
            let all: Vec<String> = unused.iter().map(|b| format!("`{{{b}}}`")).collect();
            problems
                .at(
                    node.span,
                    format!("every `{first}` would write this one file"),
                    format!("needs {}", all.join(" and ")),
                )
                .help("a path of an output has every binding of the target in it");
        }
    }
    (problems.0.len() == before).then_some(Output { name: None, pattern, folder, span: node.span })
}

/// Outputs as they are written, and the first target with each, and its place there.
pub(super) fn written(entries: &[(Name, Node)]) -> HashMap<String, (TargetId, usize)> {
    let mut out = HashMap::new();
    for (id, (_, node)) in entries.iter().enumerate() {
        let Some(output) = node.get("output") else { continue };
        let nodes: Vec<&Node> = match &output.value {
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|(_, n)| n).collect(),
            _ => vec![output],
        };
        for (place, node) in nodes.into_iter().enumerate() {
            let Some(text) = node.as_public() else { continue };
            out.entry(text.strip_prefix("./").unwrap_or(&text).to_owned()).or_insert((id, place));
        }
    }
    out
}

/// A path without `./` before it and `/` after it, and whether there was one: then it is a folder.
pub(super) fn path_of(text: &str) -> (&str, bool) {
    let text = text.strip_prefix("./").unwrap_or(text);
    match text.strip_suffix('/') {
        Some(path) => (path, true),
        None => (text, false),
    }
}

/// Reports names in braces that are no bindings.
pub(super) fn unknown_bindings(parts: &[Part], bindings: &[Binding], problems: &mut Problems) {
    for part in parts {
        let Part::Special(name, span) = part else { continue };
        let help = suggest(name, bindings.iter().map(|b| b.name.as_str())).unwrap_or_else(|| {
            let names: Vec<String> = bindings.iter().map(|b| format!("`{{{}}}`", b.name)).collect();
            match names.is_empty() {
                true => format!("the target has no `foreach:`; write `{{{{{name}}}}}` for the text itself"),
                false => format!("the target has {}", names.join(", ")),
            }
        });
        problems.at(*span, format!("unknown binding `{name}`"), "no axis gives it").help(help);
    }
}

/// Looks for fixed paths that two targets write, or that are a file here and a folder there.
pub(super) fn check(targets: &[Target], entries: &[(Name, Node)], problems: &mut Problems, faulty: &mut [bool]) {
    let mut fixed: BTreeMap<String, (usize, &Output)> = BTreeMap::new();
    for (id, target) in targets.iter().enumerate() {
        for output in &target.outputs {
            let Some(path) = pattern::literal(&output.pattern) else { continue };
            match fixed.get(&path) {
                Some((other, _)) if *other != id && same_step(&entries[*other].1, &entries[id].1) => {}
                Some((other, first)) => {
                    let (a, b) = (&targets[*other].name, &target.name);
                    problems
                        .at(output.span, format!("`{a}` and `{b}` write one file, `{path}`"), "written a second time")
                        .also(first.span, "written here")
                        .help("targets may share a file only where they are the same but for `fresh`, `retries` and the like");
                    faulty[id] = true;
                }
                None => {
                    fixed.insert(path, (id, output));
                }
            }
        }
    }
    for (path, (id, output)) in &fixed {
        for (at, _) in path.match_indices('/') {
            let Some((other, outer)) = fixed.get(&path[..at]) else { continue };
            let (what, label) = match outer.folder {
                true => (format!("`{path}` lies in a folder that is an output itself"), "written whole here"),
                false => (format!("`{}` is a file here and a folder there", &path[..at]), "a file here"),
            };
            problems
                .at(output.span, what, "needs to be a file in that folder")
                .also(outer.span, format!("{label}, by `{}`", targets[*other].name));
            faulty[*id] = true;
        }
    }
}

/// Whether two targets describe the same steps: equal in all that decides an output.
fn same_step(a: &Node, b: &Node) -> bool {
    const BESIDE: [&str; 8] = ["fresh", "missing", "retries", "timeout", "pool", "cache", "description", "after"];
    let (a, b) = (super::node::without(a, |n| BESIDE.contains(&n)), super::node::without(b, |n| BESIDE.contains(&n)));
    super::node::same(&a, &b)
}
