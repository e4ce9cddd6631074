//! Steps that other targets may come to describe, too, by values that are still to be made: one step goes by what all of
//! them say, so that it waits for what tells who they are.

use crate::pipeline::makers::Maker;
use crate::pipeline::model::TargetId;

use super::StepId;
use super::expand::parent_of;
use super::waits::{GroupId, Wait};
use crate::build::engine::Engine;

impl Engine<'_> {
    /// Groups must be known before the rows that fall into them: those of what the values of a target are read out of.
    pub(super) fn need_lists_of(&mut self, target: TargetId) {
        let this = &self.pipeline.targets[target];
        if let Some(list) = parent_of(this).filter(|_| self.wanted[target].is_wanted()) {
            let (_, inherited) = self.inherited(target, &(0..this.bindings.len()).collect::<Vec<_>>());
            self.need_group_set(list, &inherited);
        }
    }

    /// Puts steps aside of which it is still to be seen who else describes them. Those that stay ready.
    pub(crate) fn withhold(&mut self, mut ready: Vec<StepId>) -> Vec<StepId> {
        let to_come: Vec<bool> =
            (0..self.pipeline.targets.len()).map(|target| self.has_joiners_to_come(target)).collect();
        if to_come.contains(&true) {
            ready.retain(|&id| {
                let list = to_come[self.steps.step(id).target as usize].then(|| self.list_of_joiners(id)).flatten();
                list.into_iter().for_each(|list| self.withheld.entry(list).or_default().push(id));
                list.is_none()
            });
        }
        ready
    }

    /// Whether steps of a target may be described by others of which not all is told.
    fn has_joiners_to_come(&self, target: TargetId) -> bool {
        let mut lists =
            self.pipeline.targets[target].joined_by.iter().flat_map(|&by| self.pipeline.targets[by].parents());
        lists.any(|list| self.steps.whole(list).is_some_and(|all| !self.steps.is_complete(all)))
    }

    /// The steps, not all of them done, whose outputs tell whether another target describes a step.
    fn list_of_joiners(&mut self, id: StepId) -> Option<GroupId> {
        let joined_by = &self.steps.target(id).joined_by;
        let may_join = |(target, values): &Maker| {
            joined_by.contains(target) && self.wanted[*target].may_take(values) && self.may_have(*target, values)
        };
        let joiners: Vec<Maker> = self.paths(id).flat_map(|path| self.makers().of(path)).filter(may_join).collect();
        let lists = joiners.into_iter().flat_map(|(target, values)| self.lists_of(target, &values)).collect::<Vec<_>>();
        lists.into_iter().find_map(|(list, values)| match self.join_group(list, &values) {
            Wait::Group(group) if !self.steps.is_complete(group) => Some(group),
            _ => None,
        })
    }

    /// What the values of a target are read out of: of one target, the steps with the values that came along.
    fn lists_of(&self, target: TargetId, values: &[(usize, String)]) -> Vec<Maker> {
        let this = &self.pipeline.targets[target];
        let is_told = values.len() == this.bindings.len();
        match parent_of(this).filter(|_| is_told) {
            Some(_) => (0..this.axes.len()).filter_map(|axis| self.read_from(target, axis, values)).collect(),
            None => this.parents().map(|list| (list, Vec::new())).collect(),
        }
    }
}
