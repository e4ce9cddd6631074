//! Steps that wait for lists which tell of others: other targets may come to describe them, too, by values that are still to
//! be made, and one step goes by what all of them say; or a step of these undoes what they go on without.

use std::collections::{HashMap, HashSet};

use petgraph::graph::NodeIndex;

use crate::pipeline::makers::Maker;
use crate::pipeline::model::{Target, TargetId};

use super::StepId;
use super::expand::parent_of;
use super::waits::{GroupId, Wait};
use crate::build::engine::{Engine, Mode};

impl Engine<'_> {
    /// Groups must be known before the rows that fall into them: those of what the values of a target are read out of.
    pub(super) fn need_lists_of(&mut self, target: TargetId) {
        let this = &self.pipeline.targets[target];
        if let Some(list) = parent_of(this).filter(|_| self.wanted[target].is_wanted()) {
            let (_, inherited) = self.inherited(target, &(0..this.bindings.len()).collect::<Vec<_>>());
            self.need_group_set(list, &inherited);
        }
    }

    /// Puts steps aside of which it is still to be seen who else describes them, or whether what they go on without fails late.
    /// Those that stay ready.
    pub(crate) fn withhold(&mut self, mut ready: Vec<StepId>) -> Vec<StepId> {
        let mut to_come: HashMap<TargetId, bool> = HashMap::new();
        let mut untold: HashMap<TargetId, Option<GroupId>> = HashMap::new();
        ready.retain(|&id| {
            let target = self.steps.step(id).target as usize;
            let Target { undone_before, .. } = &self.pipeline.targets[target];
            if (!undone_before.is_empty() || self.pipeline.targets[target].goes_on_in_part())
                && let Some(list) = *untold.entry(target).or_insert_with(|| self.untold_before(target))
            {
                self.withheld.entry(list).or_default().push(id);
                return false;
            }
            let is_alone = self.pipeline.targets[target].joined_by.is_empty();
            if is_alone || !*to_come.entry(target).or_insert_with(|| self.has_joiners_to_come(target)) {
                return true;
            }
            let joiners = self.joiners(id);
            let lists: Vec<GroupId> = joiners.iter().flat_map(|joiner| self.lists_of(joiner)).collect();
            let list = lists.into_iter().find(|&list| !self.steps.is_complete(list));
            match list {
                Some(list) => self.withheld.entry(list).or_default().push(id),
                None if self.mode == Mode::Look => self.note_joiners(id, joiners),
                None => {}
            }
            list.is_none()
        });
        ready
    }

    /// A list that tells whether something fails late which the steps of a target go on without, and that is still to be made.
    fn untold_before(&mut self, target: TargetId) -> Option<GroupId> {
        let pipeline = self.pipeline;
        let undone = pipeline.targets[target].undone_before.iter();
        let undone = undone.filter(|(of, other)| self.wanted[*other].is_wanted() && !self.are_alike(*of, *other));
        let before: Vec<TargetId> = undone.flat_map(|(_, other)| pipeline.targets[*other].parents()).collect();
        let found = before.into_iter().find_map(|list| self.incomplete(list));
        found.or_else(|| {
            pipeline.targets[target].goes_on_in_part().then(|| self.untold_of_what_was_found(target)).flatten()
        })
    }

    /// The same of what fails since another step comes to make what its command found. No circle of those that wait comes of it.
    fn untold_of_what_was_found(&mut self, target: TargetId) -> Option<GroupId> {
        let pipeline = self.pipeline;
        let needs = |of: TargetId| of != target && pipeline.comes_after(target, of);
        let undone = self.finders.undone_by.iter();
        let undone = undone.filter(|(of, other)| self.wanted[*other].is_wanted() && needs(*of));
        let lists: Vec<TargetId> = undone.flat_map(|(_, other)| pipeline.targets[*other].parents()).collect();
        lists.into_iter().find_map(|list| self.incomplete(list).filter(|_| self.can_wait(target, list)))
    }

    fn incomplete(&mut self, list: TargetId) -> Option<GroupId> {
        match self.join_group(list, &[]) {
            Wait::Group(group) => Some(group).filter(|&group| !self.steps.is_complete(group)),
            Wait::Step(_) | Wait::File(_) | Wait::None => None,
        }
    }

    /// Whether a list is made without a target, and so without all that waits for this: from then on, the target waits for it.
    fn can_wait(&mut self, target: TargetId, list: TargetId) -> bool {
        let (mut open, mut seen) = (vec![target], HashSet::new());
        while let Some(at) = open.pop() {
            if at == list {
                return false;
            }
            if seen.insert(at) {
                open.extend(self.pipeline.graph.neighbors(NodeIndex::new(at)).map(NodeIndex::index));
                open.extend(self.finders.waits.range((at, 0)..=(at, TargetId::MAX)).map(|&(_, later)| later));
            }
        }
        self.finders.waits.insert((list, target));
        true
    }

    /// Whether steps of a target may be described by others of which not all is told.
    fn has_joiners_to_come(&self, target: TargetId) -> bool {
        let mut lists =
            self.pipeline.targets[target].joined_by.iter().flat_map(|&by| self.pipeline.targets[by].parents());
        lists.any(|list| self.steps.whole(list).is_some_and(|all| !self.is_told(all)))
    }

    /// Whether all that values are read out of is there.
    fn is_told(&self, lists: GroupId) -> bool {
        self.steps.is_complete(lists) && self.steps.groups[lists as usize].stale.is_none()
    }

    /// The steps of other targets that may be one with a step.
    fn joiners(&self, id: StepId) -> Vec<Maker> {
        let joined_by = &self.steps.target(id).joined_by;
        let may_join = |(target, values): &Maker| {
            joined_by.contains(target) && self.wanted[*target].may_take(values) && self.may_have(*target, values)
        };
        self.paths(id).flat_map(|path| self.makers().of(path)).filter(may_join).collect()
    }

    /// Where nothing is run, the targets that may come to describe a step by lists that are to be made.
    fn note_joiners(&mut self, id: StepId, joiners: Vec<Maker>) {
        let own = self.steps.step(id).target as usize;
        for joiner in joiners {
            let lists = self.lists_of(&joiner);
            let is_new = lists.into_iter().any(|list| !self.is_told(list) && !self.is_read_before(list));
            if is_new && self.are_alike(own, joiner.0) {
                self.may_be_joined.entry(id).or_default().push(joiner.0);
            }
        }
    }

    /// Whether all of these lists are as they will be, or are only asked again, as in each build.
    fn is_read_before(&self, lists: GroupId) -> bool {
        let group = &self.steps.groups[lists as usize];
        let mut steps = group.rows.iter().map(|&row| self.steps.rows[group.target].steps[row as usize]);
        !group.rows.is_empty() && steps.all(|list| !self.steps.is_open(list) || self.is_read_as_of_last_build(list))
    }

    /// What the values of a step are read out of: of one target, the steps with the values that came along.
    fn lists_of(&mut self, (target, values): &Maker) -> Vec<GroupId> {
        let this = &self.pipeline.targets[*target];
        let is_told = values.len() == this.bindings.len();
        let lists: Vec<Maker> = match parent_of(this).filter(|_| is_told) {
            Some(_) => (0..this.axes.len()).filter_map(|axis| self.read_from(*target, axis, values)).collect(),
            None => this.parents().map(|list| (list, Vec::new())).collect(),
        };
        let group = |(list, values): Maker| match self.join_group(list, &values) {
            Wait::Group(group) => Some(group),
            _ => None,
        };
        lists.into_iter().filter_map(group).collect()
    }
}
