//! `${name}`, `${env.NAME:-default}` and `${secret.NAME:-default}`: replaced when the file is read.
//!
//! Vars may be made of other vars, so they are resolved first, each once; then every scalar of the file. Secrets stay
//! apart from the text around them, also where they came through a var, and so does the user part of a URL.

use std::collections::HashMap;

use super::model::{Name, Node, Piece, Text, Value};
use super::names::is_name;
use super::node::locate;
use super::problem::{Problems, Span, suggest};
use super::secrets::{closing, hide_user};
use super::syntax::MAX_BYTES;

/// Looks up a variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The most bytes that variables may put into a file: those of variables of variables can double and double.
pub const MAX_TEXT: usize = MAX_BYTES;

/// Replaces `${…}` all over a file. Before that, `--set` and the profile have their say over the vars.
pub struct Vars<'a> {
    source: &'a str,
    env: Env<'a>,
    /// Not yet resolved, by name; `None` in place of a node is a value from the command line.
    raw: HashMap<String, (Span, Given<'a>)>,
    done: HashMap<String, Option<Text>>,
    /// Names whose values are being made, outermost first.
    open: Vec<(String, Span)>,
    /// The scalars that could not be resolved: they have had their problem.
    broken: Vec<Span>,
    /// Bytes that variables have put into the file so far.
    made: usize,
}

enum Given<'a> {
    File(&'a Node),
    Line(&'a str),
}

impl<'a> Vars<'a> {
    pub fn new(source: &'a str, env: Env<'a>) -> Self {
        let (raw, done) = (HashMap::new(), HashMap::new());
        Self { source, env, raw, done, open: Vec::new(), broken: Vec::new(), made: 0 }
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
                        self.broken.push(node.span);
                    }
                }
            }
            Value::List(items) => items.iter_mut().for_each(|i| self.fill(i, problems)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, n)| self.fill(n, problems)),
        }
    }

    /// The scalars that have had their problem: what is found in them later says nothing new.
    pub fn broken(self) -> Vec<Span> {
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
            // The shapes say so.
            Value::Null | Value::List(_) | Value::Map(_) => None,
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
                out.push_plain(&rest[..at - 1]);
                out.push_plain("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_plain(&rest[..at]);
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
                Some(text) => {
                    let before = self.made;
                    self.made = before.saturating_add(text.len());
                    if self.made > MAX_TEXT {
                        if before <= MAX_TEXT {
                            problems.at(
                                place,
                                format!("the variables make more than {} MiB of text", MAX_TEXT >> 20),
                                "goes too far",
                            );
                        }
                        return None;
                    }
                    text.0.into_iter().for_each(|p| out.push(p));
                }
                None => fine = false,
            }
            rest = &rest[at + 1 + len..];
        }
        out.push_plain(rest);
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

#[cfg(test)]
mod tests {
    use super::super::check::Options;
    use super::super::testing::*;
    use super::*;

    /// A pipeline whose target `t` runs `run`, with these vars.
    fn file(vars: &str, run: &str) -> String {
        format!("version: 1\nvars: {vars}\ntargets:\n  t: {{rule: command, output: o, run: {run}}}\n")
    }

    fn run(vars: &str, run: &str) -> Text {
        good(&file(vars, run)).targets[0].keys.get("run").unwrap().as_text().unwrap().clone()
    }

    fn wrong(vars: &str, run: &str) -> Vec<String> {
        problems(&file(vars, run))
    }

    #[test]
    fn variables_are_replaced() {
        assert_eq!(run("{a: 1.20, b: x-$}", "'${a}/${b}/${a}'").public(), "1.20/x-$/1.20");
        assert_eq!(run("{a: '${b}${c}', b: '<${c}>', c: x}", "'${a}'").public(), "<x>x");
        assert_eq!(run("{a: x}", "'$${a} $a $$ $(cmd) ${a}'").public(), "${a} $a $$ $(cmd) x");
        assert_eq!(run("{a: '$${b}'}", "'${a}'").public(), "${b}");
        assert_eq!(run("{}", "'${env.HOME} ${env.NONE:-a{b}:-c} ${env.NONE:-}'").public(), "/home/me a{b}:-c ");
        assert_eq!(run("{}", "'${env.NONE:-${x}}'").public(), "${x}");
        assert_eq!(run("{a: ''}", "'<${a}>'").public(), "<>");
    }

