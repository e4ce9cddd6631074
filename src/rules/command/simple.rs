//! Texts that need no shell: a program, plain words and placeholders, an input as standard input, an output as standard
//! output. A shell costs more than most programs that it starts.

use std::sync::Arc;

use crate::pipeline::model::{Part, Pattern, Piece, Text};

/// What stands for a placeholder of the rule's own, such as `{in}`: a word a file.
pub(super) type Fill<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// What is started without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Direct {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The input that it reads as its standard input.
    pub stdin: Option<String>,
    /// The output that its standard output becomes.
    pub stdout: Option<String>,
}

/// What a shell would start for a text; `None` where it holds anything that could mean more to a shell.
pub(super) fn direct(text: &Pattern, values: &[Arc<str>], fill: Fill<'_>) -> Option<Direct> {
    if !starts_with_a_program(text) {
        return None;
    }
    let mut reader = Reader::default();
    for part in &text.parts {
        match part {
            Part::Binding(b) => reader.word(&values[*b])?,
            Part::Special(name, _) if reader.redirects.is_some() => reader.redirect(name, &fill(name))?,
            Part::Special(name, _) => {
                for (position, word) in fill(name).iter().enumerate() {
                    reader.inside &= position == 0;
                    reader.word(word)?;
                }
            }
            Part::Text(text) => {
                for run in plain(text)?.split_inclusive([' ', '\t']) {
                    let word = run.trim_end_matches([' ', '\t']);
                    reader.written(word)?;
                    if word.len() < run.len() {
                        reader.blank();
                    }
                }
            }
        }
    }
    reader.redirects.is_none().then_some(reader.direct)
}

/// What was read of a text so far.
#[derive(Default)]
struct Reader {
    direct: Direct,
    /// What comes next goes on with the last word.
    inside: bool,
    /// A `<` or `>` that waits for its file.
    redirects: Option<Stream>,
    /// A file of a redirection has just ended, and nothing may go on with its name.
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    In,
    Out,
}

impl Reader {
    /// What is written in the text between two blanks or placeholders.
    fn written(&mut self, word: &str) -> Option<()> {
        match word {
            "" => Some(()),
            "<" | ">" if !self.inside && !self.closed && self.redirects.is_none() => {
                self.redirects = Some(if word == "<" { Stream::In } else { Stream::Out });
                Some(())
            }
            _ if word.chars().all(is_plain) => self.word(word),
            _ => None,
        }
    }

    fn word(&mut self, piece: &str) -> Option<()> {
        if self.closed || self.redirects.is_some() {
            return None;
        }
        match self.direct.argv.last_mut().filter(|_| self.inside) {
            Some(word) => word.push_str(piece),
            None => self.direct.argv.push(piece.to_owned()),
        }
        self.inside = true;
        Some(())
    }

    fn blank(&mut self) {
        self.inside = false;
        self.closed = false;
    }

    /// Only an input is read and only an output is written this way: any other file may be one that is not to be opened
    /// without need, such as a FIFO.
    fn redirect(&mut self, name: &str, files: &[String]) -> Option<()> {
        let stream = self.redirects.take()?;
        let (slot, kind) = match stream {
            Stream::In => (&mut self.direct.stdin, "in"),
            Stream::Out => (&mut self.direct.stdout, "out"),
        };
        let [file] = files else { return None };
        if slot.is_some() || name.split('.').next() != Some(kind) {
            return None;
        }
        *slot = Some(file.clone());
        self.closed = true;
        Some(())
    }
}

/// The text, where no secret is in it: what a secret holds, the shell sees as if it were written there.
fn plain(text: &Text) -> Option<&str> {
    match text.0.as_slice() {
        [] => Some(""),
        [Piece::Plain(text)] => Some(text),
        _ => None,
    }
}

/// Whether the first word is a program for every shell: whole, no assignment, and no name that a shell has for itself.
fn starts_with_a_program(text: &Pattern) -> bool {
    let Some(Part::Text(first)) = text.parts.first() else { return false };
    let Some(start) = plain(first).map(|t| t.trim_start_matches([' ', '\t'])) else { return false };
    let word = start.split([' ', '\t']).next().unwrap_or_default();
    let whole = word.len() < start.len() || text.parts.len() == 1;
    whole && !word.is_empty() && word.chars().all(|c| is_plain(c) && c != '=') && !OF_THE_SHELL.contains(&word)
}

/// Reserved words and builtins of sh, dash, bash, ksh and zsh. Those that are programs as well may differ from them.
const OF_THE_SHELL: &[&str] = &[
    ".",
    ":",
    "alias",
    "autoload",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "end",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "foreach",
    "function",
    "functions",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "integer",
    "jobs",
    "kill",
    "let",
    "limit",
    "local",
    "login",
    "logout",
    "mapfile",
    "newgrp",
    "nocorrect",
    "noglob",
    "popd",
    "print",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "rehash",
    "repeat",
    "return",
    "select",
    "set",
    "setopt",
    "shift",
    "shopt",
    "sleep",
    "source",
    "stop",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unfunction",
    "unhash",
    "unlimit",
    "unset",
    "unsetopt",
    "until",
    "wait",
    "whence",
    "where",
    "which",
    "while",
    "zmodload",
];

