//! Targets by their names, and by how their outputs are written.

use std::collections::HashMap;

use super::implied;
use super::model::{Node, TargetId};
use super::problem::{Problems, Span};
use super::shape::unknown;

/// What is known of all targets while one is looked at.
pub struct Known<'a> {
    /// The file's text.
    pub source: &'a str,
    pub names: &'a [(String, &'a Node)],
    pub ids: HashMap<&'a str, TargetId>,
    /// The first target with an output that is written so, bindings and all, and the place of that among its outputs.
    pub written: HashMap<String, (TargetId, usize)>,
}

impl Known<'_> {
    /// Finds a target; says so where there is none.
    pub fn find(&self, name: &str, span: Span, problems: &mut Problems) -> Option<TargetId> {
        let found = self.ids.get(name).copied();
        if found.is_none() {
            let written = self.names.iter().map(|(n, _)| n.as_str()).filter(|n| !implied::is_implied(n));
            unknown(problems, span, "target", name, written);
        }
        found
    }
}
