//! What steps wait on, and whom they wake: slots and groups.
//!
//! A step waits on its *slots*, one for each entry of `inputs:` and `after:`. A slot holds a step, a file, or a
//! [`Group`]: all steps of a target that agree on some bindings. An aggregate over a million steps waits on one group
//! that counts.

use std::collections::HashMap;
use std::sync::OnceLock;

use foldhash::fast::RandomState;

use crate::pipeline::model::TargetId;
use crate::store::Digest;

use super::intern::Id;
use super::{FileId, NONE, StepId, Steps};
use crate::build::outcome::Status;

pub type GroupId = u32;

/// What a slot waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Step(StepId),
    Group(GroupId),
    File(FileId),
    /// Nothing: no step of the target has these values, and none can come.
    None,
}

#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub wait: Wait,
    pub owner: StepId,
    /// The next slot that waits on the same thing.
    next: u32,
}

/// All steps of one target that agree on some bindings.
#[derive(Debug)]
pub struct Group {
    pub target: TargetId,
    /// Rows of the target, as they came.
    pub rows: Vec<u32>,
    /// Rows that are not done.
    pub pending: u32,
    /// No more rows can come.
    pub closed: bool,
    /// A step that blocks what needs the group: one of its own, or one that rows would have been read out of.
    pub blocked_by: Option<StepId>,
    /// The group that its rows were read out of, once all of that was read.
    pub read_out_of: Option<GroupId>,
    /// A step of it that would run, where nothing is run.
    pub stale: Option<StepId>,
    /// What may fail again and block what needs it, where nothing is run.
    pub at_risk: Option<Risk>,
    /// The digest of all that its steps made, once it is complete and someone asked.
    pub digest: OnceLock<Digest>,
    /// Slots that hold it.
    pub readers: u32,
    first_waiter: u32,
    /// Groups that cannot close before this one is complete.
    pub closes: Vec<GroupId>,
}

/// What may fail again as it did when it was last tried, and block what needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Risk {
    pub root: StepId,
    /// It reaches the step only by `after`, of the step or of something that this reads: then it is no cause.
    pub by_after: bool,
}

impl Risk {
    /// The first of two, unless only the second one is read.
    pub fn worse(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let is_read = |risk: &Self| !risk.by_after;
        one.filter(is_read).or(other.filter(is_read)).or(one).or(other)
    }
}

impl Group {
    /// So many steps read so many rows that their lists are not to be kept one by one.
    pub fn is_crowded(&self) -> bool {
        is_crowd(self.readers, self.rows.len())
    }
}

/// So many steps read so many that it is not to be listed for each of them.
pub fn is_crowd(readers: u32, read: usize) -> bool {
    const LISTED: u64 = 1 << 21;
    readers > 1 && u64::from(readers) * read as u64 > LISTED
}

/// The rows of one target.
#[derive(Debug, Default)]
pub struct Rows {
    pub steps: Vec<StepId>,
    /// For a target whose values are read out of another's outputs: the row of that other target, beside each step.
    pub parents: Vec<u32>,
    /// The sets of groups that its rows fall into.
    pub group_sets: Vec<GroupSet>,
}

/// The groups of a target by the values of some of its bindings.
#[derive(Debug)]
pub struct GroupSet {
    pub on: Vec<usize>,
    groups: HashMap<Box<[Id]>, GroupId, RandomState>,
    /// The one that was asked for last: rows come in runs of one group.
    last: Option<(Box<[Id]>, GroupId)>,
}

