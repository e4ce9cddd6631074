//! How the outputs of a step compare with what was recorded of them.

use crate::store::state::{FileRecord, PathId};
use crate::store::told;

use super::Outputs;
use crate::build::engine::Engine;
use crate::build::files::place::Destination;
use crate::build::files::{self, Look};
use crate::build::reason::Reason;
use crate::build::steps::StepId;

impl Engine<'_> {
    pub(crate) fn look_at_outputs(&self, id: StepId) -> Outputs {
        let mut outputs = Outputs { looks: Vec::new(), off: Vec::new() };
        for (&path, output) in self.steps.outputs(id).iter().zip(&self.steps.target(id).outputs) {
            let known = self.state.file_at(path);
            let look = files::look_at_output(&self.pipeline.root.join(self.state.path(path)), known, output.folder);
            if let Some(off) = off(self.state.path(path), &look, known) {
                let recorded = known.filter(|_| output.folder && matches!(off, Reason::ChangedOutput { .. }));
                outputs.off.push(off);
                let inside = recorded.map(|known| self.damaged_inside(self.state.path(path), known.content));
                outputs.off.extend(inside.unwrap_or_default());
            }
            outputs.looks.push((path, look));
        }
        outputs
    }

    pub(crate) fn destinations(&self, id: StepId, looks: &[(PathId, Look)]) -> Vec<Destination> {
        let outputs = &self.steps.target(id).outputs;
        looks
            .iter()
            .zip(outputs)
            .map(|((path, look), output)| Destination {
                path: self.state.path(*path).to_owned(),
                folder: output.folder,
                ours: self.state.file_at(*path).is_some(),
                there: match look {
                    Look::Same(r) | Look::Hashed(r) => Some(*r),
                    Look::Missing | Look::Unusable(_) => None,
                },
            })
            .collect()
    }
}

/// Why an output is not what was recorded.
fn off(path: &str, look: &Look, known: Option<FileRecord>) -> Option<Reason> {
    let changed = |from: String, to: String| Some(Reason::ChangedOutput { path: path.to_owned(), from, to });
    match (look, known) {
        (Look::Missing, _) => Some(Reason::MissingOutput(path.to_owned())),
        (Look::Unusable(why), _) => changed("what was recorded".to_owned(), why.became()),
        (Look::Same(_) | Look::Hashed(_), None) => changed("what no record tells".to_owned(), "a file".to_owned()),
        (Look::Hashed(now), Some(known)) if now.content != known.content => {
            let (from, to) = told(&known.content.short(), &now.content.short());
            changed(from, to)
        }
        _ => None,
    }
}
