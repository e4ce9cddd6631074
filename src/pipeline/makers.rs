//! Which targets make a path.
//!
//! Pipelines may be generated, with many thousands of targets and paths between them: outputs are found by the text
//! that they start with, not by trying them all.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::model::{Output, Part, Pattern, Target, TargetId, Text};
use super::pattern::start;
use super::{backwards, pattern};

/// The outputs of all targets, by the text before their first binding.
pub(super) struct Makers<'a> {
    targets: &'a [Target],
    outputs: BTreeMap<String, Vec<(TargetId, &'a Output)>>,
}

impl<'a> Makers<'a> {
    pub fn new(targets: &'a [Target]) -> Self {
        let mut outputs: BTreeMap<String, Vec<(TargetId, &Output)>> = BTreeMap::new();
        for (id, target) in targets.iter().enumerate() {
            for output in &target.outputs {
                outputs.entry(start(&output.pattern)).or_default().push((id, output));
            }
        }
        Self { targets, outputs }
    }

    /// The target that makes `path`, and what its bindings must be for that. Of several, the one that chooses the
    /// least: what another makes, it makes, too.
    pub fn find(&self, path: &Pattern) -> Option<(TargetId, Vec<(usize, Pattern)>)> {
        self.candidates(path)
            .filter_map(|(id, output)| {
                Some((self.targets[id].narrowness, id, backwards::unify(path, &output.pattern)?))
            })
            .min_by_key(|(narrow, id, _)| (*narrow, *id))
            .map(|(_, id, on)| (id, on))
    }

    /// The target that makes a folder in which `path` lies.
    pub fn find_folder(&self, path: &Pattern) -> Option<TargetId> {
        let within = |output: &Output| {
            let mut pattern = output.pattern.clone();
            // A binding of nobody's stands for the rest of the path.
            pattern.parts.extend([Part::Text(Text::plain("/")), Part::Binding(usize::MAX)]);
            backwards::unify(path, &pattern).is_some()
        };
        self.candidates(path).filter(|(_, output)| output.folder && within(output)).map(|(id, _)| id).min()
    }

    /// The outputs that start as `path` does.
    fn candidates(&self, path: &Pattern) -> impl Iterator<Item = (TargetId, &'a Output)> {
        let start = start(path);
        let mut found: Vec<(TargetId, &Output)> = Vec::new();
        for (at, _) in start.char_indices().chain([(start.len(), ' ')]) {
            found.extend(self.outputs.get(&start[..at]).into_iter().flatten());
        }
        if pattern::literal(path).is_none() {
            let longer = (Bound::Excluded(start.as_str()), Bound::Unbounded);
            let longer = self.outputs.range::<str, _>(longer).take_while(|(text, _)| text.starts_with(&start));
            found.extend(longer.flat_map(|(_, outputs)| outputs));
        }
        found.into_iter()
    }
}
