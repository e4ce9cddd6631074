//! Files that are named in a folder which another target may make than the one that their path is taken for: what it is
//! seen by whether there is such a step comes first.

use std::collections::HashMap;

use petgraph::algo::has_path_connecting;
use petgraph::graph::NodeIndex;

use crate::build::engine::Engine;
use crate::build::files::folders;
use crate::build::steps::StepId;
use crate::build::steps::expand::parents_of;
use crate::build::steps::waits::Wait;
use crate::pipeline::model::{InputKind, TargetId};

/// For each target, the others that may make folders around files which it names, and whose values may be read before it.
pub(crate) type FoldersToCome = HashMap<TargetId, Vec<TargetId>>;

impl Engine<'_> {
    /// What has to be made before it is seen whether a step of another target than `of` makes a folder around a path that a
    /// step names: what the values of such a step are read out of.
    pub(super) fn list_of_folder_around(&self, id: StepId, of: TargetId, path: &str) -> Option<StepId> {
        let targets = &self.pipeline.targets;
        let others = self.folders_to_come().get(&(self.steps.step(id).target as usize))?;
        let makers = others
            .iter()
            .filter(|&&other| other != of)
            .flat_map(|&other| folders::makers_around(&targets[other], path).map(move |values| (other, values)));
        let mut makers = makers.filter(|(other, values)| self.may_have(*other, values));
        makers.find_map(|(other, values)| self.list_to_come(other, &values))
    }

    /// Whether a list tells what folders there are around files that a step names.
    pub(super) fn tells_folders(&self, id: StepId, list: StepId) -> bool {
        let lists = |&other: &TargetId| parents_of(&self.pipeline.targets[other]);
        let others = self.folders_to_come().get(&(self.steps.step(id).target as usize)).into_iter().flatten();
        others.flat_map(lists).any(|target| target == self.steps.step(list).target as usize)
    }

    /// Whether it is still to be seen what folders there are around files that a step names.
    pub(crate) fn waits_for_folders(&self, id: StepId) -> bool {
        let is_open = |list| self.steps.is_open(list) && self.tells_folders(id, list);
        self.steps.slots_of(id).iter().any(|slot| matches!(slot.wait, Wait::Step(list) if is_open(list)))
    }

    /// A step that is to be made before it is seen whether a target has a step of these values.
    fn list_to_come(&self, target: TargetId, values: &[(usize, String)]) -> Option<StepId> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        (0..self.pipeline.targets[target].axes.len()).find_map(|axis| match self.parent_step(target, axis, value) {
            Some(list) => (!self.is_settled(list)).then_some(list),
            None => {
                let (parent, theirs) = self.read_from(target, axis, values)?;
                self.list_to_come(parent, &theirs)
            }
        })
    }

    fn folders_to_come(&self) -> &FoldersToCome {
        self.folders_to_come.get_or_init(|| {
            let targets = &self.pipeline.targets;
            let mut graph = self.pipeline.graph.map(|_, _| (), |_, _| ());
            let mut to_come = FoldersToCome::new();
            let is_read = |target: TargetId| parents_of(&targets[target]).next().is_some();
            for (id, target) in targets.iter().enumerate() {
                let named = target.inputs.iter().filter_map(|input| match (&input.path, &input.kind) {
                    (Some(path), InputKind::Target { target: of, .. }) if is_read(*of) => Some((path, *of)),
                    _ => None,
                });
                for (path, of) in named {
                    let others = self.makers().folders_around(path);
                    for other in others.into_iter().filter(|&other| other != of && is_read(other)) {
                        let lists: Vec<NodeIndex> = parents_of(&targets[other]).map(NodeIndex::new).collect();
                        let this = NodeIndex::new(id);
                        // What needs this target cannot come before it.
                        if lists.iter().any(|&list| has_path_connecting(&graph, this, list, None)) {
                            continue;
                        }
                        graph.extend_with_edges(lists.iter().map(|&list| (list, this)));
                        to_come.entry(id).or_default().push(other);
                    }
                }
            }
            to_come
        })
    }
}
