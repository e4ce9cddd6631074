//! Text to [`Node`]s: YAML in, a tree out in which every value knows its place.
//!
//! All of the YAML parser that the rest of the program sees is here, and in `raw` what it gives. It is asked
//! for as little as possible: which node is where. Duplicate keys and merge keys are ours, because both places of a
//! duplicate are wanted, and because what a merge brings in must not count as one; the spelling of a scalar is cut out of
//! the text, so that a tag `1.20` does not become the number 1.2.

use std::collections::{HashMap, HashSet};

use serde_yaml::Spanned;

use super::model::{Name, Node, Text, Value};
use super::problem::{Problem, Problems, Span};
use super::raw::Raw;
use super::syntax::{MAX_BYTES, options, place, syntax};

/// Stack for the deepest nesting: only what is used of it becomes memory.
const STACK: usize = 64 << 20;

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
    // The parser calls itself at each level of nesting, with much on its stack: it gets one that suffices for the
    // deepest file, whatever the thread that asks has left.
    let (node, found) = std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("parse".into()).stack_size(STACK);
        let work = || {
            let mut found = Problems::default();
            (parse_here(text, &mut found), found)
        };
        match parser.spawn_scoped(scope, work).map(|thread| thread.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(e) => {
                let mut found = Problems::default();
                found.bare(format!("cannot start a thread to read the file: {e}"));
                (None, found)
            }
        }
    });
    problems.0.extend(found.0);
    node
}

