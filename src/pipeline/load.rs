//! Text to [`Node`]s: YAML in, a tree out in which every value knows its place.
//!
//! All of the YAML parser that the rest of the program sees is here. It is asked for as little as possible: which
//! node is where. Duplicate keys and merge keys are ours, because both places of a duplicate are wanted, and because
//! what a merge brings in must not count as one; the spelling of a scalar is cut out of the text, so that a tag
//! `1.20` does not become the number 1.2.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};

use super::model::{Name, Node, Text, Value};
use super::problem::{Problem, Problems, Span};

/// The longest pipeline file that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The most values (scalars, lists and mappings) that a pipeline file may have.
pub const MAX_NODES: usize = 4_000_000;
/// The most values that aliases and merges may add to those. Files that stay below share a few defaults; what goes
/// beyond is built to explode.
pub const MAX_ALIASED: usize = 1_000_000;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// Checks that a file's bytes are text that can be parsed at all.
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    let bare = |message: String, span| Problem { message, span, ..Problem::default() };
    if bytes.len() > MAX_BYTES {
        return Err(bare(format!("the file is larger than {} MiB", MAX_BYTES >> 20), None));
    }
    std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        let mut problem = bare(format!("the file is not UTF-8 text (byte {}, line {line})", e.valid_up_to()), None);
        problem.help = Some("save it as UTF-8".into());
        problem
    })
}

/// Parses the text of a pipeline file. What is wrong with it is added to `problems`; a tree comes back all the same
/// wherever the text is YAML, `None` where it is not or where it holds no mapping.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_aliases: MAX_ALIASED,
            max_anchors: MAX_ALIASED,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_BYTES,
            max_total_scalar_bytes: MAX_BYTES,
            max_depth: MAX_DEPTH,
            max_documents: 2,
            // One anchor with hundreds of uses is how defaults are shared.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
    };
    let root: Spanned<Raw> = match serde_yaml::from_str_with_options(text, options) {
        Ok(root) => root,
        Err(e) => {
            problems.0.push(syntax(text, &e));
            return None;
        }
    };
    let mut build = Build { text, problems };
    let node = build.node(root);
    match node.value {
        Value::Map(_) => Some(node),
        Value::Null => {
            problems.at(
                Span { start: 0, len: 0 },
                "the file is empty",
                "expected keys such as `version` and `targets`",
            );
            None
        }
        _ => {
            problems
                .at(node.span, format!("expected a mapping, found {}", node.kind_name()), "at the top of the file")
                .help("a pipeline file has keys such as `version`, `sources` and `targets`");
            None
        }
    }
}

/// What the parser says, in our form.
fn syntax(text: &str, error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error;
    let place = error.location().map(|l| place(text, l));
    let mut problem = Problem { span: place, ..Problem::default() };
    match error.without_snippet() {
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            problem.message = format!("aliases expand to more than {MAX_ALIASED} values");
            problem.label = "this alias is one too many".into();
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            problem.message = "an alias stands inside of what it stands for".into();
            problem.label = "this alias never ends".into();
        }
        Error::UnknownAnchor { .. } => {
            problem.message = "unknown anchor".into();
            problem.label = "no anchor of this name stands before it".into();
        }
        Error::Budget { breach, .. } => {
            use serde_yaml::budget::BudgetBreach as B;
            problem.message = match breach {
                B::Nodes { .. } | B::Events { .. } => format!("the file has more than {MAX_NODES} values"),
                B::Depth { .. } => format!("values are nested more than {MAX_DEPTH} deep"),
                B::Aliases { .. } | B::Anchors { .. } | B::RecordedAnchorEvents { .. } => {
                    "the file has too many anchors and aliases".into()
                }
                _ => "the file is too large".into(),
            };
            problem.label = "the limit is reached here".into();
        }
        Error::MultipleDocuments { .. } => {
            problem.message = "the file has more than one YAML document".into();
            problem.label = "a second one starts here".into();
        }
        other => {
            problem.message = "this is not valid YAML".into();
            // The parser's words end with the place, which the mark shows better.
            let words = other.to_string();
            let words = words.split(" at line ").next().unwrap_or(&words);
            problem.label = words.lines().next().unwrap_or("here").trim_end_matches([' ', ':', ',']).to_owned();
            problem.help(
                "put text that has `{`, `}`, `[`, `]`, `: ` or ` #` in it, or starts with `*`, `&` or `@`, in quotes",
            );
        }
    }
    problem
}