    #[test]
    fn secrets_stay_apart() {
        let text = run("{a: 'p:${secret.HOME}'}", "'--db ${a} ${secret.NONE:-dflt}'");
        assert_eq!(text.public(), "--db p:${secret.HOME} ${secret.NONE}");
        assert_eq!(text.expose(), "--db p:/home/me dflt");
        assert!(!format!("{text:?}").contains("me"));
        let url = run("{}", "'curl https://me:pass@example.com/x?y=a@b http://example.com/@scope'");
        assert_eq!(url.public(), "curl https://${secret.user}@example.com/x?y=a@b http://example.com/@scope");
        assert_eq!(url.expose(), "curl https://me:pass@example.com/x?y=a@b http://example.com/@scope");
        assert_eq!(run("{u: me}", "'https://${u}:x@h'").public(), "https://${secret.user}@h");
    }

    #[test]
    fn mistakes_are_marked_one_by_one() {
        assert_eq!(
            wrong("{image: x}", "'${imag} ${image} ${imag} ${env.NONE}'"),
            [
                "unknown variable `imag` @ ${imag} ? did you mean `image`?",
                "unknown variable `imag` @ ${imag} ? did you mean `image`?",
                "`NONE` is not set in the environment @ ${env.NONE} ? set it, or give a default: `${env.NONE:-…}`",
            ]
        );
        let long = "|\n    one\n    two ${nope}\n    three";
        let text = format!("version: 1\ntargets:\n  t:\n   rule: command\n   output: o\n   run: {long}\n");
        assert_eq!(
            problems(&text),
            ["unknown variable `nope` @ ${nope} ? write `$${` for the two characters `${` themselves"]
        );
        assert!(wrong("{}", "'${x:-y}'")[0].starts_with("not a variable @ ${x:-y}"));
        assert!(wrong("{}", "'${#x} ok'")[0].starts_with("not a variable @ ${#x}"));
        assert!(wrong("{}", "'a ${x'")[0].starts_with("`${` is never closed @ ${"));
        assert_eq!(
            wrong("{a: '${b}', b: '${c}', c: '${a}'}", "'${a}'"),
            ["variables go round in a circle: a -> b -> c -> a @ ${a}"]
        );
        assert!(wrong("{a: [x]}", "'${a}'")[0].starts_with("expected text, found a list @ [x]"));
        assert!(wrong("{'a b': x}", "y")[0].starts_with("bad name of a variable"));
    }

    #[test]
    fn what_could_not_be_replaced_is_reported_once() {
        let text = "version: 1\ntargets:\n  t: {rule: command, run: x, output: '../${nope}', retries: '${nix}'}\n";
        let all = problems(text);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.iter().all(|p| p.starts_with("unknown variable")));
    }

    #[test]
    fn the_command_line_overrides_the_profile_overrides_the_file() {
        let text = "version: 1\nvars: {a: file, b: file, c: '${a}'}\nprofiles:\n  p: {vars: {a: profile, b: profile}, default: [u]}\ntargets:\n  t: {rule: command, run: '${a} ${b} ${c}', output: o}\n  u: {inputs: [t]}\ndefault: [t]\n";
        let with = |sets: &[(&str, &str)], profile: Option<&str>| {
            let sets = sets.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            let options = Options { sets, profile: profile.map(str::to_owned) };
            let loaded = check_with(text, &options);
            assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
            let pipeline = loaded.pipeline.unwrap();
            (pipeline.targets[0].keys.get("run").unwrap().as_public().unwrap(), pipeline.default)
        };
        assert_eq!(with(&[], None), ("file file file".into(), vec![0]));
        assert_eq!(with(&[], Some("p")), ("profile profile profile".into(), vec![1]));
        assert_eq!(with(&[("a", "${set}")], Some("p")), ("${set} profile ${set}".into(), vec![1]));
        let options = Options { sets: vec![("aa".into(), "x".into())], profile: Some("q".into()) };
        assert_eq!(
            problems_with(text, &options),
            ["unknown variable `aa` in `--set` ? did you mean `a`?", "unknown profile `q` ? did you mean `p`?"]
        );
    }

    #[test]
    fn doubling_variables_do_not_eat_the_memory() {
        let mut vars = String::from("v0: xxxxxxxxxxxxxxxx");
        (1..60).for_each(|i| vars += &format!(", v{i}: '${{v{0}}}${{v{0}}}'", i - 1));
        let all = wrong(&format!("{{{vars}}}"), "'${v59}'");
        assert!(all[0].starts_with("the variables make more than"), "{all:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[$${}:\\-.a-cé@/ ]{0,40}") {
            let yaml = file("{a: x, b: '${a}'}", &serde_json::to_string(&text).unwrap());
            check(&yaml);
        }
    }
}
