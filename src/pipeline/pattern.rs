//! Text with `{names}` in it: parsed and filled.
//!
//! A brace counts only around an identifier, with dots: `awk '{print $1}'` stays what it is. `{{` is a literal brace,
//! and so is the `}}` that closes it; a `}}` that closes nothing of the kind is left alone, for it is what jq and JSON
//! end with.

use super::model::{Binding, Part, Pattern, Piece, Text};
use super::names::is_name;
use super::node::locate;
use super::problem::Span;

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
    (closed && name.split('.').all(is_name)).then_some(name)
}

/// Fills in the values of the bindings. Secrets stand by their names, and so do special names.
pub fn fill(pattern: &Pattern, values: &[&str]) -> String {
    let mut out = String::new();
    fill_into(&mut out, pattern, |b| values.get(b).copied().unwrap_or(""));
    out
}

/// The values of another target's bindings by which its steps are joined to a step of these values: `on` has a pattern of
/// the step's own bindings for each.
pub fn joined(on: &[(usize, Pattern)], values: &[&str]) -> Vec<(usize, String)> {
    on.iter().map(|(theirs, mine)| (*theirs, fill(mine, values))).collect()
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

/// A path in which nothing is to be filled in.
pub fn plain(path: &str, span: Span) -> Pattern {
    Pattern { parts: vec![Part::Text(Text::plain(path))], span }
}

/// A binding of nobody's stands for the rest of a path.
pub const REST: usize = usize::MAX;

/// What lies below a path.
pub fn below(path: &Pattern) -> Pattern {
    let mut below = path.clone();
    below.parts.extend([Part::Text(Text::plain("/")), Part::Binding(REST)]);
    below
}

/// The text, where nothing is to be filled in.
pub fn literal(pattern: &Pattern) -> Option<String> {
    pattern.parts.iter().all(|p| matches!(p, Part::Text(_))).then(|| fill(pattern, &[]))
}

/// The text before the first binding.
pub fn start(pattern: &Pattern) -> String {
    let mut start = String::new();
    for part in &pattern.parts {
        match part {
            Part::Text(text) => start.push_str(&text.public()),
            _ => break,
        }
    }
    start
}

/// The text behind the last binding, read backwards.
pub fn end_backwards(pattern: &Pattern) -> String {
    let texts = pattern.parts.iter().rev().map_while(|part| match part {
        Part::Text(text) => Some(text.public()),
        Part::Binding(_) | Part::Special(..) => None,
    });
    texts.flat_map(|text| text.chars().rev().collect::<Vec<_>>()).collect()
}

/// The bindings that occur.
pub fn bindings(pattern: &Pattern) -> impl Iterator<Item = usize> + '_ {
    pattern.parts.iter().filter_map(|p| match p {
        Part::Binding(b) => Some(*b),
        _ => None,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn names(list: &[&str]) -> Vec<Binding> {
        list.iter().map(|n| Binding { name: n.to_string(), axis: 0, parent: None }).collect()
    }

    pub fn pattern(text: &str, bindings: &[&str]) -> Pattern {
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
    }
}
