//! What may stand where in the pipeline file. One description serves the check and the JSON Schema.

use super::model::Node;
use super::problem::{Problems, Span, suggest};

/// A key of a mapping.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// A sentence for editors and for the reference.
    pub doc: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// Any scalar, kept as it is spelt. `${name}` is replaced in it.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    Bool,
    /// A whole number from `0` to `1`, both included.
    Int(u64, u64),
    /// A duration such as `90s`, `24h`, `7d`.
    Duration,
    /// The name of an entry under `sources:`.
    Source,
    /// The name of an entry under `targets:`.
    Target,
    List(&'static Shape),
    /// Free names to values.
    Map(&'static Shape),
    /// Known keys.
    Record(&'static [Key]),
    /// The first of these that fits.
    Any(&'static [Shape]),
}

/// What the floors above know: the rules and the kinds of sources, each with the keys of its own.
#[derive(Debug)]
pub struct Vocabulary {
    pub rules: &'static [Kind],
    pub sources: &'static [Kind],
}

/// A rule, or a kind of source.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub doc: &'static str,
    /// Its own keys, beside those that every target (or source) takes.
    pub keys: &'static [Key],
}

/// Names that may be referred to, in file order.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<String>,
    set: std::collections::HashSet<String>,
}

impl Names {
    pub fn new(names: impl Iterator<Item = String>) -> Self {
        let list: Vec<String> = names.collect();
        Self { set: list.iter().cloned().collect(), list }
    }
}

/// Looks for what does not fit its shape. Names of sources and targets are known to it.
pub struct Checker<'a> {
    pub sources: &'a Names,
    pub targets: &'a Names,
    pub problems: &'a mut Problems,
}

