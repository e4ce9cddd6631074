//! What may be a name: of targets, bindings and variables, and of what becomes part of one.

use super::model::{Name, Node, Piece};
use super::problem::Problems;

/// Whether a variable, a target or a binding can have this name.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether a name can be written wherever names are: on the command line, in a list, in a file's name.
pub fn check_name(name: &Name, what: &str, problems: &mut Problems) -> bool {
    let fine = is_name(&name.text);
    if !fine {
        problems
            .at(name.span, format!("bad name of {what}: `{}`", name.text), "not a name")
            .help("a name has letters, digits, `_` and `-`, and starts with a letter or `_`");
    }
    fine
}

/// A scalar that becomes part of names, where secrets must not be.
pub fn public_text(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let text = node.as_text()?;
    if text.0.iter().any(|p| matches!(p, Piece::Secret { .. })) {
        problems
            .at(node.span, format!("a secret in {what}"), "would be shown and recorded")
            .help("use `${env.NAME}` or a variable for what need not be secret");
        return None;
    }
    Some(text.public())
}
