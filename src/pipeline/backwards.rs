//! Patterns read backwards: which values give a path, and which outputs of one target the paths of another name.

use super::model::{Part, Pattern, Text};
use super::problem::Span;

/// How much work is put into reading one path backwards: more is never needed for paths that mean something.
const MAX_TRIES: usize = 200_000;
const MAX_CAPTURES: usize = 1_000;

/// Every way in which `pattern`, filled, gives `path`: the binding and its value, for each. A value is not empty and
/// may hold a `/`. The first is the one in which earlier bindings are longest.
pub fn match_path(pattern: &Pattern, path: &str) -> Vec<Vec<(usize, String)>> {
    match_with_empty(pattern, path, &|_| false)
}

/// The same where these bindings may be empty.
pub fn match_with_empty(
    pattern: &Pattern,
    path: &str,
    may_be_empty: &dyn Fn(usize) -> bool,
) -> Vec<Vec<(usize, String)>> {
    let text: Vec<Symbol> = path.chars().map(Symbol::Char).collect();
    let mut found = Vec::new();
    solve(pattern, &text, MAX_CAPTURES, may_be_empty, &mut |captures| {
        found.push(captures.iter().map(|(b, value)| (*b, value.iter().filter_map(Symbol::char).collect())).collect());
        true
    });
    found
}

/// How a path with bindings of ours names what an output with bindings of theirs makes: their binding, and what it
/// must be, over ours. `result/tags/library/{name}.json` joins `result/tags/{repo}.json` where `repo` is
/// `library/{name}`. `None` where it does not fit.
pub fn unify(path: &Pattern, output: &Pattern) -> Option<Vec<(usize, Pattern)>> {
    let mut first = None;
    each_unified(path, output, &mut |on| {
        first = Some(on);
        false
    });
    first
}

/// Shows every way in which it does, that of [`unify`] first, until `see` has seen enough.
pub fn each_unified(path: &Pattern, output: &Pattern, see: &mut dyn FnMut(Vec<(usize, Pattern)>) -> bool) {
    let mut text = Vec::new();
    for part in &path.parts {
        match part {
            Part::Text(t) => text.extend(t.shown().chars().map(Symbol::Char)),
            Part::Binding(b) => text.push(Symbol::Binding(*b)),
            Part::Special(..) => return,
        }
    }
    solve(output, &text, MAX_CAPTURES, &|_| false, &mut |captures| {
        see(captures.iter().map(|(b, value)| (*b, from_symbols(value, path.span))).collect())
    });
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

/// Finds up to `most` ways in which `pattern` covers all of `text`, calling `found` with the captures of each, which says
/// whether more are wanted.
fn solve<'a>(
    pattern: &Pattern,
    text: &'a [Symbol],
    most: usize,
    may_be_empty: &dyn Fn(usize) -> bool,
    found: &mut dyn FnMut(&Captures<'a>) -> bool,
) {
    // Most patterns that are tried do not fit, and nearly all of these are told apart by a text of theirs.
    if pattern.parts.iter().any(|part| matches!(part, Part::Text(t) if !stands_in(&t.shown(), text))) {
        return;
    }
    let parts: Vec<Step> = pattern
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(t) => Step::Literal(t.shown().chars().map(Symbol::Char).collect()),
            Part::Binding(b) => Step::Capture { binding: *b, least: usize::from(!may_be_empty(*b)) },
            Part::Special(..) => Step::Never,
        })
        .collect();
    let mut search = Search { parts: &parts, tries: 0, left: most, captures: Vec::new(), found };
    search.go(0, text);
}

fn stands_in(literal: &str, text: &[Symbol]) -> bool {
    let begins = |text: &[Symbol]| {
        let mut symbols = text.iter();
        literal.chars().all(|c| symbols.next() == Some(&Symbol::Char(c)))
    };
    (0..=text.len()).any(|at| begins(&text[at..]))
}

enum Step {
    Literal(Vec<Symbol>),
    /// At least so many symbols.
    Capture {
        binding: usize,
        least: usize,
    },
    Never,
}

struct Search<'a, 'f> {
    parts: &'f [Step],
    tries: usize,
    left: usize,
    captures: Captures<'a>,
    found: &'f mut dyn FnMut(&Captures<'a>) -> bool,
}

impl<'a> Search<'a, '_> {
    fn go(&mut self, part: usize, text: &'a [Symbol]) {
        self.tries += 1;
        if self.left == 0 || self.tries > MAX_TRIES {
            return;
        }
        match self.parts.get(part) {
            None if text.is_empty() => {
                self.left = if (self.found)(&self.captures) { self.left - 1 } else { 0 };
            }
            None | Some(Step::Never) => {}
            Some(Step::Literal(literal)) => {
                if let Some(rest) = text.strip_prefix(literal.as_slice()) {
                    self.go(part + 1, rest);
                }
            }
            Some(Step::Capture { binding, least }) => {
                if let Some((_, known)) = self.captures.iter().find(|(b, _)| b == binding) {
                    if let Some(rest) = text.strip_prefix(*known) {
                        self.go(part + 1, rest);
                    }
                    return;
                }
                for len in (*least..=text.len()).rev() {
                    self.captures.push((*binding, &text[..len]));
                    self.go(part + 1, &text[len..]);
                    self.captures.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::pattern::tests::{names, pattern};
    use crate::pipeline::pattern::{fill, template};

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
    fn an_empty_value_is_read_back_where_there_may_be_one() {
        let pattern = pattern("d/{a}{b}.t", &["a", "b"]);
        let found = |path: &str| match_with_empty(&pattern, path, &|binding| binding == 1);
        let values = |a: &str, b: &str| vec![(0, a.to_owned()), (1, b.to_owned())];
        assert_eq!(found("d/x.t"), [values("x", "")]);
        assert_eq!(found("d/xy.t"), [values("xy", ""), values("x", "y")]);
        assert!(found("d/.t").is_empty());
        assert!(match_path(&pattern, "d/x.t").is_empty());
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

    proptest::proptest! {
        #[test]
        fn what_was_filled_is_read_back(repo in "[a-c/-]{1,8}", tag in "[a-c.-]{1,8}") {
            let p = pattern("r/{repo}/{tag}.json", &["repo", "tag"]);
            let found = match_path(&p, &fill(&p, &[&repo, &tag]));
            proptest::prop_assert!(found.contains(&vec![(0, repo), (1, tag)]));
        }
    }
}