/// A place in bytes. Scanner errors know line and column alone (in characters, from one).
fn place(text: &str, location: Location) -> Span {
    let span = location.span();
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
        let start = floor(text, start as usize);
        return Span { start, len: floor(text, start.saturating_add(len as usize)) - start };
    }
    let line_at = match location.line() {
        0 | 1 => 0,
        n => text.match_indices('\n').nth(n as usize - 2).map_or(text.len(), |(i, _)| i + 1),
    };
    let line = text[line_at..].split('\n').next().unwrap_or("");
    let skip = (location.column() as usize).saturating_sub(1);
    let start = line_at + line.char_indices().nth(skip).map_or(line.len(), |(i, _)| i);
    Span { start, len: text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8) }
}

/// The nearest boundary between characters at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// A value as the parser gives it.
enum Raw {
    Null,
    /// `None` is a scalar that looks like a number or a truth value: it is read from the text.
    Scalar(Option<String>),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(None))
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Some(v.to_owned())))
    }

    fn visit_string<E>(self, v: String) -> Result<Raw, E> {
        Ok(Raw::Scalar(Some(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Makes nodes of raw values: cuts scalars out of the text, resolves merges, reports duplicate keys.
struct Build<'a> {
    text: &'a str,
    problems: &'a mut Problems,
}

impl Build<'_> {
    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        // Where a value is defined, not where an alias brings it in: that is the text to mark and to cut from.
        let mut span = place(self.text, raw.defined);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Scalar(text) => {
                let (text, plain) = self.scalar(text, &mut span);
                Value::Scalar { text: Text::plain(text), plain }
            }
            Raw::List(items) => {
                let items: Vec<Node> = items.into_iter().map(|i| self.node(i)).collect();
                span = self.around(span, items.iter().map(|i| i.span));
                Value::List(items)
            }
            Raw::Map(entries) => {
                let entries = self.map(entries);
                span = self.around(span, entries.iter().flat_map(|(k, v)| [k.span, v.span]));
                Value::Map(entries)
            }
        };
        Node { value, span }
    }

    /// A scalar as it is spelt, and whether it is plain (neither quoted nor a block).
    fn scalar(&self, decoded: Option<String>, span: &mut Span) -> (String, bool) {
        let slice = &self.text[span.start..span.start + span.len];
        let trimmed = slice.trim_end();
        let plain = !trimmed.starts_with(['"', '\'', '|', '>']);
        span.len = trimmed.len();
        match decoded {
            Some(text) => (text, plain),
            None => (trimmed.to_owned(), plain),
        }
    }

    fn map(&mut self, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Vec<(Name, Node)> {
        let mut entries: Vec<(Name, Node)> = Vec::with_capacity(raw.len());
        let mut merges: Vec<Node> = Vec::new();
        let mut first = HashMap::with_capacity(raw.len());
        for (key, value) in raw {
            let Some(name) = self.name(key) else { continue };
            let value = self.node(value);
            if name.text == "<<" {
                merges.push(value);
                continue;
            }
            if let Some(&span) = first.get(&name.text) {
                self.problems
                    .at(name.span, format!("duplicate key `{}`", name.text), "given a second time here")
                    .also(span, "first given here");
                continue;
            }
            first.insert(name.text.clone(), name.span);
            entries.push((name, value));
        }
        for merge in merges {
            self.merge(&mut entries, merge);
        }
        entries
    }

    /// `<<: *defaults` or `<<: [*a, *b]`: brings in what is not there yet.
    fn merge(&mut self, entries: &mut Vec<(Name, Node)>, from: Node) {
        let maps = match from.value {
            Value::List(items) => items,
            _ => vec![from],
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                self.problems.at(
                    map.span,
                    format!("expected a mapping, found {}", map.kind_name()),
                    "`<<` merges mappings",
                );
                continue;
            };
            let known: HashSet<String> = entries.iter().map(|(n, _)| n.text.clone()).collect();
            entries.extend(more.into_iter().filter(|(n, _)| !known.contains(&n.text)));
        }
    }

    /// A collection's place: from its start to the end of its last child, or to the bracket that closes it.
    fn around(&self, start: Span, children: impl Iterator<Item = Span>) -> Span {
        let mut end = start.start + start.len;
        for child in children {
            // What an alias brought in may stand elsewhere.
            if child.start >= start.start {
                end = end.max(child.start + child.len);
            }
        }
        if self.text[start.start..].starts_with(['[', '{']) {
            let rest = &self.text[end..];
            let gap = rest.len() - rest.trim_start_matches([' ', '\n', '\r', ',']).len();
            if rest[gap..].starts_with([']', '}']) {
                end += gap + 1;
            }
        }
        Span { start: start.start, len: end - start.start }
    }

    fn name(&mut self, key: Spanned<Raw>) -> Option<Name> {
        let mut span = place(self.text, key.defined);
        match key.value {
            Raw::Scalar(text) => {
                let (text, _) = self.scalar(text, &mut span);
                Some(Name { text, span })
            }
            Raw::Null => {
                let text = self.text[span.start..span.start + span.len].trim_end().to_owned();
                span.len = text.len();
                Some(Name { text, span })
            }
            Raw::List(_) | Raw::Map(_) => {
                self.problems.at(span, "a key must be a word", "this key is a list or a mapping");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, node: &Node, depth: usize, out: &mut String) {
        use std::fmt::Write;
        let cut = &text[node.span.start..node.span.start + node.span.len];
        match &node.value {
            Value::Null => writeln!(out, "null {cut:?}").unwrap(),
            Value::Scalar { text, plain } => writeln!(out, "{:?} plain={plain} {cut:?}", text).unwrap(),
            Value::List(l) => {
                writeln!(out, "list {cut:?}").unwrap();
                for i in l {
                    write!(out, "{:1$}- ", "", depth).unwrap();
                    show(text, i, depth + 2, out);
                }
            }
            Value::Map(m) => {
                writeln!(out, "map {cut:?}").unwrap();
                for (k, v) in m {
                    let kc = &text[k.span.start..k.span.start + k.span.len];
                    write!(out, "{:2$}{} {kc:?}: ", "", k.text, depth).unwrap();
                    show(text, v, depth + 2, out);
                }
            }
        }
    }

    #[test]
    fn probe() {
        let text = "a: 1.20 # c\nb: yes\nc: 0x10\nd: ~\ne:\nf: 'it''s'\ng: \"x\\ty\"\nh: |\n  line\n  two\ni: >-\n  fold\n  ed\nj: [a, {b: c}, 1e999, .nan]\nk: &anch\n  x: 1\n  y: &s scalar\nl: *anch\nm:\n  <<: *anch\n  x: 2\nn: *s\no: multi\n  line plain\np: !!str 12\nq: ü\n? r\n: 1\n1.0: k\n\"qk\": 1\nt: !!int 12\nu: 007\nv: &z 1.10\nw: *z\n";
        let mut problems = Problems::default();
        let node = parse(text, &mut problems);
        println!("{problems:?}");
        if let Some(n) = node {
            let mut s = String::new();
            show(text, &n, 0, &mut s);
            println!("{s}");
        }
        for bad in [
            "a: [",
            "a: \"x",
            "a:\n\t- x",
            "a: *q",
            "",
            "# only\n",
            "- a\n",
            "a: b: c",
            "a: &x [*x]",
            "a: 1\n---\nb: 1\n",
            "{a: 1, a: 2}",
            "a: 'ü' x\n",
            "%YAML 9\n",
            "a: ${x}\nb: {c: ${x}}",
            "\u{feff}a: 1",
            "a: @x",
            "k: {a: {b}: c}",
        ] {
            let mut problems = Problems::default();
            let node = parse(bad, &mut problems);
            println!("{bad:?} => {} {:?}", node.is_some(), problems);
        }
    }
}
