//! What is run: the pipeline's text with its placeholders filled in, as words or as a text for the shell.

use std::sync::Arc;

use crate::pipeline::model::{Part, Pattern, Piece, Text};

/// A text for the shell, or words without one.
pub(super) enum Line {
    Shell(Pattern),
    Words(Vec<Pattern>),
}

/// What stands for a placeholder of the rule's own, such as `{in}`: a word a file.
pub(super) type Fill<'a> = &'a dyn Fn(&str) -> Vec<String>;

impl Line {
    /// All of its text, in order.
    pub fn patterns(&self) -> &[Pattern] {
        match self {
            Self::Shell(text) => std::slice::from_ref(text),
            Self::Words(words) => words,
        }
    }

    /// Its pieces, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.patterns().iter().flat_map(|p| &p.parts)
    }

    /// Whether this placeholder stands in it.
    pub fn mentions(&self, special: &str) -> bool {
        self.parts().any(|p| matches!(p, Part::Special(name, _) if name == special))
    }

    /// The program and its arguments, where no shell is needed to tell them apart.
    pub fn argv(&self, values: &[Arc<str>], fill: Fill<'_>) -> Option<Vec<String>> {
        match self {
            Self::Words(words) => Some(words.iter().flat_map(|w| arguments(w, values, fill)).collect()),
            Self::Shell(text) => simple_words(text, values, fill),
        }
    }

    /// The program and its arguments with the shell, for a text.
    pub fn shell_argv(&self, values: &[Arc<str>], fill: Fill<'_>) -> Option<Vec<String>> {
        match self {
            Self::Words(_) => None,
            Self::Shell(text) => Some(vec!["sh".to_owned(), "-c".to_owned(), shell_text(text, values, fill)]),
        }
    }
}

/// The text for the shell: what is filled in is quoted, a word a file.
fn shell_text(text: &Pattern, values: &[Arc<str>], fill: Fill<'_>) -> String {
    let filled = text.parts.iter().map(|part| match part {
        Part::Text(text) => text.expose(),
        Part::Binding(b) => quoted(&values[*b]),
        Part::Special(name, _) => fill(name).iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "),
    });
    filled.collect()
}

/// The arguments that one word of a list comes to: `{in}` alone is one for each file.
fn arguments(word: &Pattern, values: &[Arc<str>], fill: Fill<'_>) -> Vec<String> {
    if let [Part::Special(name, _)] = word.parts.as_slice() {
        return fill(name);
    }
    let filled = word.parts.iter().map(|part| match part {
        Part::Text(text) => text.expose(),
        Part::Binding(b) => values[*b].to_string(),
        Part::Special(name, _) => fill(name).join(" "),
    });
    vec![filled.collect()]
}

/// A word that the shell takes as it is (POSIX shell, 2.2.2 Single-Quotes).
fn quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A character that means itself to every shell, wherever in a word it stands.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c)
}

/// The words that a shell would make of a text that holds nothing but plain words and placeholders; `None` where it
/// holds anything that could mean more to a shell.
fn simple_words(text: &Pattern, values: &[Arc<str>], fill: Fill<'_>) -> Option<Vec<String>> {
    if !starts_with_a_program(text) {
        return None;
    }
    let mut words: Vec<String> = Vec::new();
    // Whether what comes next goes on with the last word.
    let mut inside = false;
    let mut add = |inside: &mut bool, piece: &str| {
        match words.last_mut().filter(|_| *inside) {
            Some(word) => word.push_str(piece),
            None => words.push(piece.to_owned()),
        }
        *inside = true;
    };
    for part in &text.parts {
        match part {
            Part::Binding(b) => add(&mut inside, &values[*b]),
            Part::Special(name, _) => {
                for (position, word) in fill(name).iter().enumerate() {
                    inside &= position == 0;
                    add(&mut inside, word);
                }
            }
            Part::Text(text) => {
                for run in plain(text)?.split_inclusive([' ', '\t']) {
                    let word = run.trim_end_matches([' ', '\t']);
                    if !word.chars().all(is_plain) {
                        return None;
                    }
                    if !word.is_empty() {
                        add(&mut inside, word);
                    }
                    inside &= word.len() == run.len();
                }
            }
        }
    }
    Some(words)
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
    whole && !word.is_empty() && !word.contains('=') && !OF_THE_SHELL.contains(&word)
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::model::Binding;
    use crate::pipeline::pattern;
    use crate::pipeline::problem::Span;

    fn parsed(text: &str) -> Pattern {
        let binding = Binding { name: "b".to_owned(), axis: 0, parent: None };
        pattern::parse(&Text::plain(text), Span::default(), text, &[binding])
    }

    /// What the shell makes of a text, by its own account.
    fn as_the_shell_says(text: &str) -> Vec<String> {
        let script = format!("set -- {text}\nprintf '%s\\0' \"$@\"");
        let out = Command::new("sh").arg("-c").arg(script).output().expect("sh runs");
        assert!(out.status.success(), "{text}: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).expect("text");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn what_is_filled_in_reaches_the_program_as_one_word() {
        for word in ["plain", "", "two words", "it's", "$(rm -rf /)", "a\nb", "`x`", "-n", "*", "~", "a=b", "#"] {
            assert_eq!(as_the_shell_says(&quoted(word)), [word]);
        }
    }

    #[test]
    fn only_plain_words_do_without_the_shell() {
        let words = |text: &str| simple_words(&parsed(text), &["v w".into()], &|_| vec!["x".into(), "y z".into()]);
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
            if let Some(words) = simple_words(&pattern, &values, &fill) {
                prop_assert_eq!(words, as_the_shell_says(&shell_text(&pattern, &values, &fill)));
            }
        }
    }
}
