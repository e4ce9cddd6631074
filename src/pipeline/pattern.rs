//! Text with `{names}` in it: parsed, filled, and read backwards.
//!
//! A brace counts only around an identifier, with dots: `awk '{print $1}'` stays what it is. `{{` is a literal brace,
//! and so is the `}}` that closes it; a `}}` that closes nothing of the kind is left alone, for it is what jq and JSON
//! end with.

use super::model::{Binding, Part, Pattern, Piece, Text};
use super::node::locate;
use super::problem::Span;

/// The longest path of an output or an input, in bytes, and the longest of its segments.
pub const MAX_PATH: usize = 4096;
pub const MAX_SEGMENT: usize = 255;

/// How much work is put into reading one path backwards: more is never needed for paths that mean something.
const MAX_TRIES: usize = 200_000;
const MAX_CAPTURES: usize = 1_000;

/// Parses `text`, which stands at `span` of `source`. Names that are no binding stay [`Part::Special`], for the rule
/// to judge.
pub fn parse(text: &Text, span: Span, source: &str, bindings: &[Binding]) -> Pattern {
    let mut parts = Vec::new();
    let mut plain = Text::default();
    let mut seen: Vec<(String, usize)> = Vec::new();
    // `{{` that no `}}` has closed yet.
    let mut doubled = 0usize;
    for piece in &text.0 {
        let Piece::Plain(piece) = piece else {
            plain.0.push(piece.clone());
            continue;
        };
        let mut literal = String::new();
        let mut rest = piece.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            let (opens, closes) = (rest.starts_with("{{"), doubled > 0 && rest.starts_with("}}"));
            if opens || closes {
                doubled = if opens { doubled + 1 } else { doubled - 1 };
                literal.push_str(&rest[..1]);
                rest = &rest[2..];
                continue;
            }
            // What `${…}` means was put in its place before: where it still stands, it is meant as it is.
            let Some(name) = name_in_braces(rest).filter(|_| !literal.ends_with('$')) else {
                literal.push_str(&rest[..1]);
                rest = &rest[1..];
                continue;
            };
            if !literal.is_empty() {
                plain.0.push(Piece::Plain(std::mem::take(&mut literal)));
            }
            if !plain.0.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(match bindings.iter().position(|b| b.name == name) {
                Some(binding) => Part::Binding(binding),
                None => {
                    let nth = match seen.iter_mut().find(|(n, _)| n == name) {
                        Some((_, count)) => {
                            *count += 1;
                            *count
                        }
                        None => {
                            seen.push((name.to_owned(), 0));
                            0
                        }
                    };
                    Part::Special(name.to_owned(), locate(source, span, &rest[..name.len() + 2], nth))
                }
            });
            rest = &rest[name.len() + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            plain.0.push(Piece::Plain(literal));
        }
    }
    if !plain.0.is_empty() {
        parts.push(Part::Text(plain));
    }
    Pattern { parts, span }
}

/// The identifier, with dots, in the braces that `text` starts with.
fn name_in_braces(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.split('}').next()?;
    let closed = text.as_bytes().get(name.len() + 1) == Some(&b'}');
    (closed && name.split('.').all(is_identifier)).then_some(name)
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Fills in the values of the bindings. Secrets stand by their names, and so do special names.
pub fn fill(pattern: &Pattern, values: &[&str]) -> String {
    let mut out = String::new();
    fill_into(&mut out, pattern, |b| values.get(b).copied().unwrap_or(""));
    out
}

/// [`fill`], onto the end of `out`, from what gives the value of a binding.
pub fn fill_into<'v>(out: &mut String, pattern: &Pattern, value: impl Fn(usize) -> &'v str) {
    fill_parts(out, pattern, value, |out, name, _| {
        out.push_str("${secret.");
        out.push_str(name);
        out.push('}');
    });
}

/// [`fill`], with secrets: for use, never for show.
pub fn fill_exposed(pattern: &Pattern, values: &[&str]) -> String {
    let mut out = String::new();
    fill_parts(&mut out, pattern, |b| values.get(b).copied().unwrap_or(""), |out, _, value| out.push_str(value));
    out
}

