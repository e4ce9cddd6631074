//! A file to a [`Pipeline`], with all that is wrong with it.
//!
//! Stages, each going on with what the one before it left usable: text to tree ([`load`](mod@super::load)),
//! variables ([`text`](super::text)), shapes ([`shape`](super::shape)), then the names that targets have of each
//! other: axes, outputs, inputs, and the graph that comes of them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys;
use super::model::{Name, Node, Pipeline, SourceEntry, Value};
use super::names::check_name;
use super::node::without;
use super::problem::{Problems, Span, suggest};
use super::shape::{Checker, Names, Shape, Vocabulary, unknown};
use super::syntax::MAX_BYTES;
use super::text::{Env, Vars};
use super::{load as tree, targets};

/// What the command line says about a pipeline file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--set NAME=VALUE`.
    pub sets: Vec<(String, String)>,
    /// `--profile NAME`.
    pub profile: Option<String>,
}

/// A file, read.
#[derive(Debug)]
pub struct Loaded {
    /// `None` where the file is too broken to tell its targets. Where there are problems, it is there to be looked at
    /// further, not to be built: targets and sources with problems are marked as faulty, and targets may wait for
    /// each other in a circle.
    pub pipeline: Option<Pipeline>,
    pub problems: Problems,
    /// The file's text, for marks; empty where it could not be read.
    pub text: Arc<str>,
}

/// Reads and checks a pipeline file.
pub fn load(file: &Path, options: &Options, vocabulary: &Vocabulary) -> Loaded {
    let mut problems = Problems::default();
    let mut failed = |message: String| {
        problems.bare(message);
        Loaded { pipeline: None, problems: std::mem::take(&mut problems), text: "".into() }
    };
    let root = match std::path::absolute(file) {
        Ok(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        Err(e) => return failed(format!("cannot find the folder of the pipeline file: {e}")),
    };
    let bytes = match std::fs::metadata(file).and_then(|meta| match meta.len() > MAX_BYTES as u64 {
        // Not read: only its size matters.
        true => Ok(vec![0; MAX_BYTES + 1]),
        false => std::fs::read(file),
    }) {
        Ok(bytes) => bytes,
        Err(e) => return failed(format!("cannot read the pipeline file: {e}")),
    };
    match tree::decode(&bytes) {
        Ok(text) => load_text(text, file, root, options, vocabulary, &|name| std::env::var(name).ok()),
        Err(problem) => {
            problems.0.push(problem);
            Loaded { pipeline: None, problems, text: "".into() }
        }
    }
}

/// Checks the text of a pipeline file.
pub fn load_text(
    text: &str,
    file: &Path,
    root: PathBuf,
    options: &Options,
    vocabulary: &Vocabulary,
    env: Env,
) -> Loaded {
    let text: Arc<str> = text.into();
    let mut problems = Problems::default();
    let pipeline = tree::parse(&text, &mut problems).and_then(|mut top| {
        let broken = fill_vars(&mut top, &text, options, env, &mut problems);
        let mut found = Problems::default();
        let mut pipeline = check(&top, &text, options, vocabulary, &mut found);
        if !broken.is_empty() {
            // What is found in a scalar whose variables could not be replaced says nothing new.
            let within = |s: Span| broken.iter().any(|b| (b.start..=b.start + b.len).contains(&s.start));
            found.0.retain(|p| p.span.is_none_or(|s| !within(s)));
            pipeline.iter_mut().for_each(|p| mark_broken(p, &top, &broken));
        }
        problems.0.extend(found.0);
        pipeline.iter_mut().for_each(|p| mark_loose(p, &top, &problems));
        pipeline.map(|pipeline| Pipeline { file: file.to_path_buf(), root, ..pipeline })
    });
    problems.tidy();
    Loaded { pipeline, problems, text }
}

/// Marks the sources and targets in which variables could not be replaced.
fn mark_broken(pipeline: &mut Pipeline, top: &Node, broken: &[Span]) {
    fn has(node: &Node, starts: &HashSet<usize>) -> bool {
        match &node.value {
            Value::Null => false,
            Value::Scalar { .. } => starts.contains(&node.span.start),
            Value::List(items) => items.iter().any(|n| has(n, starts)),
            Value::Map(entries) => entries.iter().any(|(_, n)| has(n, starts)),
        }
    }
    let starts: HashSet<usize> = broken.iter().map(|s| s.start).collect();
    let (sources, targets) = (entries(top, "sources"), entries(top, "targets"));
    pipeline.sources.iter_mut().zip(sources).for_each(|(s, (_, node))| s.faulty |= has(node, &starts));
    pipeline.targets.iter_mut().zip(targets).for_each(|(t, (_, node))| t.faulty |= has(node, &starts));
}

fn entries<'a>(top: &'a Node, key: &str) -> &'a [(Name, Node)] {
    top.get(key).and_then(Node::as_map).unwrap_or_default()
}