impl Checker<'_> {
    /// Checks a value; `name` is its key's place, where it has one.
    pub fn check(&mut self, shape: &Shape, node: &Node, name: Span) {
        match shape {
            Shape::List(item) => match node.as_list() {
                Some(items) => items.iter().for_each(|i| self.check(item, i, i.span)),
                None => self.wrong(shape, node, name),
            },
            Shape::Map(value) => match node.as_map() {
                Some(entries) => entries.iter().for_each(|(k, v)| self.check(value, v, k.span)),
                None => self.wrong(shape, node, name),
            },
            Shape::Record(keys) => match node.as_map() {
                Some(_) => self.record(&[keys], node, name),
                None => self.wrong(shape, node, name),
            },
            Shape::Any(shapes) => self.any(shape, shapes, node, name),
            Shape::Source => self.name("source", self.sources, shape, node, name),
            Shape::Target => self.name("target", self.targets, shape, node, name),
            Shape::Word(words) => {
                if !node.as_public().is_some_and(|t| words.contains(&t.as_str())) {
                    let text = node.as_public().unwrap_or_default();
                    self.wrong(shape, node, name);
                    let near = suggest(&text, words.iter().copied());
                    self.problems.0.last_mut().map(|p| p.maybe_help(near));
                }
            }
            Shape::Text | Shape::Bool | Shape::Int(..) | Shape::Duration => {
                let fits = match shape {
                    Shape::Bool => node.as_bool().is_some(),
                    Shape::Int(from, to) => node.as_u64().is_some_and(|n| (from..=to).contains(&&n)),
                    Shape::Duration => node.as_duration().is_some(),
                    _ => node.as_text().is_some(),
                };
                if !fits {
                    self.wrong(shape, node, name);
                }
            }
        }
    }

    /// Checks a mapping whose keys are those of several tables.
    pub fn record(&mut self, tables: &[&[Key]], node: &Node, name: Span) {
        let entries = node.as_map().unwrap_or_default();
        let known = || tables.iter().copied().flatten();
        for (key, value) in entries {
            match known().find(|k| k.name == key.text) {
                Some(found) => self.check(&found.shape, value, key.span),
                None => {
                    let help = suggest(&key.text, known().map(|k| k.name)).or_else(|| {
                        let names: Vec<&str> = known().map(|k| k.name).collect();
                        (!names.is_empty()).then(|| format!("known here: {}", words(&names, "and")))
                    });
                    self.problems
                        .at(key.span, format!("unknown key `{}`", key.text), "not known here")
                        .maybe_help(help);
                }
            }
        }
        for key in known().filter(|k| k.required && node.get(k.name).is_none()) {
            self.problems.at(name, format!("missing key `{}`", key.name), "is needed here").help(key.doc);
        }
    }

    /// Takes the first shape that fits. Where none does, the one of the same build tells best what is wrong.
    fn any(&mut self, whole: &Shape, shapes: &[Shape], node: &Node, name: Span) {
        if shapes.iter().any(|s| self.fits(s, node)) {
            return;
        }
        let alike = |s: &&Shape| match s {
            Shape::List(_) => node.as_list().is_some(),
            Shape::Map(_) | Shape::Record(_) => node.as_map().is_some(),
            _ => false,
        };
        match shapes.iter().find(alike) {
            Some(shape) => self.check(shape, node, name),
            None => {
                self.wrong(whole, node, name);
                let text = node.as_public().unwrap_or_default();
                let near = shapes.iter().find_map(|s| match s {
                    Shape::Word(words) => suggest(&text, words.iter().copied()),
                    _ => None,
                });
                self.problems.0.last_mut().map(|p| p.maybe_help(near));
            }
        }
    }

    fn fits(&self, shape: &Shape, node: &Node) -> bool {
        let mut problems = Problems::default();
        Checker { sources: self.sources, targets: self.targets, problems: &mut problems }.check(shape, node, node.span);
        problems.is_empty()
    }

    fn name(&mut self, what: &str, known: &Names, shape: &Shape, node: &Node, name: Span) {
        match node.as_public() {
            Some(text) if known.set.contains(&text) => {}
            Some(text) => unknown(self.problems, node.span, what, &text, known.list.iter().map(String::as_str)),
            None => self.wrong(shape, node, name),
        }
    }

    fn wrong(&mut self, shape: &Shape, node: &Node, name: Span) {
        let span = if node.span.len == 0 { name } else { node.span };
        let label = if node.is_null() { "has no value" } else { "does not fit" };
        self.problems.at(span, format!("expected {}, found {}", describe(shape), node.kind_name()), label);
    }
}

/// Reports a name that nothing has, with the nearest of those that are there.
pub fn unknown<'a>(problems: &mut Problems, span: Span, what: &str, name: &str, known: impl Iterator<Item = &'a str>) {
    let known: Vec<&str> = known.collect();
    let help = suggest(name, known.iter().copied()).or_else(|| match known.len() {
        0 => Some(format!("the pipeline has no {what}s")),
        1..=12 => {
            let names: Vec<String> = known.iter().map(|n| format!("`{n}`")).collect();
            Some(format!("known: {}", names.join(", ")))
        }
        _ => None,
    });
    problems.at(span, format!("unknown {what} `{name}`"), format!("no {what} of this name")).maybe_help(help);
}

/// What a shape takes, in the words of a message.
fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Word(list) => words(list, "or"),
        Shape::Bool => "`true` or `false`".into(),
        Shape::Int(from, to) if from == to => format!("`{from}`"),
        Shape::Int(from, to) => format!("a whole number from {from} to {to}"),
        Shape::Duration => "a duration such as `90s` or `24h`".into(),
        Shape::Source => "the name of a source".into(),
        Shape::Target => "the name of a target".into(),
        Shape::List(_) => "a list".into(),
        Shape::Map(_) | Shape::Record(_) => "a mapping".into(),
        Shape::Any(shapes) => {
            let all: Vec<String> = shapes.iter().map(describe).collect();
            all.join(" or ")
        }
    }
}

/// "`a`, `b` and `c`".
fn words(list: &[&str], and: &str) -> String {
    let quoted: Vec<String> = list.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {and} {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