fn fill_parts<'v>(
    out: &mut String,
    pattern: &Pattern,
    value_of: impl Fn(usize) -> &'v str,
    secret: impl Fn(&mut String, &str, &str),
) {
    for part in &pattern.parts {
        match part {
            Part::Text(text) => {
                for piece in &text.0 {
                    match piece {
                        Piece::Plain(plain) => out.push_str(plain),
                        Piece::Secret { name, value } => secret(out, name, value),
                    }
                }
            }
            Part::Binding(b) => out.push_str(value_of(*b)),
            Part::Special(name, _) => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
    }
}

/// A pattern over other bindings: each binding `b` of this one is replaced by the pattern that `by` gives for it.
pub fn compose<'p>(pattern: &'p Pattern, by: impl Fn(usize) -> Option<&'p Pattern>) -> Option<Pattern> {
    let mut parts = Vec::new();
    for part in &pattern.parts {
        match part {
            Part::Binding(b) => parts.extend_from_slice(&by(*b)?.parts),
            part => parts.push(part.clone()),
        }
    }
    Some(Pattern { parts, span: pattern.span })
}

/// The pattern before it is filled, secrets by their names: what may be hashed and shown. Literal braces are doubled,
/// so that patterns that differ look different.
pub fn template(pattern: &Pattern, bindings: &[Binding]) -> String {
    let mut out = String::new();
    for part in &pattern.parts {
        match part {
            Part::Text(text) => {
                for piece in &text.0 {
                    match piece {
                        Piece::Plain(plain) => out.push_str(&plain.replace('{', "{{").replace('}', "}}")),
                        Piece::Secret { name, .. } => {
                            out.push_str("${secret.");
                            out.push_str(name);
                            out.push('}');
                        }
                    }
                }
            }
            Part::Binding(b) => {
                out.push('{');
                out.push_str(bindings.get(*b).map_or("?", |b| b.name.as_str()));
                out.push('}');
            }
            Part::Special(name, _) => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
    }
    out
}

/// The text, where nothing is to be filled in.
pub fn literal(pattern: &Pattern) -> Option<String> {
    pattern.parts.iter().all(|p| matches!(p, Part::Text(_))).then(|| fill(pattern, &[]))
}

/// The bindings that occur.
pub fn bindings(pattern: &Pattern) -> impl Iterator<Item = usize> + '_ {
    pattern.parts.iter().filter_map(|p| match p {
        Part::Binding(b) => Some(*b),
        _ => None,
    })
}

/// Every way in which `pattern`, filled, gives `path`: the binding and its value, for each. A value is not empty and
/// may hold a `/`. The first is the one in which earlier bindings are longest.
pub fn match_path(pattern: &Pattern, path: &str) -> Vec<Vec<(usize, String)>> {
    let text: Vec<Symbol> = path.chars().map(Symbol::Char).collect();
    let mut found = Vec::new();
    solve(pattern, &text, MAX_CAPTURES, &mut |captures| {
        found.push(captures.iter().map(|(b, value)| (*b, value.iter().filter_map(Symbol::char).collect())).collect());
    });
    found
}

/// How a path with bindings of ours names what an output with bindings of theirs makes: their binding, and what it
/// must be, over ours. `result/tags/library/{name}.json` joins `result/tags/{repo}.json` where `repo` is
/// `library/{name}`. `None` where it does not fit.
pub fn unify(path: &Pattern, output: &Pattern) -> Option<Vec<(usize, Pattern)>> {
    let mut text = Vec::new();
    for part in &path.parts {
        match part {
            Part::Text(t) => text.extend(t.public().chars().map(Symbol::Char)),
            Part::Binding(b) => text.push(Symbol::Binding(*b)),
            Part::Special(..) => return None,
        }
    }
    let mut first = None;
    solve(output, &text, 1, &mut |captures| {
        first = Some(captures.iter().map(|(b, value)| (*b, from_symbols(value, path.span))).collect());
    });
    first
}

/// A character of a path, or a binding that stands in it as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Char(char),
    Binding(usize),
}