/// Marks the faulty sources and targets of which more is wrong than values of single keys.
fn mark_loose(pipeline: &mut Pipeline, top: &Node, problems: &Problems) {
    let spans: Vec<Span> = problems.0.iter().filter_map(|problem| problem.span).collect();
    for (source, entry) in pipeline.sources.iter_mut().zip(entries(top, "sources")) {
        source.loose = source.faulty && !is_of_values(entry, &[], &spans);
    }
    // Those that others imply have no entry.
    let targets = entries(top, "targets").iter().map(Some).chain(std::iter::repeat(None));
    for (target, entry) in pipeline.targets.iter_mut().zip(targets) {
        let may_name = ["foreach", "inputs", "output"];
        target.loose = target.faulty && !entry.is_some_and(|entry| is_of_values(entry, &may_name, &spans));
    }
}

/// Whether all that was reported of an entry, at these places, is in the values of its keys, but for some of these.
fn is_of_values((name, node): &(Name, Node), but: &[&str], reported: &[Span]) -> bool {
    let own =
        Span { start: name.span.start, len: node.span.start + node.span.len - name.span.start.min(node.span.start) };
    let is_of_value = |place: &Span| {
        let mut values = node.as_map().unwrap_or_default().iter().filter(|(key, _)| !but.contains(&key.text.as_str()));
        values.any(|(_, value)| value.span.has(*place))
    };
    let mut of_it = reported.iter().filter(|place| own.has(**place)).peekable();
    of_it.peek().is_some() && of_it.all(is_of_value)
}

/// Replaces variables in all of the file but in their own definitions, which are resolved on the way.
fn fill_vars(top: &mut Node, source: &str, options: &Options, env: Env, problems: &mut Problems) -> Vec<Span> {
    let own = top.get("vars").cloned();
    let profile = options.profile.as_ref().and_then(|name| top.get("profiles")?.get(name)?.get("vars").cloned());
    let entries = |node: &Option<Node>| node.as_ref().and_then(Node::as_map).map(<[_]>::to_vec).unwrap_or_default();
    let (own, profile) = (entries(&own), entries(&profile));
    let mut vars = Vars::new(source, env);
    vars.define(&own, problems);
    vars.define(&profile, problems);
    for (name, value) in &options.sets {
        vars.set(name, value, problems);
    }
    vars.resolve_all(problems);
    if let Value::Map(entries) = &mut top.value {
        for (name, node) in entries {
            match name.text.as_str() {
                "vars" => {}
                "profiles" => fill_profiles(node, &mut vars, problems),
                _ => vars.fill(node, problems),
            }
        }
    }
    vars.broken()
}

fn fill_profiles(node: &mut Node, vars: &mut Vars, problems: &mut Problems) {
    let Value::Map(profiles) = &mut node.value else { return };
    for (_, profile) in profiles {
        let Value::Map(keys) = &mut profile.value else { continue };
        keys.iter_mut().filter(|(name, _)| name.text != "vars").for_each(|(_, node)| vars.fill(node, problems));
    }
}

fn check(
    top: &Node,
    text: &Arc<str>,
    options: &Options,
    vocabulary: &Vocabulary,
    problems: &mut Problems,
) -> Option<Pipeline> {
    let sources = Names::new(names(top.get("sources")).into_iter());
    let targets = Names::new(names(top.get("targets")).into_iter());
    let mut checker = Checker { sources: &sources, targets: &targets, problems };
    check_top(top, &mut checker);
    let sources = check_sources(top.get("sources"), vocabulary, &mut checker);
    let default = chosen_default(top, options, problems);
    let pools = pools(top.get("pools"));
    let entries = top.get("targets").and_then(Node::as_map)?;
    let mut pipeline = Pipeline {
        file: PathBuf::new(),
        root: PathBuf::new(),
        text: text.clone(),
        sources,
        pools,
        targets: Vec::new(),
        default: Vec::new(),
        graph: Default::default(),
        order: Vec::new(),
    };
    targets::check(&mut pipeline, entries, default, vocabulary, problems);
    Some(pipeline)
}

