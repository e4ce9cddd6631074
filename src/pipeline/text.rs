//! `${name}`, `${env.NAME:-default}` and `${secret.NAME:-default}`: replaced when the file is read.
//!
//! Vars may be made of other vars, so they are resolved first, each once; then every scalar of the file. Secrets stay
//! apart from the text around them, also where they came through a var, and so does the user part of a URL.

use std::collections::{HashMap, HashSet};

use super::load;
use super::model::{Name, Node, Piece, Text, Value};
use super::node::locate;
use super::problem::{Problems, Span, suggest};

/// Looks up a variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The name under which the user part of a URL is shown.
const USER_PART: &str = "user";

/// Replaces `${…}` all over a file. Before that, `--set` and the profile have their say over the vars.
pub struct Vars<'a> {
    source: &'a str,
    env: Env<'a>,
    /// Not yet resolved, by name; `None` in place of a node is a value from the command line.
    raw: HashMap<String, (Span, Given<'a>)>,
    done: HashMap<String, Option<Text>>,
    /// Names whose values are being made, outermost first.
    open: Vec<(String, Span)>,
    /// Where the scalars start that could not be resolved: they have had their problem.
    broken: HashSet<usize>,
}

enum Given<'a> {
    File(&'a Node),
    Line(&'a str),
}

impl<'a> Vars<'a> {
    pub fn new(source: &'a str, env: Env<'a>) -> Self {
        let (raw, done) = (HashMap::new(), HashMap::new());
        Self { source, env, raw, done, open: Vec::new(), broken: HashSet::new() }
    }

    /// Takes the entries of a `vars:` mapping; later ones override earlier ones.
    pub fn define(&mut self, entries: &'a [(Name, Node)], problems: &mut Problems) {
        for (name, node) in entries {
            if !is_name(&name.text) {
                problems
                    .at(name.span, "bad name of a variable", "not a name")
                    .help("a name has letters, digits, `_` and `-`, and starts with a letter or `_`");
            }
            self.raw.insert(name.text.clone(), (name.span, Given::File(node)));
        }
    }

    /// Takes a `--set NAME=VALUE`, whose value stands for itself.
    pub fn set(&mut self, name: &str, value: &'a str, problems: &mut Problems) {
        match self.raw.get_mut(name) {
            Some((_, given)) => *given = Given::Line(value),
            None => {
                let known = suggest(name, self.raw.keys().map(String::as_str));
                problems.bare(format!("unknown variable `{name}` in `--set`")).maybe_help(known.or_else(|| {
                    let mut names: Vec<_> = self.raw.keys().map(|n| format!("`{n}`")).collect();
                    names.sort();
                    Some(match names.is_empty() {
                        true => "the pipeline has no `vars:`".into(),
                        false => format!("the pipeline has {}", names.join(", ")),
                    })
                }));
            }
        }
    }

    /// Resolves every var, so that a mistake in one is reported though nothing uses it.
    pub fn resolve_all(&mut self, problems: &mut Problems) {
        let mut names: Vec<(usize, String)> = self.raw.iter().map(|(n, (s, _))| (s.start, n.clone())).collect();
        names.sort();
        for (_, name) in names {
            self.var(&name, problems);
        }
    }

    /// Replaces `${…}` in every scalar below `node`.
    pub fn fill(&mut self, node: &mut Node, problems: &mut Problems) {
        match &mut node.value {
            Value::Null => {}
            Value::Scalar { text, .. } => {
                // Nothing was replaced in it so far: it is one plain piece.
                let raw = text.public();
                match self.replace(&raw, node.span, problems) {
                    Some(new) => *text = new,
                    None => {
                        self.broken.insert(node.span.start);
                    }
                }
            }
            Value::List(items) => items.iter_mut().for_each(|i| self.fill(i, problems)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, n)| self.fill(n, problems)),
        }
    }

    /// Where the scalars start that have had their problem: what is found in them later says nothing new.
    pub fn broken(self) -> HashSet<usize> {
        self.broken
    }

    /// The value of a var; `None` where that has had its problem.
    fn var(&mut self, name: &str, problems: &mut Problems) -> Option<Text> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let (span, given) = self.raw.get(name).map(|(s, g)| (*s, g))?;
        let node = match given {
            Given::Line(value) => {
                let text = hide_user(Text::plain(*value));
                self.done.insert(name.to_owned(), Some(text.clone()));
                return Some(text);
            }
            Given::File(node) => *node,
        };
        let value = match &node.value {
            Value::Scalar { text, .. } => {
                self.open.push((name.to_owned(), span));
                let value = self.replace(&text.public(), node.span, problems);
                self.open.pop();
                value
            }
            Value::Null => Some(Text::plain("")),
            // The shapes say so.
            Value::List(_) | Value::Map(_) => None,
        };
        self.done.insert(name.to_owned(), value.clone());
        value
    }

    /// Replaces the `${…}` of one scalar. `None` where a problem was reported.
    fn replace(&mut self, raw: &str, span: Span, problems: &mut Problems) -> Option<Text> {
        if !raw.contains("${") {
            return Some(hide_user(Text::plain(raw)));
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut out = Text::default();
        let mut fine = true;
        let mut rest = raw;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                push(&mut out, &rest[..at - 1]);
                push(&mut out, "${");
                rest = &rest[at + 2..];
                continue;
            }
            push(&mut out, &rest[..at]);
            let Some(len) = closing(&rest[at + 1..]) else {
                problems
                    .at(locate(self.source, span, "${", 0), "`${` is never closed", "no `}` follows")
                    .help("write `$${` for the two characters themselves");
                return None;
            };
            let whole = &rest[at..at + 1 + len];
            let nth = seen.entry(whole).or_default();
            let place = locate(self.source, span, whole, *nth);
            *nth += 1;
            match self.reference(&whole[2..whole.len() - 1], place, problems) {
                Some(text) => text.0.into_iter().for_each(|p| push_piece(&mut out, p)),
                None => fine = false,
            }
            rest = &rest[at + 1 + len..];
        }
        push(&mut out, rest);
        fine.then(|| hide_user(out))
    }

    /// What stands for the inside of one `${…}`.
    fn reference(&mut self, inside: &str, place: Span, problems: &mut Problems) -> Option<Text> {
        let (head, default) = match inside.split_once(":-") {
            Some((head, default)) => (head, Some(default)),
            None => (inside, None),
        };
        for (prefix, secret) in [("env.", false), ("secret.", true)] {
            let Some(name) = head.strip_prefix(prefix) else { continue };
            if !is_name(name) {
                break;
            }
            let Some(value) = (self.env)(name).or_else(|| default.map(str::to_owned)) else {
                problems
                    .at(place, format!("`{name}` is not set in the environment"), "has no value")
                    .help(format!("set it, or give a default: `${{{head}:-…}}`"));
                return None;
            };
            return Some(match secret {
                true => Text(vec![Piece::Secret { name: name.into(), value }]),
                false => Text::plain(value),
            });
        }
        if !is_name(head) || default.is_some() {
            problems
                .at(place, "not a variable", "expected `${name}`, `${env.NAME:-default}` or `${secret.NAME:-default}`")
                .help("write `$${` for the two characters `${` themselves");
            return None;
        }
        if let Some(at) = self.open.iter().position(|(n, _)| n == head) {
            let names: Vec<&str> = self.open[at..].iter().map(|(n, _)| n.as_str()).chain([head]).collect();
            problems.at(
                place,
                format!("variables go round in a circle: {}", names.join(" -> ")),
                "back to the start here",
            );
            return None;
        }
        if !self.raw.contains_key(head) {
            let help = match head {
                "env" | "secret" => Some(format!("write `${{{head}.NAME}}`")),
                _ => suggest(head, self.raw.keys().map(String::as_str)),
            };
            problems
                .at(place, format!("unknown variable `{head}`"), "not under `vars:`")
                .maybe_help(help.or_else(|| Some("write `$${` for the two characters `${` themselves".into())));
            return None;
        }
        self.var(head, problems)
    }
}

