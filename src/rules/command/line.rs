//! What is run: the pipeline's text with its placeholders filled in, as words or as a text for the shell.

use std::sync::Arc;

use crate::pipeline::model::{Part, Pattern};

use super::simple::{self, Direct, Fill, is_plain};

/// A text for the shell, or words without one.
pub(super) enum Line {
    Shell(Pattern),
    Words(Vec<Pattern>),
}

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

    /// What is to be started, where no shell is needed to tell.
    pub fn direct(&self, values: &[Arc<str>], fill: Fill<'_>) -> Option<Direct> {
        match self {
            Self::Words(words) => {
                let argv = words.iter().flat_map(|w| arguments(w, values, fill)).collect();
                Some(Direct { argv, ..Direct::default() })
            }
            Self::Shell(text) => simple::direct(text, values, fill),
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
pub(super) fn shell_text(text: &Pattern, values: &[Arc<str>], fill: Fill<'_>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::command::simple::as_the_shell_says;

    #[test]
    fn what_is_filled_in_reaches_the_program_as_one_word() {
        for word in ["plain", "", "two words", "it's", "$(rm -rf /)", "a\nb", "`x`", "-n", "*", "~", "a=b", "#"] {
            assert_eq!(as_the_shell_says(&quoted(word)), [word]);
        }
    }
}