fn names(node: Option<&Node>) -> Vec<String> {
    node.and_then(Node::as_map).unwrap_or_default().iter().map(|(name, _)| name.text.clone()).collect()
}

/// Everything but what is inside of sources and targets: their keys depend on `kind` and `rule`.
fn check_top(top: &Node, checker: &mut Checker) {
    let mut outline = top.clone();
    if let Value::Map(entries) = &mut outline.value {
        for (name, node) in entries.iter_mut().filter(|(n, _)| matches!(n.text.as_str(), "sources" | "targets")) {
            match &mut node.value {
                Value::Map(inside) if inside.is_empty() && name.text == "targets" => {
                    checker.problems.at(name.span, "the pipeline has no targets", "nothing is in here");
                }
                Value::Map(inside) => inside.clear(),
                _ => {}
            }
        }
    }
    // The whole file is no place to mark: a missing key is reported at the first that is there.
    let first = top.as_map().and_then(|entries| entries.first()).map_or(top.span, |(name, _)| name.span);
    checker.record(&[keys::TOP], &outline, first);
}

fn check_sources(node: Option<&Node>, vocabulary: &Vocabulary, checker: &mut Checker) -> Vec<SourceEntry> {
    let mut out = Vec::new();
    for (name, node) in node.and_then(Node::as_map).unwrap_or_default() {
        let before = checker.problems.0.len();
        check_name(name, "a source", checker.problems);
        let kind = node.get("kind").and_then(Node::as_public);
        match kind.as_deref().map(|k| vocabulary.sources.iter().find(|s| s.name == k)) {
            Some(Some(found)) => checker.record(&[keys::SOURCE, found.keys], node, name.span),
            Some(None) => {
                let kind_node = node.get("kind").expect("has a text");
                let known = vocabulary.sources.iter().map(|s| s.name);
                unknown(checker.problems, kind_node.span, "kind of source", kind.as_deref().unwrap_or(""), known);
            }
            None => match node.get("kind") {
                Some(kind) => checker.check(&Shape::Text, kind, name.span),
                None => checker.check(&Shape::Record(keys::SOURCE), &without(node, |n| n != "kind"), name.span),
            },
        }
        out.push(SourceEntry {
            name: name.text.clone(),
            kind: kind.unwrap_or_default(),
            keys: without(node, |n| n == "kind"),
            span: name.span,
            faulty: checker.problems.0.len() > before,
            loose: false,
        });
    }
    out
}

/// The names under the `default:` that holds, with their places.
fn chosen_default(top: &Node, options: &Options, problems: &mut Problems) -> Option<Vec<(String, Span)>> {
    let mut node = top.get("default");
    if let Some(wanted) = &options.profile {
        let profiles = top.get("profiles").and_then(Node::as_map).unwrap_or_default();
        match profiles.iter().find(|(name, _)| name.text == *wanted) {
            Some((_, profile)) => node = profile.get("default").or(node),
            None => {
                let known = names(top.get("profiles"));
                let help = suggest(wanted, known.iter().map(String::as_str)).unwrap_or_else(|| {
                    let known: Vec<String> = known.iter().map(|n| format!("`{n}`")).collect();
                    match known.is_empty() {
                        true => "the pipeline has no profiles".into(),
                        false => format!("the pipeline has {}", known.join(", ")),
                    }
                });
                problems.bare(format!("unknown profile `{wanted}`")).help(help);
            }
        }
    }
    let list = node?.as_list()?;
    Some(list.iter().filter_map(|n| Some((n.as_public()?, n.span))).collect())
}

fn pools(node: Option<&Node>) -> Vec<(String, u32)> {
    let entries = node.and_then(Node::as_map).unwrap_or_default();
    entries.iter().filter_map(|(n, v)| Some((n.text.clone(), u32::try_from(v.as_u64()?).ok()?))).collect()
}
