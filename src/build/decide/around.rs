//! Paths that may turn out to be something else than what they are taken for: what it is seen by comes first.

use crate::build::engine::Engine;
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;
use crate::pipeline::model::{Meets, TargetId, is_read_out_of};
use crate::pipeline::pattern;

type Values = Vec<(usize, String)>;

impl Engine<'_> {
    /// What has to be made before it is seen what the path at a place of a step's inputs is: what the values of a step are
    /// read out of that may make it, or a folder around or in it.
    pub(super) fn list_of_other(&self, id: StepId, position: usize) -> Option<StepId> {
        let (values, input) = (self.steps.values_of(id), &self.steps.target(id).inputs[position]);
        // What lies there as a file is no folder.
        let is_file =
            || input.path.as_ref().is_some_and(|path| self.pipeline.root.join(pattern::fill(path, &values)).is_file());
        let may_be_folder = input.others.iter().any(|other| other.meets == Meets::InFolder) && !is_file();
        let others = input.others.iter().filter(|other| other.meets == Meets::AsOne || may_be_folder);
        let others = others.map(|other| (other.target, pattern::joined(&other.on, &values)));
        let may_be = |(target, theirs): &(TargetId, Values)| self.may_have(*target, theirs);
        let others: Vec<_> = others.filter(may_be).collect();
        let first =
            |is: &dyn Fn(StepId) -> bool| others.iter().find_map(|(target, theirs)| self.list_of(*target, theirs, is));
        // What cannot be had is met only once nothing else is to come.
        first(&|list| !self.steps.step(list).status.is_done()).or_else(|| first(&|list| !self.is_settled(list)))
    }

    /// Whether a list tells what a path is that a step names.
    pub(super) fn tells_what_is_named(&self, id: StepId, list: StepId) -> bool {
        let list = self.steps.step(list).target as usize;
        let mut others = self.steps.target(id).inputs.iter().flat_map(|input| &input.others);
        others.any(|other| is_read_out_of(&self.pipeline.targets, other.target, list))
    }

    /// Whether it is still to be seen what a path is that a step names.
    pub(crate) fn waits_for_names(&self, id: StepId) -> bool {
        let is_open = |list| self.steps.is_open(list) && self.tells_what_is_named(id, list);
        self.steps.slots_of(id).iter().any(|slot| matches!(slot.wait, Wait::Step(list) if is_open(list)))
    }

    /// A step of this kind that is made before it is seen whether a target has a step of these values.
    fn list_of(&self, target: TargetId, values: &[(usize, String)], is: &dyn Fn(StepId) -> bool) -> Option<StepId> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        (0..self.pipeline.targets[target].axes.len()).find_map(|axis| {
            let (parent, theirs) = self.read_from(target, axis, values)?;
            let is_one = theirs.len() == self.pipeline.targets[parent].bindings.len();
            let list = match is_one {
                true => self.parent_step(target, axis, value).filter(|&list| is(list)),
                false => self.steps.rows[parent]
                    .steps
                    .iter()
                    .copied()
                    .find(|&list| self.has_values(list, &theirs) && is(list)),
            };
            list.or_else(|| self.list_of(parent, &theirs, is))
        })
    }

    fn has_values(&self, id: StepId, values: &[(usize, String)]) -> bool {
        let own = self.steps.values_of(id);
        values.iter().all(|(binding, value)| own[*binding] == value)
    }
}
