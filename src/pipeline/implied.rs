//! Axes whose values a source tells (`{namespace: …}`, `{search: …}`, `platform: all`): each is a target that asks for
//! them, which the file need not write down, and an axis that reads that target's output. So they are fresh, deferred,
//! planned and explained as everything else.

use super::model::{Binding, Name, Node, Part, Text, Value};
use super::names::public_text;
use super::pattern;
use super::problem::{Problems, Span};

/// Where the outputs of implied targets lie.
pub const FOLDER: &str = ".layermill/axes/";

/// What an implied target has of the one that implies it: how it is asked, not what.
const SETTINGS: [&str; 5] = ["fresh", "missing", "retries", "timeout", "after"];

/// Whether this is the name of an implied target: no other has a dot.
pub fn is_implied(name: &str) -> bool {
    name.contains('.')
}

/// The target that implies this one.
pub fn implier(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// An output's path without the folder that only implied targets may write to.
pub fn below<'p>(target: &str, path: &'p str) -> &'p str {
    if is_implied(target) { path.strip_prefix(FOLDER).unwrap_or(path) } else { path }
}

/// The targets of a file, with those that they imply at the end.
pub(super) fn expand(entries: &[(Name, Node)], problems: &mut Problems, faulty: &mut Vec<bool>) -> Vec<(Name, Node)> {
    let mut all = entries.to_vec();
    let mut implied = Vec::new();
    for ((name, target), faulty) in all.iter_mut().zip(faulty.iter_mut()) {
        let before = problems.0.len();
        lists(name, target, &mut implied, problems);
        implied.extend(platforms(name, target, problems));
        *faulty |= problems.0.len() > before;
    }
    faulty.resize(all.len() + implied.len(), false);
    all.extend(implied);
    all
}

/// `{namespace: …}` and `{search: …}`: a target of the rule `repositories`.
fn lists(name: &Name, target: &mut Node, implied: &mut Vec<(Name, Node)>, problems: &mut Problems) {
    let settings = settings(target);
    let source = target.get("source").cloned();
    let Some(foreach) = entry_mut(target, "foreach") else { return };
    let Value::Map(axes) = &mut foreach.value else { return };
    for (binding, axis) in axes {
        let Some(asked) = list(axis, source.as_ref(), problems) else { continue };
        let span = axis.span;
        let output = format!("{FOLDER}{}.json", file_name(&asked));
        let mut keys = vec![(key("rule", span), scalar("repositories", span))];
        keys.extend(asked);
        keys.push((key("output", span), scalar(&output, span)));
        keys.extend(settings.clone());
        let of = format!("{}.{}", name.text, binding.text);
        *axis = reading(&of, span);
        implied.push((Name { text: of, span }, Node { value: Value::Map(keys), span }));
    }
}