fn parse_here(text: &str, problems: &mut Problems) -> Option<Node> {
    let root: Spanned<Raw> = match serde_yaml::from_str_with_options(text, options()) {
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

    fn show(text: &str, node: &Node) -> String {
        let cut = |span: Span| &text[span.start..span.start + span.len];
        match &node.value {
            Value::Null => format!("null<{}>", cut(node.span)),
            Value::Scalar { text, .. } => format!("{:?}<{}>", text.public(), cut(node.span)),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|i| show(text, i)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(k, v)| format!("{}<{}>: {}", k.text, cut(k.span), show(text, v))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn good(text: &str) -> Node {
        let mut problems = Problems::default();
        let node = parse(text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        assert!(problems.is_empty(), "{problems:?}");
        node
    }

    /// The value of the key `a`, with the text that its place covers.
    fn value(text: &str) -> String {
        show(text, good(text).get("a").unwrap())
    }

    #[test]
    fn scalars_keep_their_spelling_and_their_place() {
        for (text, expected) in [
            ("a: 1.20 # the version", r#""1.20"<1.20>"#),
            ("a: yes", r#""yes"<yes>"#),
            ("a: 0x10", r#""0x10"<0x10>"#),
            ("a: 007", r#""007"<007>"#),
            ("a: 1_000", r#""1_000"<1_000>"#),
            ("a: 1e999", r#""1e999"<1e999>"#),
            ("a: .nan", r#"".nan"<.nan>"#),
            ("a: 99999999999999999999999", r#""99999999999999999999999"<99999999999999999999999>"#),
            ("a: ~", "null<~>"),
            ("a:", "null<>"),
            ("a: 'it''s'", r#""it's"<'it''s'>"#),
            ("a: \"x\\ty\"", r#""x\ty"<"x\ty">"#),
            ("a: ''", r#"""<''>"#),
            ("a: |\n  one\n  two\nb: 1", "\"one\\ntwo\\n\"<one\n  two>"),
            ("a: >-\n  one\n  two\n", "\"one two\"<one\n  two>"),
            ("a: one\n  two", "\"one two\"<one\n  two>"),
            ("a: &x 1.10", r#""1.10"<1.10>"#),
            ("b: &x 1.10\na: *x", r#""1.10"<1.10>"#),
            ("a: !!str 12", r#""12"<12>"#),
            ("ä: ü\na: ö", r#""ö"<ö>"#),
            ("\u{feff}a: 1", r#""1"<1>"#),
            ("a: x\r\nb: y\r\n", r#""x"<x>"#),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn collections_cover_what_is_in_them() {
        let text = "a: [x, {y: z}, 1 ]\nb:\n  - p\n  - q: r\n";
        let node = good(text);
        let cut = |key: &str| {
            let span = node.get(key).unwrap().span;
            &text[span.start..span.start + span.len]
        };
        assert_eq!(cut("a"), "[x, {y: z}, 1 ]");
        assert_eq!(cut("b"), "- p\n  - q: r");
        assert_eq!(value(text), r#"["x"<x>, {y<y>: "z"<z>}, "1"<1>]"#);
        assert_eq!(value("? a\n: 1.0\n1.0: k"), r#""1.0"<1.0>"#);
    }

    #[test]
    fn anchors_and_merges() {
        let text = "d: &d {x: 1, y: 2}\ne: &e {y: 3, z: 4}\na:\n  <<: [*d, *e]\n  x: 9\nb: {<<: *d}\n";
        assert_eq!(value(text), r#"{x<x>: "9"<9>, y<y>: "2"<2>, z<z>: "4"<4>}"#);
        let twice = "d: &d {x: 1}\na:\n  <<: *d\n  <<: {x: 2, y: 3}\n";
        assert_eq!(value(twice), r#"{x<x>: "1"<1>, y<y>: "3"<3>}"#);
    }

    #[test]
    fn duplicate_keys_are_all_reported_with_both_places() {
        let text = "a: 1\nb: {c: 1, c: 2, 'c': 3}\na: 2\n";
        let mut problems = Problems::default();
        assert!(parse(text, &mut problems).is_some());
        let places: Vec<(usize, usize)> =
            problems.0.iter().map(|p| (p.span.unwrap().start, p.also[0].0.start)).collect();
        assert_eq!(places, [(15, 9), (21, 9), (29, 0)]);
        assert_eq!(problems.0[0].message, "duplicate key `c`");
    }

    #[test]
    fn what_is_not_a_pipeline_says_so_where_it_breaks() {
        for (text, message, marked) in [
            ("a: [x, y", "not valid YAML", "["),
            ("a: \"x", "not valid YAML", "\""),
            ("a:\n\t- x", "not valid YAML", "\t"),
            ("a: b: c", "not valid YAML", ":"),
            ("ü: 'ö' x", "not valid YAML", "x"),
            ("a: @x", "not valid YAML", "@"),
            ("a: {b: ${c}}", "not valid YAML", "{"),
            ("a: *b", "unknown anchor", "*"),
            ("a: &x [*x]", "inside of what it stands for", "*x"),
            ("a: 1\n---\nb: 1", "more than one YAML document", ""),
            ("", "the file is empty", ""),
            ("# only this\n", "the file is empty", ""),
            ("- a\n", "expected a mapping, found a list", "- a"),
            ("word", "expected a mapping, found `word`", "word"),
            ("[a]: b", "a key must be a word", "["),
        ] {
            let mut problems = Problems::default();
            parse(text, &mut problems);
            let problem = problems.0.first().unwrap_or_else(|| panic!("no problem: {text}"));
            assert!(problem.message.contains(message), "{text}: {problem:?}");
            let span = problem.span.expect("a place");
            assert_eq!(&text[span.start..span.start + span.len], marked, "{text}");
        }
    }

    #[test]
    fn alias_bombs_and_bottomless_nesting_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..10 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{aliases}]\n");
        }
        let merges: String =
            (1..40).map(|i| format!("m{i}: &m{i}\n  <<: [*m{0}, *m{0}]\n  k{i}: 1\n", i - 1)).collect();
        let merges = format!("m0: &m0 {{k: 1}}\n{merges}");
        let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        let deeper = format!("a: {}", "[".repeat(100_000));
        let block: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        for (text, message) in [
            (&bomb, "expand to more than"),
            (&merges, ""),
            (&deep, "nested more than 64 deep"),
            (&deeper, ""),
            (&block, "nested more than 64 deep"),
        ] {
            let mut problems = Problems::default();
            assert!(parse(text, &mut problems).is_none());
            assert!(problems.0[0].message.contains(message), "{:?}", problems.0[0]);
        }
    }

    #[test]
    fn shared_defaults_are_no_bomb() {
        let mut text = String::from("d: &d {x: 1, y: 2, z: 3}\n");
        (0..5_000).for_each(|i| text += &format!("t{i}: {{<<: *d, own: {i}}}\n"));
        assert_eq!(good(&text).as_map().unwrap().len(), 5_001);
    }

    #[test]
    fn large_files_are_read() {
        // 360,000 values, which is more than the parser takes by itself.
        let mut text = String::from("targets:\n");
        (0..60_000).for_each(|i| text += &format!("  t{i}: {{rule: stat, output: o{i}}}\n"));
        assert_eq!(good(&text).get("targets").unwrap().as_map().unwrap().len(), 60_000);
    }

    #[test]
    fn bytes_that_are_no_text() {
        let problem = decode(b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!(problem.message, "the file is not UTF-8 text (byte 8, line 2)");
        assert!(decode(&vec![b' '; MAX_BYTES + 1]).unwrap_err().message.contains("larger than 64 MiB"));
        assert!(decode("ü".as_bytes()).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c:{}\\[\\],&*!|>'\"#~\\-? \n\tü<0.%@\\\\]{0,60}") {
            let mut problems = Problems::default();
            let node = parse(&text, &mut problems);
            proptest::prop_assert!(node.is_some() || !problems.is_empty());
            for span in problems.0.iter().filter_map(|p| p.span) {
                proptest::prop_assert!(text.get(span.start..span.start + span.len).is_some());
            }
        }
    }
}