/// Whether this can name a variable.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The length of the `{…}` at the start of `text`, braces inside of it counted.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(i + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn push(out: &mut Text, text: &str) {
    if !text.is_empty() {
        push_piece(out, Piece::Plain(text.to_owned()));
    }
}

fn push_piece(out: &mut Text, piece: Piece) {
    match (out.0.last_mut(), piece) {
        (Some(Piece::Plain(last)), Piece::Plain(more)) => last.push_str(&more),
        (_, piece) => out.0.push(piece),
    }
}

/// Makes a secret of the user part of each URL: `https://user:password@host` is shown without it.
fn hide_user(text: Text) -> Text {
    if !text.0.iter().any(|p| matches!(p, Piece::Plain(t) if t.contains("://"))) {
        return text;
    }
    let mut out = Text::default();
    for piece in text.0 {
        let Piece::Plain(plain) = piece else {
            push_piece(&mut out, piece);
            continue;
        };
        let mut rest = plain.as_str();
        while let Some((start, len)) = user_part(rest) {
            push(&mut out, &rest[..start]);
            push_piece(&mut out, Piece::Secret { name: USER_PART.into(), value: rest[start..start + len].to_owned() });
            rest = &rest[start + len..];
        }
        push(&mut out, rest);
    }
    if out.0.is_empty() { Text::plain("") } else { out }
}

/// Where the first user part of a URL in `text` is.
fn user_part(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let authority = text[start..].split(['/', '?', '#', ' ', '\t', '\n', '"', '\'', '`', '<', '>', '|']).next()?;
        match authority.rfind('@') {
            Some(len) if len > 0 => return Some((start, len)),
            _ => from = start,
        }
    }
    None
}

/// The file's text with what must not be shown struck out, byte for byte, so that marks stay where they were: user
/// parts of URLs and the defaults of secrets.
pub fn strike_out(source: &str) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    while let Some((start, len)) = user_part(&source[from..]) {
        ranges.push((from + start, len));
        from += start + len;
    }
    for (at, _) in source.match_indices("${secret.") {
        let Some(len) = closing(&source[at + 1..]) else { continue };
        let inside = &source[at..at + len];
        if let Some(default) = inside.find(":-") {
            ranges.push((at + default + 2, len - default - 2));
        }
    }
    let mut bytes = source.as_bytes().to_vec();
    for (start, len) in ranges {
        bytes[start..start + len].iter_mut().filter(|b| !b"\n\r".contains(b)).for_each(|b| *b = b'*');
    }
    // Whole characters were replaced: this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The most bytes of the tree that replacing may produce, beyond the file's own limit: vars of vars can double.
pub const MAX_TEXT: usize = load::MAX_BYTES;
