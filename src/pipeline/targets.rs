//! The targets: each by itself, then what they have of each other.

use std::time::Duration;

use super::axes::Resolved;
use super::inputs::Made;
use super::known::Known;
use super::makers::Makers;
use super::model::{Binding, Freshness, Name, Node, Pipeline, Target};
use super::names::check_name;
use super::node::without;
use super::pattern::plain;
use super::problem::{Problem, Problems, Span, suggest};
use super::shape::{Checker, Names, Shape, Vocabulary, unknown};
use super::{axes, graph, implied, inputs, keys, outputs};

/// Fills in the pipeline's targets and their graph.
pub(super) fn check(
    pipeline: &mut Pipeline,
    entries: &[(Name, Node)],
    default: Option<Vec<(String, Span)>>,
    vocabulary: &Vocabulary,
    problems: &mut Problems,
) {
    let mut faulty = vec![false; entries.len()];
    let target_names = Names::new(entries.iter().map(|(n, _)| n.text.clone()));
    let source_names = Names::new(pipeline.sources.iter().map(|s| s.name.clone()));
    for (id, (name, node)) in entries.iter().enumerate() {
        count(problems, &mut faulty[id], |problems| {
            let mut checker = Checker { sources: &source_names, targets: &target_names, problems };
            shapes(name, node, vocabulary, &mut checker);
        });
    }
    let entries = implied::expand(entries, problems, &mut faulty);
    let entries = entries.as_slice();
    let source = pipeline.text.clone();
    let names: Vec<(String, &Node)> = entries.iter().map(|(n, node)| (n.text.clone(), node)).collect();
    let ids = entries.iter().enumerate().map(|(i, (n, _))| (n.text.as_str(), i)).collect();
    let known = Known { source: &source, names: &names, ids, written: outputs::written(entries) };
    // Of each target: its own axes, then all of its bindings, then what is written with them.
    let mut drafts = Vec::new();
    for (id, (_, node)) in entries.iter().enumerate() {
        drafts.push(count(problems, &mut faulty[id], |p| axes::draft(node.get("foreach"), id, &known, p)));
    }
    let resolved = axes::bind(drafts, entries, problems, &mut faulty);
    let loose: Vec<bool> = resolved.iter().map(|r| r.loose).collect();
    for (id, ((name, node), Resolved { bindings, axes, narrowness, loose })) in entries.iter().zip(resolved).enumerate()
    {
        let target = count(problems, &mut faulty[id], |p| {
            // That a group has no outputs has been reported.
            let output = node.get("output").filter(|_| node.get("rule").is_some());
            let outputs = outputs::read(output, &name.text, &bindings, loose, &known, p);
            Target { axes, narrowness, outputs, ..target(pipeline, name, node, bindings, p) }
        });
        pipeline.targets.push(target);
    }
    outputs::check(&pipeline.targets, entries, problems, &mut faulty);
    let makers = Makers::new(&pipeline.targets);
    axes::check_paths(&pipeline.targets, &makers, problems, &mut faulty);
    let made = Made { all: &known, targets: &pipeline.targets, makers: &makers };
    let mut wants = Vec::new();
    for (id, (_, node)) in entries.iter().enumerate() {
        wants.push(count(problems, &mut faulty[id], |p| inputs::read(id, node, loose[id], &made, p)));
    }
    for id in (0..entries.len()).filter(|id| faulty[*id]).collect::<Vec<_>>() {
        // What an implied target was told of is wrong with the one that is written.
        if let Some(&written) = known.ids.get(implied::implier(&entries[id].0.text)) {
            faulty[written] = true;
        }
    }
    for (target, faulty) in pipeline.targets.iter_mut().zip(&faulty) {
        target.faulty = *faulty;
    }
    let default = default.map(|list| list.iter().filter_map(|(n, _)| known.ids.get(n.as_str()).copied()).collect());
    graph::build(pipeline, wants, default, problems);
    check_made_sources(pipeline, entries, problems);
}