/// What an axis asks a source for, as keys of the rule; `None` where it is none of these, or has mistakes.
fn list(axis: &Node, of_target: Option<&Node>, problems: &mut Problems) -> Option<Vec<(Name, Node)>> {
    let entries = axis.as_map()?;
    let own = |name: &Name| matches!(name.text.as_str(), "namespace" | "search" | "limit" | "source");
    let (first, _) = entries.iter().find(|(name, _)| own(name))?;
    let place = |word: &str| axis.entry(word);
    let what = match (place("namespace"), place("search")) {
        (Some(_), Some((second, _))) => {
            problems.at(second.span, "`namespace` and `search` in one axis", "one of the two");
            return None;
        }
        (Some((name, _)), None) | (None, Some((name, _))) => name,
        (None, None) => {
            let label = "is for axes that ask a source";
            let message = format!("`{}` without `namespace` or `search`", first.text);
            problems.at(first.span, message, label).help("`{namespace: NAME}` or `{search: WORDS}`");
            return None;
        }
    };
    if let Some((other, _)) = entries.iter().find(|(name, _)| !own(name)) {
        let label = "an axis has one place where its values come from";
        problems.at(other.span, format!("`{}` beside `{}`", other.text, what.text), label);
        return None;
    }
    let Some(source) = axis.get("source").or(of_target) else {
        problems
            .at(what.span, format!("`{}` needs a source", what.text), "asks which one?")
            .help("add `source: NAME` to the axis, or to the target");
        return None;
    };
    let mut keys = vec![(key("source", axis.span), source.clone())];
    let asked: Vec<_> = ["namespace", "search", "limit"].iter().filter_map(|k| place(k)).collect();
    for (_, value) in &asked {
        for text in value.as_list().unwrap_or(std::slice::from_ref(*value)) {
            public_text(text, "the values of an axis", problems)?;
        }
    }
    // In one order, so that what is equal looks equal.
    keys.extend(asked.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    Some(keys)
}

/// A file's name for a list: two targets that ask for the same share the step.
fn file_name(asked: &[(Name, Node)]) -> String {
    let text = |node: &Node| match node.as_list() {
        Some(items) => {
            items.iter().filter_map(Node::as_public).map(|item| escaped(&item)).collect::<Vec<_>>().join("+")
        }
        None => escaped(&node.as_public().unwrap_or_default()),
    };
    let word = |(name, node): &(Name, Node)| match name.text.as_str() {
        "source" => format!("{}/", text(node)),
        other => format!("{other}={}", text(node)),
    };
    let (source, rest) = asked.split_at(1);
    let rest: Vec<String> = rest.iter().map(word).collect();
    source.iter().map(word).collect::<String>() + &rest.join(",")
}

/// Text as a part of a path, with `%` and two digits for what is no letter, digit or one of `._-`.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// `platform: all`: a target of the rule `platforms`, which goes over all that this one did; this one goes over what is
/// found there, and the rest comes along.
fn platforms(name: &Name, target: &mut Node, problems: &mut Problems) -> Option<(Name, Node)> {
    let all = target.get("platform").filter(|node| node.as_public().as_deref() == Some("all"))?;
    if target.get("rule").and_then(Node::as_public).as_deref() != Some("layers") {
        return None;
    }
    let span = all.span;
    if let Some((own, _)) = target.get("foreach").and_then(|foreach| foreach.entry(PLATFORM)) {
        let label = "`platform: all` gives it";
        problems.at(own.span, "the binding `platform` is given twice", label).also(span, "given here");
        return None;
    }
    let output = target.get("output")?.clone();
    let Some(text) = output.as_text().filter(|text| !text.public().ends_with('/')) else {
        // Paths with `{platform}` in them are right to.
        let mut axes = target.get("foreach").and_then(Node::as_map).unwrap_or_default().to_vec();
        axes.push((key(PLATFORM, span), Node { value: Value::List(vec![scalar("all", span)]), span }));
        put(target, "foreach", Node { value: Value::Map(axes), span });
        problems
            .at(output.span, "`platform: all` makes one file a platform", "is not one path")
            .help("write `output: result/…/{platform}.json`");
        return None;
    };
    let mut keys = vec![(key("rule", span), scalar("platforms", span))];
    let same = ["source", "repo", "tag", "foreach"].iter().filter_map(|k| target.entry(k));
    keys.extend(same.map(|(name, node)| (name.clone(), node.clone())));
    keys.push((key("output", span), scalar(&of_all(text, output.span), output.span)));
    keys.extend(settings(target));
    let of = format!("{}.{PLATFORM}", name.text);
    let axis = (key(PLATFORM, span), reading(&of, span));
    put(target, "foreach", Node { value: Value::Map(vec![axis]), span });
    put(target, PLATFORM, scalar("{platform}", span));
    Some((Name { text: of, span }, Node { value: Value::Map(keys), span }))
}

const PLATFORM: &str = "platform";

/// Where the platforms of an output's image are listed: a path that is its own just as the output's is.
fn of_all(output: &Text, span: Span) -> String {
    let binding = Binding { name: PLATFORM.to_owned(), axis: 0, parent: None };
    let mut pattern = pattern::parse(output, span, "", &[binding]);
    for part in &mut pattern.parts {
        if let Part::Binding(_) = part {
            *part = Part::Text(Text::plain("all"));
        }
    }
    let path = pattern::template(&pattern, &[]);
    format!("{FOLDER}{}", path.strip_prefix("./").unwrap_or(&path))
}

fn settings(target: &Node) -> Vec<(Name, Node)> {
    let entries = target.as_map().unwrap_or_default().iter();
    entries.filter(|(name, _)| SETTINGS.contains(&name.text.as_str())).cloned().collect()
}

/// An axis that reads an array out of a target's output.
fn reading(target: &str, span: Span) -> Node {
    let entries = vec![(key("from", span), scalar(target, span)), (key("json", span), scalar("", span))];
    Node { value: Value::Map(entries), span }
}

fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|(name, _)| name.text == key).map(|(_, node)| node)
}

/// Gives a key another value, and its place where it is new.
fn put(node: &mut Node, name: &str, value: Node) {
    let Value::Map(entries) = &mut node.value else { return };
    match entries.iter_mut().find(|(key, _)| key.text == name) {
        Some((_, old)) => *old = value,
        None => entries.push((key(name, value.span), value)),
    }
}

fn key(name: &str, span: Span) -> Name {
    Name { text: name.to_owned(), span }
}

fn scalar(text: &str, span: Span) -> Node {
    Node { value: Value::Scalar { text: Text::plain(text), plain: false }, span }
}

#[cfg(test)]
mod tests {
    use super::super::model::{AxisKind, InputKind, Read};
    use super::super::testing::*;

    fn file(targets: &str) -> String {
        format!("version: 1\nsources: {{s: {{kind: dockerhub}}, r: {{kind: dockerhub}}}}\ntargets:\n{targets}")
    }