impl Symbol {
    fn char(&self) -> Option<char> {
        match self {
            Symbol::Char(c) => Some(*c),
            Symbol::Binding(_) => None,
        }
    }
}

fn from_symbols(symbols: &[Symbol], span: Span) -> Pattern {
    let mut parts = Vec::new();
    let mut plain = String::new();
    for symbol in symbols {
        match symbol {
            Symbol::Char(c) => plain.push(*c),
            Symbol::Binding(b) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(Text::plain(std::mem::take(&mut plain))));
                }
                parts.push(Part::Binding(*b));
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(Text::plain(plain)));
    }
    Pattern { parts, span }
}

/// Captures so far: a binding and the symbols that it stands for.
type Captures<'a> = Vec<(usize, &'a [Symbol])>;

/// Finds up to `most` ways in which `pattern` covers all of `text`, calling `found` with the captures of each.
fn solve<'a>(pattern: &Pattern, text: &'a [Symbol], most: usize, found: &mut dyn FnMut(&Captures<'a>)) {
    let parts: Vec<Step> = pattern
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(t) => Step::Literal(t.public().chars().map(Symbol::Char).collect()),
            Part::Binding(b) => Step::Capture(*b),
            Part::Special(..) => Step::Never,
        })
        .collect();
    let mut search = Search { parts: &parts, tries: 0, left: most, captures: Vec::new(), found };
    search.go(0, text);
}

enum Step {
    Literal(Vec<Symbol>),
    Capture(usize),
    Never,
}

struct Search<'a, 'f> {
    parts: &'f [Step],
    tries: usize,
    left: usize,
    captures: Captures<'a>,
    found: &'f mut dyn FnMut(&Captures<'a>),
}

impl<'a> Search<'a, '_> {
    fn go(&mut self, part: usize, text: &'a [Symbol]) {
        self.tries += 1;
        if self.left == 0 || self.tries > MAX_TRIES {
            return;
        }
        match self.parts.get(part) {
            None if text.is_empty() => {
                self.left -= 1;
                (self.found)(&self.captures);
            }
            None | Some(Step::Never) => {}
            Some(Step::Literal(literal)) => {
                if let Some(rest) = text.strip_prefix(literal.as_slice()) {
                    self.go(part + 1, rest);
                }
            }
            Some(Step::Capture(binding)) => {
                if let Some((_, known)) = self.captures.iter().find(|(b, _)| b == binding) {
                    if let Some(rest) = text.strip_prefix(*known) {
                        self.go(part + 1, rest);
                    }
                    return;
                }
                for len in (1..=text.len()).rev() {
                    self.captures.push((*binding, &text[..len]));
                    self.go(part + 1, &text[len..]);
                    self.captures.pop();
                }
            }
        }
    }
}

/// Whether a path, filled in, may be read or written: relative, below the pipeline's folder, a path that every file
/// system takes. The answer says what is wrong with it.
pub fn safe_path(path: &str) -> Result<(), String> {
    if is_plain(path) {
        return Ok(());
    }
    if path.is_empty() {
        return Err("a path is empty".into());
    }
    if path.len() > MAX_PATH {
        return Err(format!("a path is longer than {MAX_PATH} bytes"));
    }
    if path.starts_with('/') {
        return Err("a path starts with `/`; paths are relative to the pipeline's folder".into());
    }
    if let Some(c) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(format!("a path has the character {c:?}"));
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("a path has an empty part (`//`, or a `/` at its end)".into()),
            "." => return Err("a path has a part `.`".into()),
            ".." => return Err("a path has a part `..`; paths stay in the pipeline's folder".into()),
            _ if segment.len() > MAX_SEGMENT => {
                return Err(format!("a part of a path is longer than {MAX_SEGMENT} bytes"));
            }
            _ => {}
        }
    }
    if path.split('/').next() == Some(".layermill") {
        return Err("a path lies in `.layermill`, which is layermill's own".into());
    }
    Ok(())
}