/// A source that lies where a target writes is read once that is built only by targets that wait for it.
fn check_made_sources(pipeline: &Pipeline, entries: &[(Name, Node)], problems: &mut Problems) {
    let makers = Makers::new(&pipeline.targets);
    for (id, (_, node)) in entries.iter().enumerate() {
        let Some((source, name)) = node.get("source").and_then(|node| Some((node, node.as_public()?))) else {
            continue;
        };
        let entry = pipeline.sources.iter().find(|entry| entry.name == *name);
        let Some(path) = entry.and_then(|entry| entry.keys.get("path")).and_then(Node::as_public) else { continue };
        let (path, _) = outputs::path_of(&path);
        let pattern = plain(path, source.span);
        let made = makers.find(&pattern, id).map(|(maker, _)| maker);
        let all = made.into_iter().chain(makers.folders_around(&pattern)).chain(makers.writing_in(path));
        if let Some(maker) = all.into_iter().find(|&maker| maker != id && !pipeline.comes_after(id, maker)) {
            let maker = &pipeline.targets[maker].name;
            problems
                .at(
                    source.span,
                    format!("`{maker}` writes `{path}`, which `{name}` reads"),
                    "may be asked before that is done",
                )
                .help(format!("let this target wait for it: `after: [{maker}]`"));
        }
    }
}

/// Runs `work`; notes whether it reported anything.
fn count<T>(problems: &mut Problems, faulty: &mut bool, work: impl FnOnce(&mut Problems) -> T) -> T {
    let before = problems.0.len();
    let done = work(problems);
    *faulty |= problems.0.len() > before;
    done
}

/// The keys of one target: those of every target, and those of its rule.
fn shapes(name: &Name, node: &Node, vocabulary: &Vocabulary, checker: &mut Checker) {
    check_name(name, "a target", checker.problems);
    if node.as_map().is_none() {
        checker.check(&Shape::Record(keys::TARGET), node, name.span);
        return;
    }
    let Some((rule_key, rule_node)) = node.entry("rule") else {
        group(name, node, checker);
        return;
    };
    let rule = rule_node.as_public();
    match vocabulary.rules.iter().find(|r| Some(r.name) == rule.as_deref()) {
        Some(rule) => {
            let before = checker.problems.0.len();
            checker.record(&[keys::TARGET, rule.keys], node, name.span);
            others_keys(node, vocabulary, &mut checker.problems.0[before..]);
            if node.get("output").is_none() {
                checker
                    .problems
                    .at(name.span, "missing key `output`", "writes nothing")
                    .help("say which file the rule writes: `output: result/…`");
            }
        }
        None => {
            match &rule {
                Some(text) => {
                    unknown(checker.problems, rule_node.span, "rule", text, vocabulary.rules.iter().map(|r| r.name))
                }
                None => checker.check(&Shape::Text, rule_node, rule_key.span),
            }
            // Which other keys it may have, nobody knows.
            let own = without(node, |n| n == "rule" || !keys::TARGET.iter().any(|k| k.name == n));
            checker.record(&[keys::TARGET], &own, name.span);
        }
    }
}

/// Says of unknown keys that another rule has them, where that is so.
fn others_keys(node: &Node, vocabulary: &Vocabulary, problems: &mut [Problem]) {
    for (key, _) in node.as_map().unwrap_or_default() {
        let Some(owner) = vocabulary.rules.iter().find(|r| r.keys.iter().any(|k| k.name == key.text)) else { continue };
        let message = format!("unknown key `{}`", key.text);
        if let Some(problem) = problems.iter_mut().find(|p| p.span == Some(key.span) && p.message == message) {
            problem.help(format!("`{}` is a key of the rule `{}`", key.text, owner.name));
        }
    }
}

