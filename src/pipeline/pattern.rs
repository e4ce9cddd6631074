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
            let Some(name) = name_in_braces(rest) else {
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
    fill_into(&mut out, pattern, values);
    out
}

/// [`fill`], onto the end of `out`.
pub fn fill_into(out: &mut String, pattern: &Pattern, values: &[&str]) {
    fill_parts(out, pattern, values, |out, name, _| {
        out.push_str("${secret.");
        out.push_str(name);
        out.push('}');
    });
}

/// [`fill`], with secrets: for use, never for show.
pub fn fill_exposed(pattern: &Pattern, values: &[&str]) -> String {
    let mut out = String::new();
    fill_parts(&mut out, pattern, values, |out, _, value| out.push_str(value));
    out
}

fn fill_parts(out: &mut String, pattern: &Pattern, values: &[&str], secret: impl Fn(&mut String, &str, &str)) {
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
            Part::Binding(b) => out.push_str(values.get(*b).copied().unwrap_or("")),
            Part::Special(name, _) => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
    }
}

/// The pattern as it is written, literal braces doubled: what may be hashed and shown.
pub fn template(pattern: &Pattern, bindings: &[Binding]) -> String {
    let mut out = String::new();
    for part in &pattern.parts {
        match part {
            Part::Text(text) => out.push_str(&text.public().replace('{', "{{").replace('}', "}}")),
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

/// [`safe_path`] for what is known of a pattern before it is filled.
pub fn safe_pattern(pattern: &Pattern) -> Result<(), String> {
    // A letter stands for each value: what is wrong with the text around it stays wrong.
    let most = bindings(pattern).max().map_or(0, |b| b + 1);
    safe_path(&fill(pattern, &vec!["x"; most]))
}