impl Steps<'_> {
    /// Enters a step among a target's rows.
    pub fn add_row(&mut self, target: TargetId, id: StepId, parent: Option<u32>) -> u32 {
        let row = u32::try_from(self.rows[target].steps.len()).expect("no more rows than steps");
        self.rows[target].steps.push(id);
        self.rows[target].parents.extend(parent);
        if self.step(id).row == NONE {
            self.step_mut(id).row = row;
        }
        row
    }

    /// Enters a row of a target into one of its groups, which waits until the row is counted.
    pub fn enter(&mut self, group: GroupId, row: u32) {
        let group = &mut self.groups[group as usize];
        group.rows.push(row);
        group.pending += 1;
    }

    /// Tells a group how one of its steps came out.
    pub fn mark(&mut self, group: GroupId, id: StepId) {
        let status = self.step(id).status;
        let at = group as usize;
        if status.blocks() {
            self.groups[at].blocked_by = self.earlier(self.groups[at].blocked_by, Some(id));
        }
        if self.is_open(id) {
            self.groups[at].stale.get_or_insert(id);
        }
        self.groups[at].at_risk = Risk::worse(self.groups[at].at_risk, self.at_risk.get(&id).copied());
    }

    /// The one of two steps that comes first by name, so that it is the same one whatever came first; one that failed
    /// before one that is deferred, and one that is sure to before one that may turn out not to.
    pub fn earlier(&self, a: Option<StepId>, b: Option<StepId>) -> Option<StepId> {
        let ends = |id: StepId| (!self.step(id).status.fails(), self.unsure.contains(&id));
        let name = |id: &StepId| (ends(*id), self.step(*id).target, self.values_of(*id));
        a.into_iter().chain(b).min_by(|a, b| name(a).cmp(&name(b)))
    }

    /// Tells every group that a step is in how it came out after all: what was worked out of the group before holds no more.
    pub fn mark_all(&mut self, id: StepId) {
        for group in self.all_groups_of(id) {
            self.groups[group as usize].digest = OnceLock::new();
            self.mark(group, id);
        }
    }

    /// Every group that a step is in.
    pub fn all_groups_of(&mut self, id: StepId) -> Vec<GroupId> {
        let targets: Vec<TargetId> = self.rows_of(id).map(|(target, _)| target).collect();
        let sets =
            |this: &Self, target: TargetId| (0..this.rows[target].group_sets.len()).map(move |set| (target, set));
        let sets: Vec<_> = targets.into_iter().flat_map(|target| sets(self, target)).collect();
        sets.into_iter().map(|(target, set)| self.group_of(target, set, id)).collect()
    }

    /// The set of groups of a target on these bindings, made where it is new. Call it before the target has rows.
    pub fn group_set(&mut self, target: TargetId, on: &[usize]) -> usize {
        let sets = &mut self.rows[target].group_sets;
        sets.iter().position(|s| s.on == on).unwrap_or_else(|| {
            sets.push(GroupSet { on: on.to_vec(), groups: HashMap::default(), last: None });
            sets.len() - 1
        })
    }

    /// The group with these values, made where it is new (`true`).
    pub fn group(&mut self, target: TargetId, set: usize, values: &[Id]) -> (GroupId, bool) {
        let set = &mut self.rows[target].group_sets[set];
        // One by one, since a `memcmp` of nothing takes longer than all the rest.
        if let Some((_, id)) = set.last.as_ref().filter(|(last, _)| last.iter().eq(values)) {
            return (*id, false);
        }
        if let Some(&id) = set.groups.get(values) {
            set.last = Some((values.into(), id));
            return (id, false);
        }
        let id = GroupId::try_from(self.groups.len()).expect("no more groups than steps");
        set.groups.insert(values.into(), id);
        self.groups.push(Group {
            target,
            rows: Vec::new(),
            pending: 0,
            closed: false,
            blocked_by: None,
            read_out_of: None,
            stale: None,
            at_risk: None,
            digest: OnceLock::new(),
            readers: 0,
            first_waiter: NONE,
            closes: Vec::new(),
        });
        (id, true)
    }

    /// The group of all of a target's steps, where anything waits for it.
    pub fn whole(&self, target: TargetId) -> Option<GroupId> {
        let set = self.rows[target].group_sets.iter().find(|set| set.on.is_empty())?;
        set.groups.values().next().copied()
    }

    /// What a step's values make of the bindings that a set is on.
    pub fn projected(&self, target: TargetId, set: usize, id: StepId) -> Vec<Id> {
        self.rows[target].group_sets[set].on.iter().map(|&b| self.bound(id)[b].value).collect()
    }

    /// The group that a step has been entered into.
    pub fn group_of(&mut self, target: TargetId, set: usize, id: StepId) -> GroupId {
        let values = self.projected(target, set, id);
        self.group(target, set, &values).0
    }

    /// Every group of a target, set by set.
    pub fn groups_of(&self, target: TargetId) -> impl Iterator<Item = GroupId> + '_ {
        self.rows[target].group_sets.iter().flat_map(|s| s.groups.values().copied())
    }

    /// Gives a step its slots; each one whose wait is not over is counted and entered in its list.
    pub fn set_slots(&mut self, id: StepId, waits: &[Wait]) {
        let first = self.next_slot();
        let pending = waits.iter().map(|&wait| self.add_slot(id, wait)).sum();
        let step = self.step_mut(id);
        step.first_slot = first;
        step.pending = pending;
    }

    /// Lets a step that waits, or is ready, wait for more.
    pub fn wait_also(&mut self, id: StepId, waits: &[Wait]) {
        let (known, first) = (self.slots_of(id).to_vec(), self.next_slot());
        let mut new: Vec<Wait> = waits.to_vec();
        new.retain(|&wait| known.iter().all(|slot| slot.wait != wait));
        if new.is_empty() {
            return;
        }
        // A step's slots lie in a row. Those of before stay in their lists, too, and wake it.
        self.slots.extend(known.iter().map(|slot| Slot { next: NONE, ..*slot }));
        let pending: u32 = new.iter().map(|&wait| self.add_slot(id, wait)).sum();
        let step = self.step_mut(id);
        step.first_slot = first;
        step.pending += pending;
        *self.waits_also.entry(id).or_default() += new.len();
    }

    /// Puts something else behind a slot whose wait is over; whether the step waits for that.
    pub fn set_wait(&mut self, id: StepId, position: usize, wait: Wait) -> bool {
        let first = self.step(id).first_slot as usize;
        self.slots[first + position].wait = wait;
        // In its list, another slot stands for this one, which is in the list of before.
        let more = self.add_slot(id, wait);
        self.step_mut(id).pending += more;
        more > 0
    }

    /// Takes back a wait that is over.
    pub fn drop_wait(&mut self, id: StepId, position: usize) {
        let first = self.step(id).first_slot as usize;
        self.slots[first + position].wait = Wait::None;
    }

    fn next_slot(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("fewer than 2^32 slots fit in memory")
    }

    /// Adds a slot; how many waits more that is.
    fn add_slot(&mut self, id: StepId, wait: Wait) -> u32 {
        if let Wait::Group(group) = wait {
            self.groups[group as usize].readers += 1;
        }
        let slot = self.next_slot();
        let over = self.is_over(wait);
        let next = match wait {
            Wait::Step(s) if !over => std::mem::replace(&mut self.steps[s as usize].first_waiter, slot),
            Wait::Group(g) if !over => std::mem::replace(&mut self.groups[g as usize].first_waiter, slot),
            _ => NONE,
        };
        self.slots.push(Slot { wait, owner: id, next });
        u32::from(!over)
    }

    fn is_over(&self, wait: Wait) -> bool {
        match wait {
            Wait::Step(s) => self.step(s).status.is_done(),
            Wait::Group(g) => self.is_complete(g),
            Wait::File(_) | Wait::None => true,
        }
    }

    pub fn is_complete(&self, group: GroupId) -> bool {
        let group = &self.groups[group as usize];
        group.closed && group.pending == 0
    }

    /// Wakes what waits on a step; those that wait for nothing more are added to `ready`.
    pub fn wake_step(&mut self, id: StepId, ready: &mut Vec<StepId>) {
        let first = std::mem::replace(&mut self.step_mut(id).first_waiter, NONE);
        self.wake(first, ready);
    }

    /// Wakes what waits on a complete group.
    pub fn wake_group(&mut self, group: GroupId, ready: &mut Vec<StepId>) {
        let first = std::mem::replace(&mut self.groups[group as usize].first_waiter, NONE);
        self.wake(first, ready);
    }

    fn wake(&mut self, mut slot: u32, ready: &mut Vec<StepId>) {
        let from = ready.len();
        while slot != NONE {
            let Slot { owner, next, .. } = self.slots[slot as usize];
            let step = self.step_mut(owner);
            step.pending -= 1;
            if step.pending == 0 && step.status == Status::Pending {
                ready.push(owner);
            }
            slot = next;
        }
        // The list is threaded newest first; work goes on in the order that the steps came.
        ready[from..].reverse();
    }

    /// The rows of a group in the target's own order, which is the same whatever came first.
    pub fn ordered(&self, group: GroupId) -> Vec<StepId> {
        let group = &self.groups[group as usize];
        let mut rows = group.rows.clone();
        self.put_in_order(group.target, &mut rows);
        rows.into_iter().map(|row| self.rows[group.target].steps[row as usize]).collect()
    }

    pub fn put_in_order(&self, target: TargetId, rows: &mut [u32]) {
        if !self.rows[target].parents.is_empty() {
            rows.sort_by(|&a, &b| self.compare(target, a, b));
        }
    }

    /// Rows of one parent stand in the order of its values; parents stand in their own order.
    fn compare(&self, target: TargetId, a: u32, b: u32) -> std::cmp::Ordering {
        let parents = &self.rows[target].parents;
        match (parents.get(a as usize), parents.get(b as usize)) {
            (Some(&pa), Some(&pb)) if pa != pb => {
                let parent = super::expand::parent_of(&self.pipeline.targets[target]);
                parent.map_or(a.cmp(&b), |parent| self.compare(parent, pa, pb))
            }
            _ => a.cmp(&b),
        }
    }
}
