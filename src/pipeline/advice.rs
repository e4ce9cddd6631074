//! What is most likely wrong where the YAML parser stops: it tells what it would have read on with, which is seldom the
//! remedy, and where it noticed, which is often behind the cause.

use super::problem::Span;

/// What to say of a text that is not YAML.
#[derive(Debug)]
pub struct Advice {
    /// What is marked, where it is not the place at which the parser stopped.
    pub at: Option<Span>,
    /// What is said there, where it is not what the parser says.
    pub said: Option<String>,
    pub help: &'static str,
}

const QUOTE: &str =
    "put text that has `{`, `}`, `[`, `]`, `: ` or ` #` in it, or starts with `*`, `&` or `@`, in quotes";
const QUOTE_ALL: &str = "put all of a value that has `{` or `}` in it in quotes, as in `output: \"{repo}.json\"`";
const QUOTE_INSIDE: &str = "within `{…}` and `[…]`, put text that has `{`, `}`, `[`, `]` or `,` in it in quotes, as in `run: \"cp {in} {out}\"`";
const CLOSE: &str = "close each `[` with `]` and each `{` with `}`, put commas between what stands in them, and put text that \
                     has one of these in it in quotes";

/// What is most likely wrong where the parser stopped `at` a place, with these `words`.
pub fn advice(text: &str, at: Span, words: &str) -> Advice {
    let help = |help| Advice { at: None, said: None, help };
    let line = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let before = text[line..at.start].trim_end_matches([' ', '\t']);
    if words.contains("tab ") || words.contains("tabs ") || words.ends_with(" tab") {
        let tab = tab(text, line);
        return Advice {
            said: tab.map(|_| "a tab".to_owned()),
            at: tab,
            help: "YAML is indented with blanks: put some in place of the tab",
        };
    }
    if words.contains("trailing content after") {
        return help(
            "put all of the value in quotes; a quote within quotes is written `''` in '…', and `\\\"` in \"…\"",
        );
    }
    if words.contains("quote") {
        return help("a quote within quotes is written `''` in '…', and `\\\"` in \"…\"");
    }
    if words.contains("bracket") {
        return help(CLOSE);
    }
    if words.contains("did not find expected key") {
        return match before.chars().next_back() {
            None => {
                help("begin all keys of a mapping in one column, and those of a mapping in it further to the right")
            }
            Some(closing @ ('}' | ']')) => {
                let what = if closing == '}' { "mapping" } else { "list" };
                Advice {
                    said: Some(format!("text goes on here, behind a `{closing}` that ends a {what}")),
                    ..help(QUOTE_ALL)
                }
            }
            _ => help(QUOTE),
        };
    }
    // What stands on a line below is read as more of what is in brackets: these are what is to be closed.
    let is_below = words.contains("illegal placement of ':'")
        || words.contains("while parsing a flow") && (before.is_empty() || text[at.start..].starts_with(':'));
    if let Some(open) = unclosed(&text[..at.start]).filter(|&open| is_below && open < line) {
        let (open_bracket, bracket) = if text[open..].starts_with('[') { ('[', ']') } else { ('{', '}') };
        return Advice {
            at: Some(Span { start: open, len: 1 }),
            said: Some(format!("what this `{open_bracket}` begins goes on below without a `,` or a `{bracket}`")),
            help: CLOSE,
        };
    }
    if words.contains("while parsing a flow") {
        return help(QUOTE_INSIDE);
    }
    help(QUOTE)
}

/// The first tab that indents the line that begins `from` there, or a line below it.
fn tab(text: &str, from: usize) -> Option<Span> {
    let mut start = from;
    text[from..].split_inclusive('\n').find_map(|line| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line[..indent].find('\t').map(|at| Span { start: start + at, len: 1 });
        start += line.len();
        tab
    })
}

/// The last bracket of a text that is not closed in it.
fn unclosed(text: &str) -> Option<usize> {
    let mut closed = 0usize;
    text.bytes().enumerate().rev().find_map(|(at, byte)| match byte {
        b']' | b'}' => {
            closed += 1;
            None
        }
        b'[' | b'{' if closed == 0 => Some(at),
        b'[' | b'{' => {
            closed -= 1;
            None
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::super::problem::Problems;

    #[test]
    fn what_is_said_of_bad_yaml_leads_to_the_remedy() {
        for (text, marked, said, help) in [
            ("output: {x}/y", "/", "behind a `}` that ends a mapping", "as in `output: \"{repo}.json\"`"),
            ("output: {x}{y}", "{", "behind a `}` that ends a mapping", "in quotes, as in"),
            ("run: [a] b", "b", "behind a `]` that ends a list", "put all of a value"),
            ("t: {run: echo }, output: r}", ",", "behind a `}` that ends a mapping", "put all of a value"),
            ("t: {run: cp a {out}, output: r}", "{", "expected ',' or '}'", "within `{…}` and `[…]`, put text"),
            ("t: [{x}/y]", "/", "expected ',' or ']'", "within `{…}` and `[…]`, put text"),
            ("run: [a, b\noutput: r", "[", "what this `[` begins goes on below", "close each `[` with `]`"),
            ("run: {a: b, c: [d]\noutput: r", "{", "what this `{` begins goes on below", "close each `[` with `]`"),
            ("t: {a: b\n  c: d}", "{", "without a `,` or a `}`", "put commas between"),
            ("run: [a, b", "[", "unclosed bracket", "close each `[` with `]`"),
            ("run: [a, b}", "[", "mismatched bracket", "close each `[` with `]`"),
            ("run: a]\nb: [c]]", "]", "misplaced bracket", "close each `[` with `]`"),
            ("t:\n  run: a\n\toutput: r", "\t", "a tab", "indented with blanks"),
            ("t:\n\trun: a", "\t", "a tab", "indented with blanks"),
            ("run: |\n\techo", "\t", "a tab", "indented with blanks"),
            ("t:\n    run: a\n   output: r", "o", "expected key", "in one column"),
            ("run: \"a\" b", "b", "trailing content", "put all of the value in quotes"),
            ("run: a: b", ":", "not allowed", "put text that has"),
            ("run: *.txt", "*", "no anchor", "starts with `*` in quotes"),
        ] {
            let mut problems = Problems::default();
            parse(text, &mut problems);
            let problem = problems.0.first().unwrap_or_else(|| panic!("no problem: {text}"));
            let span = problem.span.expect("a place");
            assert_eq!(&text[span.start..span.start + span.len], marked, "{text}: {problem:?}");
            assert!(problem.label.contains(said), "{text}: {problem:?}");
            assert!(problem.help.as_ref().is_some_and(|h| h.contains(help)), "{text}: {problem:?}");
        }
    }
}