/// A path that is safe at first sight, in one pass: nearly all are, and each is looked at in every build.
fn is_plain(path: &str) -> bool {
    let mut segment = 0;
    for byte in path.bytes() {
        segment = match byte {
            b'/' | b'.' if segment == 0 => return false,
            b'/' => 0,
            b'\\' => return false,
            b' '..=b'~' if segment < MAX_SEGMENT => segment + 1,
            _ => return false,
        };
    }
    segment > 0 && path.len() <= MAX_PATH
}

/// [`safe_path`] for what is known of a pattern before it is filled.
pub fn safe_pattern(pattern: &Pattern) -> Result<(), String> {
    safe_path(&sample(pattern))
}

/// The pattern with a letter for each value: what is wrong with the text around them stays wrong.
pub fn sample(pattern: &Pattern) -> String {
    let most = bindings(pattern).max().map_or(0, |b| b + 1);
    fill(pattern, &vec!["x"; most])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<Binding> {
        list.iter().map(|n| Binding { name: n.to_string(), axis: 0, parent: None }).collect()
    }

    fn pattern(text: &str, bindings: &[&str]) -> Pattern {
        parse(&Text::plain(text), Span { start: 0, len: text.len() }, text, &names(bindings))
    }

    /// The pattern with its names in angle brackets.
    fn shape(text: &str) -> String {
        let show = |p: &Part| match p {
            Part::Text(t) => t.public(),
            Part::Binding(b) => format!("<{b}>"),
            Part::Special(n, _) => format!("<{n}>"),
        };
        pattern(text, &["repo", "tag"]).parts.iter().map(show).collect()
    }

    #[test]
    fn only_names_in_braces_count() {
        for (text, expected) in [
            ("result/{repo}/{tag}.json", "result/<0>/<1>.json"),
            ("{repo}{tag}", "<0><1>"),
            ("{in} {in.list} {out.a-b}", "<in> <in.list> <out.a-b>"),
            ("awk '{print $1}' {in}", "awk '{print $1}' <in>"),
            ("awk '{ print }'", "awk '{ print }'"),
            ("{} { } {1} {a b} {.x} {x.} {a..b} {é} {", "{} { } {1} {a b} {.x} {x.} {a..b} {é} {"),
            ("{{repo}} {repo}", "{repo} <0>"),
            ("{{{repo}}}", "{<0>}"),
            ("{{ a } }} b", "{ a } } b"),
            (r#"jq '{a: {b: 1}}' {in}"#, r#"jq '{a: {b: 1}}' <in>"#),
            (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":{}}}"#),
            ("x}}", "x}}"),
            ("${repo} ${in} $ {repo} {repo}{tag}", "${repo} ${in} $ <0> <0><1>"),
            ("{repo", "{repo"),
            ("", ""),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn special_names_have_their_places() {
        let text = "a {in} {x} {in}";
        let places: Vec<usize> = pattern(text, &[])
            .parts
            .iter()
            .filter_map(|p| if let Part::Special(_, span) = p { Some(span.start) } else { None })
            .collect();
        assert_eq!(places, [2, 7, 11]);
    }

    #[test]
    fn filling() {
        let secret = Piece::Secret { name: "KEY".into(), value: "s3cr3t".into() };
        let text = Text(vec![Piece::Plain("{{x}} {repo}:".into()), secret, Piece::Plain("@{tag} {in}".into())]);
        let pattern = parse(&text, Span::default(), "", &names(&["repo", "tag"]));
        assert_eq!(fill(&pattern, &["a/b", "1"]), "{x} a/b:${secret.KEY}@1 {in}");
        assert_eq!(fill_exposed(&pattern, &["a/b", "1"]), "{x} a/b:s3cr3t@1 {in}");
        assert_eq!(
            template(&pattern, &names(&["repo", "tag"])),
            "{{x}} {repo}:$${secret.KEY}@{tag} {in}".replace("$$", "$")
        );
        assert_eq!(literal(&pattern), None);
    }

    #[test]
    fn paths_are_read_backwards_in_every_way() {
        let found = |text: &str, path: &str| {
            let all = match_path(&pattern(text, &["repo", "tag"]), path);
            all.into_iter()
                .map(|c| c.into_iter().map(|(b, v)| format!("{b}={v}")).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("t/{repo}.json", "t/a/b.json"), ["0=a/b"]);
        assert_eq!(found("t/{repo}/{tag}.json", "t/a/b/c.json"), ["0=a/b 1=c", "0=a 1=b/c"]);
        assert_eq!(found("{repo}-{repo}", "x-y-x-y"), ["0=x-y"]);
        assert_eq!(found("t/fixed", "t/fixed"), [""]);
        assert!(found("t/fixed", "t/fixe").is_empty());
        assert!(found("t/{repo}.json", "t/.json").is_empty());
        assert!(found("{in}", "x").is_empty());
    }

    #[test]
    fn paths_of_one_target_name_outputs_of_another() {
        let unified = |path: &str, output: &str| {
            let found = unify(&pattern(path, &["name", "v"]), &pattern(output, &["repo", "tag"]))?;
            let show =
                |(b, p): &(usize, Pattern)| format!("{}={}", ["repo", "tag"][*b], template(p, &names(&["name", "v"])));
            Some(found.iter().map(show).collect::<Vec<_>>().join(" "))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(unified("r/tags/library/{name}.json", "r/tags/{repo}.json"), some("repo=library/{name}"));
        assert_eq!(unified("r/{name}/{v}.json", "r/{repo}/{tag}.json"), some("repo={name} tag={v}"));
        assert_eq!(unified("r/a/b/c.json", "r/{repo}/{tag}.json"), some("repo=a/b tag=c"));
        assert_eq!(unified("r/x.csv", "r/x.csv"), some(""));
        assert_eq!(unified("r/{name}.csv", "r/x.csv"), None);
        assert_eq!(unified("{name}/x", "{repo}x"), some("repo={name}/"));
        assert_eq!(unified("{name}-{name}", "{repo}-{repo}"), some("repo={name}"));
        assert_eq!(unified("{name}-{v}", "{repo}-{repo}"), None);
    }

    #[test]
    fn reading_backwards_never_takes_long() {
        let many: Vec<String> = (0..30).map(|i| format!("b{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text: String = many.iter().map(|b| format!("{{{b}}}a")).collect();
        assert!(match_path(&pattern(&text, &many), &"a".repeat(4000)).len() <= MAX_CAPTURES);
        assert!(match_path(&pattern(&(text + "b"), &many), &"a".repeat(4000)).is_empty());
    }

    #[test]
    fn only_paths_below_the_folder_are_safe() {
        let long = "x".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            "a\\b",
            "\u{85}",
            ".layermill",
            ".layermill/state",
            &long,
            &"x/".repeat(2048).trim_end_matches('/').repeat(2),
        ] {
            assert!(safe_path(bad).is_err(), "{bad:?}");
        }
        for fine in ["a", "a/b.c", "...", "a/..b/c..", ".hidden", "a b/ü", ".layermills", "a/.layermill", "-x", "~"] {
            assert_eq!(safe_path(fine), Ok(()), "{fine}");
        }
        assert!(safe_pattern(&pattern("{repo}/../x", &["repo"])).is_err());
        assert!(safe_pattern(&pattern("{repo}/x", &["repo"])).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}a.\\-_1é ]{0,40}") {
            let p = pattern(&text, &["a"]);
            fill(&p, &["é"]);
            fill(&p, &[]);
        }

        #[test]
        fn patterns_that_differ_look_different(a in "[{}x]{0,8}", b in "[{}x]{0,8}") {
            let (p, q) = (pattern(&a, &["x"]), pattern(&b, &["x"]));
            let same = template(&p, &names(&["x"])) == template(&q, &names(&["x"]));
            proptest::prop_assert_eq!(p.parts == q.parts, same);
        }

        #[test]
        fn what_was_filled_is_read_back(repo in "[a-c/-]{1,8}", tag in "[a-c.-]{1,8}") {
            let p = pattern("r/{repo}/{tag}.json", &["repo", "tag"]);
            let found = match_path(&p, &fill(&p, &[&repo, &tag]));
            proptest::prop_assert!(found.contains(&vec![(0, repo), (1, tag)]));
        }
    }
}