/// What the shell makes of a text, by its own account.
/// A character that means itself to every shell, wherever in a word it stands.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c)
}

#[cfg(test)]
pub(super) fn as_the_shell_says(text: &str) -> Vec<String> {
    let script = format!("set -- {text}\nprintf '%s\\0' \"$@\"");
    let out = std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh runs");
    assert!(out.status.success(), "{text}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::line::shell_text;
    use super::*;
    use crate::pipeline::model::Binding;
    use crate::pipeline::pattern;
    use crate::pipeline::problem::Span;

    fn parsed(text: &str) -> Pattern {
        let binding = Binding { name: "b".to_owned(), axis: 0, parent: None };
        pattern::parse(&Text::plain(text), Span::default(), text, &[binding])
    }

    #[test]
    fn only_plain_words_do_without_the_shell() {
        let words = |text: &str| {
            let made = direct(&parsed(text), &["v w".into()], &|_| vec!["x".into(), "y z".into()])?;
            assert_eq!((made.stdin, made.stdout), (None, None));
            Some(made.argv)
        };
        let some = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("cp {in} out/{b}.txt"), some(&["cp", "x", "y z", "out/v w.txt"]));
        assert_eq!(words("  cp -t=a{in}b\t{b}{b} "), some(&["cp", "-t=ax", "y zb", "v wv w"]));
        assert_eq!(words("./run"), some(&["./run"]));
        for text in [
            "",
            " ",
            "{b} x",
            "c{b} x",
            "A=1 cp x",
            "cp x > y",
            "cp 'x'",
            "cp $x",
            "cp x;",
            "cp ~/x",
            "cp *",
            "cp #",
            "cp x\ncp y",
            "cp \\x",
            "cp {{a,b}}",
            "! cp",
            "echo x",
            "cd x",
            "if x",
            "cp ü",
            "(cp)",
            "[ x ]",
            "cp x&",
        ] {
            assert_eq!(words(text), None, "{text}");
        }
    }

    #[test]
    fn one_input_and_one_output_may_be_its_streams() {
        let made = |text: &str| {
            let fill = |name: &str| match name {
                "in" => vec!["a b".to_owned()],
                "out" => vec!["o".to_owned()],
                _ => vec!["x".to_owned(), "y".to_owned()],
            };
            direct(&parsed(text), &["v".into()], &fill).map(|d| (d.argv.join("|"), d.stdin, d.stdout))
        };
        let some = |argv: &str, stdin: Option<&str>, stdout: Option<&str>| {
            Some((argv.to_owned(), stdin.map(str::to_owned), stdout.map(str::to_owned)))
        };
        assert_eq!(made("tr a-z A-Z < {in} > {out}"), some("tr|a-z|A-Z", Some("a b"), Some("o")));
        assert_eq!(made("sort >{out} -u <{in} {b}"), some("sort|-u|v", Some("a b"), Some("o")));
        assert_eq!(made("sort -u > {out}\t"), some("sort|-u", None, Some("o")));
        for text in [
            "sort > {in}",
            "sort < {out}",
            "sort < {in.two}",
            "sort < {b}",
            "sort < in.txt",
            "sort > {out}{b}",
            "sort > {out}x",
            "sort > {out}>",
            "sort > x{out}",
            "sort >> {out}",
            "sort 2> {out}",
            "sort 2>{out}",
            "sort{b}>{out}",
            "sort {b}> {out}",
            "sort > {out} > {out}",
            "sort > > {out}",
            "sort <> {out}",
            "sort >& {out}",
            "sort >",
            "> {out} sort",
            "< {in} sort",
        ] {
            assert_eq!(made(text), None, "{text}");
        }
    }

    #[test]
    fn the_names_of_the_shell_are_each_listed_once() {
        assert_eq!(OF_THE_SHELL.iter().collect::<HashSet<_>>().len(), OF_THE_SHELL.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn without_the_shell_the_words_are_those_that_the_shell_makes(
            pieces in prop::collection::vec(prop_oneof![
                6 => "[a-z./:@%+=,_-]{1,3}", 4 => "[ \t]{1,2}", 2 => Just("{in}".to_owned()), 2 => Just("{b}".to_owned()),
                1 => "[~#*?!$&;|<>()'\"\\\\{}^]",
            ], 0..10),
            value in "[a-z '\"$*~]{0,4}",
            files in prop::collection::vec("[a-z '$~#]{1,4}", 0..3),
        ) {
            let text = format!("cp {}", pieces.concat());
            let (pattern, values) = (parsed(&text), [Arc::from(value.as_str())]);
            let fill = |_: &str| files.clone();
            if let Some(Direct { argv, stdin: None, stdout: None }) = direct(&pattern, &values, &fill) {
                prop_assert_eq!(argv, as_the_shell_says(&shell_text(&pattern, &values, &fill)));
            }
        }
    }
}