    #[test]
    fn a_list_is_a_target_that_the_axis_reads() {
        let text = "  t: {rule: tags, source: s, foreach: {repo: {search: [a b, ü/%], limit: 7}}, output: 'o/{repo}', \
                    fresh: 24h, retries: 2, cache: false}\n";
        let pipeline = good(&file(text));
        let (t, list) = (target(&pipeline, "t"), target(&pipeline, "t.repo"));
        let AxisKind::From { target, read: Read::Json(pointer), .. } = &t.axes[0].kind else { panic!("{:?}", t.axes) };
        assert_eq!((*target, pointer.as_str(), pipeline.targets.len()), (1, "", 2));
        assert_eq!((list.rule.as_deref(), list.bindings.len()), (Some("repositories"), 0));
        let path = super::super::pattern::literal(&list.outputs[0].pattern);
        assert_eq!(path.as_deref(), Some(".layermill/axes/s/search=a%20b+%c3%bc%2f%25,limit=7.json"));
        assert_eq!((list.fresh, list.retries, list.cache), (t.fresh, Some(2), true));
        assert_eq!(pipeline.default, [0]);
    }

    #[test]
    fn all_platforms_are_a_target_that_goes_over_what_this_one_did() {
        let text = "  tags: {rule: tags, source: s, foreach: {repo: [a]}, output: 'o/{repo}'}\n  \
                    t: {rule: layers, source: s, foreach: {tag: {from: tags, select: latest}}, platform: all, \
                    output: './l/{{x}}/{repo}/{tag}/{platform}.json'}\n";
        let pipeline = good(&file(text));
        let (t, all) = (target(&pipeline, "t"), target(&pipeline, "t.platform"));
        let names = |t: &super::super::model::Target| t.bindings.iter().map(|b| b.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(all), names(t)),
            (vec!["repo".into(), "tag".into()], ["repo", "tag", "platform"].map(String::from).into())
        );
        let filled = super::super::pattern::fill(&all.outputs[0].pattern, &["a", "1"]);
        assert_eq!(filled, ".layermill/axes/l/{x}/a/1/all.json");
        assert_eq!(t.keys.get("platform").unwrap().as_public().as_deref(), Some("{platform}"));
    }

    #[test]
    fn a_path_is_made_by_the_target_that_chooses_the_least_tags() {
        let layers = |name: &str, select: &str| {
            format!(
                "  {name}: {{rule: layers, source: s, foreach: {{tag: {{from: tags, select: {select}}}}}, platform: all, \
                 output: 'l/{{repo}}/{{tag}}/{{platform}}'}}\n"
            )
        };
        let tags = "  tags: {rule: tags, source: s, foreach: {repo: [a]}, output: 'o/{repo}'}\n";
        let reader = "  c: {rule: command, run: x, inputs: [l/a/1/linux/arm], output: c}\n";
        let pipeline = good(&file(&format!("{tags}{}{}{reader}", layers("latest", "latest"), layers("every", "all"))));
        let InputKind::Target { target: maker, .. } = &target(&pipeline, "c").inputs[0].kind else { panic!("a file") };
        assert_eq!(pipeline.targets[*maker].name, "every");
    }

    #[test]
    fn all_platforms_need_a_path_for_each() {
        let wrong = |keys: &str| {
            problems(&file(&format!("  t: {{rule: layers, source: s, repo: a, tag: b, platform: all, {keys}}}\n")))
        };
        let one = "every `platform` would write this one file @ o.json ? a path of an output has every binding of the target in it";
        assert_eq!(wrong("output: o.json"), [one]);
        let path = "`platform: all` makes one file a platform @ {} ? write `output: result/…/{platform}.json`";
        assert_eq!(wrong("output: ['{platform}']"), [path.replacen("{}", "['{platform}']", 1)]);
        assert_eq!(wrong("output: 'o/{platform}/'"), [path.replacen("{}", "'o/{platform}/'", 1)]);
        let twice = wrong("output: 'o/{platform}', foreach: {platform: [x]}");
        assert_eq!(twice, ["the binding `platform` is given twice @ platform & all"]);
        let unknown = wrong("output: 'o/{platform}', foreach: {x: {from: nobody, json: ''}}");
        assert_eq!(unknown.len(), 1, "{unknown:?}");
    }

    #[test]
    fn a_list_of_other_words_or_of_another_source_is_another_file() {
        let path = |axis: &str| {
            let pipeline = good(&file(&format!(
                "  t: {{rule: tags, source: s, foreach: {{repo: {axis}}}, output: 'o/{{repo}}'}}\n"
            )));
            super::super::pattern::literal(&target(&pipeline, "t.repo").outputs[0].pattern).unwrap()
        };
        let axes = [
            "{namespace: a}",
            "{search: a}",
            "{search: a, limit: 1}",
            "{search: a+b}",
            "{search: [a, b]}",
            "{search: 'a,limit=1'}",
            "{namespace: a, source: r}",
        ];
        let paths: std::collections::HashSet<String> = axes.iter().map(|axis| path(axis)).collect();
        assert_eq!(paths.len(), axes.len(), "{paths:?}");
    }
}