/// A target without a rule.
fn group(name: &Name, node: &Node, checker: &mut Checker) {
    let own = without(node, |n| !keys::TARGET.iter().any(|k| k.name == n));
    checker.record(&[keys::TARGET], &own, name.span);
    let others: Vec<&Name> = node
        .as_map()
        .unwrap_or_default()
        .iter()
        .map(|(n, _)| n)
        .filter(|n| !keys::GROUP.contains(&n.text.as_str()))
        .collect();
    if let Some(first) = others.first() {
        // `rulle: stat` is a slip, not a group.
        let slip = !keys::TARGET.iter().any(|k| k.name == first.text);
        let near = suggest(&first.text, keys::TARGET.iter().map(|k| k.name)).filter(|_| slip);
        checker
            .problems
            .at(
                first.span,
                format!("`{}` in a target without a rule", first.text),
                "has no meaning in a group of targets",
            )
            .also(name.span, "has no `rule`")
            .help(near.unwrap_or_else(|| "add `rule:`, or keep `inputs`, `after` and `description` alone".into()));
    } else if node.get("inputs").is_none() {
        checker
            .problems
            .at(name.span, "a target without a rule and without inputs", "does nothing")
            .help("add `rule:` or `inputs:`");
    }
}

/// The settings of a target that name nothing else.
fn target(pipeline: &Pipeline, name: &Name, node: &Node, bindings: Vec<Binding>, problems: &mut Problems) -> Target {
    let env = node.get("env").and_then(Node::as_map).unwrap_or_default();
    for (name, _) in env {
        if name.text.is_empty() || name.text.contains(['=', '\0']) {
            problems.at(name.span, format!("bad name of an environment variable: `{}`", name.text), "not a name");
        }
    }
    Target {
        name: name.text.clone(),
        span: name.span,
        description: node.get("description").and_then(Node::as_public),
        rule: node.get("rule").and_then(Node::as_public),
        keys: without(node, |n| keys::TARGET.iter().any(|k| k.name == n)),
        bindings,
        axes: Vec::new(),
        narrowness: 0,
        joined_by: Vec::new(),
        joined_late_by: Vec::new(),
        undone_before: Vec::new(),
        inputs: Vec::new(),
        after: Vec::new(),
        outputs: Vec::new(),
        fresh: node.get("fresh").and_then(freshness).unwrap_or(Freshness::Exists),
        missing_is_error: node.get("missing").and_then(Node::as_public).as_deref() == Some("error"),
        retries: node.get("retries").and_then(Node::as_u64).and_then(|n| u32::try_from(n).ok()),
        timeout: node.get("timeout").and_then(Node::as_duration).filter(|d| *d > Duration::ZERO),
        pool: node.get("pool").and_then(|node| pool(pipeline, node, problems)),
        env: env.iter().filter_map(|(n, v)| Some((n.text.clone(), v.as_text()?.clone()))).collect(),
        cache: node.get("cache").and_then(Node::as_bool).unwrap_or(true),
        faulty: false,
        loose: false,
    }
}

fn freshness(node: &Node) -> Option<Freshness> {
    match node.as_public()?.as_str() {
        "exists" => Some(Freshness::Exists),
        "digest" => Some(Freshness::Digest),
        "always" => Some(Freshness::Always),
        _ => node.as_duration().map(Freshness::Within),
    }
}

fn pool(pipeline: &Pipeline, node: &Node, problems: &mut Problems) -> Option<(usize, u32)> {
    let (name, span, share) = match node.as_map() {
        Some([(name, share)]) => (name.text.clone(), name.span, u32::try_from(share.as_u64()?).ok()?),
        Some(_) => {
            problems.at(node.span, "expected one pool", "a step takes a share of one pool");
            return None;
        }
        None => (node.as_public()?, node.span, 1),
    };
    let Some(at) = pipeline.pools.iter().position(|(n, _)| *n == name) else {
        unknown(problems, span, "pool", &name, pipeline.pools.iter().map(|(n, _)| n.as_str()));
        return None;
    };
    let size = pipeline.pools[at].1;
    if share > size {
        problems.at(
            node.span,
            format!("a share of {share} of the pool `{name}`, which has {size}"),
            "can never be had",
        );
        return None;
    }
    Some((at, share))
}
