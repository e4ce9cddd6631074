//! The steps of a run, dense: names are interned, paths are the state's, edges are lists threaded through the slots.
//!
//! A step waits on its *slots*, one for each entry of `inputs:` and `after:`. A slot holds a step, a file, or a
//! [`Group`]: all steps of a target that agree on some bindings. An aggregate over a million steps waits on one group
//! that counts.

use std::collections::HashMap;
use std::sync::OnceLock;

use foldhash::fast::RandomState;

use crate::pipeline::model::{Pipeline, Target, TargetId};
use crate::store::state::{PathId, State};
use crate::store::{Digest, Sha256};

use super::intern::{Id, Interner};
use super::outcome::Status;

pub type StepId = u32;
pub type GroupId = u32;
pub type FileId = u32;

/// The end of a list of slots.
pub const NONE: u32 = u32::MAX;

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

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub target: u32,
    /// Its position among the target's rows.
    pub row: u32,
    /// Where its values start in [`Steps::values`]; as many as the target has bindings.
    first_value: u32,
    first_slot: u32,
    /// Where its paths start in [`Steps::paths`]; as many as the target has outputs. [`NONE`] where it may have none.
    first_path: u32,
    /// Slots whose wait is not over.
    pub pending: u32,
    first_waiter: u32,
    pub status: Status,
}

/// A value, and the digest that came with it (a position in [`Steps::fingerprints`], or [`NONE`]).
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub value: Id,
    pub fingerprint: u32,
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
    /// The digest of all that its steps made, once it is complete and someone asked.
    pub digest: OnceLock<Digest>,
    /// Slots that hold it.
    readers: u32,
    first_waiter: u32,
    /// Groups that cannot close before this one is complete.
    pub closes: Vec<GroupId>,
}

impl Group {
    /// So many steps read so many rows that their lists are not to be kept one by one.
    pub fn is_crowded(&self) -> bool {
        const LISTED: u64 = 1 << 21;
        self.readers > 1 && u64::from(self.readers) * self.rows.len() as u64 > LISTED
    }
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
}

/// All steps of a run.
pub struct Steps<'p> {
    pub pipeline: &'p Pipeline,
    pub names: Interner,
    pub steps: Vec<Step>,
    pub values: Vec<Bound>,
    pub fingerprints: Vec<Sha256>,
    pub slots: Vec<Slot>,
    pub groups: Vec<Group>,
    pub rows: Vec<Rows>,
    /// The outputs of all steps.
    paths: Vec<PathId>,
    /// The files that no step makes.
    pub files: Vec<PathId>,
    /// Steps that more than one target describes: the targets after the first, with the row there.
    pub shared: HashMap<StepId, Vec<(TargetId, u32)>>,
    /// For each path of the state, by its number: who makes it.
    makers: Vec<Maker>,
    /// Every folder that an output lies in, with one step that needs it.
    folders: HashMap<String, StepId, RandomState>,
    last_folder: String,
}

/// Who makes a file, in four bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Maker(u32);

impl Maker {
    const UNKNOWN: Self = Self(NONE);
    /// Set where the rest is the number of a file that no step makes.
    const FILE: u32 = 1 << 31;
}

/// Why a new step cannot be.
#[derive(Debug, PartialEq, Eq)]
pub enum Clash {
    /// Another step makes the same file.
    SameFile(StepId),
    /// Another step needs a folder where this one makes a file, or the other way round.
    FileAndFolder(StepId),
    /// Some step that came before reads it as a file that no step makes.
    Read,
}

impl<'p> Steps<'p> {
    pub fn new(pipeline: &'p Pipeline) -> Self {
        Self {
            pipeline,
            names: Interner::default(),
            steps: Vec::new(),
            values: Vec::new(),
            fingerprints: Vec::new(),
            slots: Vec::new(),
            groups: Vec::new(),
            rows: pipeline.targets.iter().map(|_| Rows::default()).collect(),
            paths: Vec::new(),
            files: Vec::new(),
            shared: HashMap::new(),
            makers: Vec::new(),
            folders: HashMap::default(),
            last_folder: String::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id as usize]
    }

    pub fn step_mut(&mut self, id: StepId) -> &mut Step {
        &mut self.steps[id as usize]
    }

    pub fn target(&self, id: StepId) -> &'p Target {
        &self.pipeline.targets[self.step(id).target as usize]
    }

    pub fn bound(&self, id: StepId) -> &[Bound] {
        let first = self.step(id).first_value as usize;
        &self.values[first..first + self.target(id).bindings.len()]
    }

    pub fn values_of(&self, id: StepId) -> Vec<&str> {
        self.bound(id).iter().map(|b| self.names.get(b.value)).collect()
    }

    pub fn fingerprint(&self, bound: &Bound) -> Option<&Sha256> {
        self.fingerprints.get(bound.fingerprint as usize)
    }

    pub fn slots_of(&self, id: StepId) -> &[Slot] {
        let target = self.target(id);
        let first = self.step(id).first_slot as usize;
        &self.slots[first..first + target.inputs.len() + target.after.len()]
    }

    /// The paths of a step's outputs; none where they were refused.
    pub fn outputs(&self, id: StepId) -> &[PathId] {
        let first = self.step(id).first_path;
        if first == NONE {
            return &[];
        }
        &self.paths[first as usize..first as usize + self.target(id).outputs.len()]
    }

    /// `target@binding=value,…`, with nothing in it that a terminal would obey.
    pub fn label(&self, id: StepId) -> String {
        let target = self.target(id);
        let mut label = target.name.clone();
        for (i, (binding, value)) in target.bindings.iter().zip(self.values_of(id)).enumerate() {
            label.push(if i == 0 { '@' } else { ',' });
            label.push_str(&binding.name);
            label.push('=');
            label.push_str(&printable(value));
        }
        label
    }

    /// The step that makes this file or folder.
    pub fn maker(&self, path: PathId) -> Option<StepId> {
        self.makers.get(path.index()).map(|m| m.0).filter(|m| m & Maker::FILE == 0)
    }

    /// The step that makes the file or folder of this path.
    pub fn find_path(&self, state: &State, path: &str) -> Option<StepId> {
        self.maker(state.find(path)?)
    }

    fn set_maker(&mut self, path: PathId, maker: Maker) {
        if self.makers.len() <= path.index() {
            self.makers.resize(path.index() + 1, Maker::UNKNOWN);
        }
        self.makers[path.index()] = maker;
    }

    /// What a path stands for as an input: a step, or a file that no step makes.
    pub fn wait_for_path(&mut self, path: PathId) -> Wait {
        match self.makers.get(path.index()) {
            Some(&maker) if maker != Maker::UNKNOWN => match maker.0 & Maker::FILE {
                0 => Wait::Step(maker.0),
                _ => Wait::File(maker.0 & !Maker::FILE),
            },
            _ => {
                let file = FileId::try_from(self.files.len()).expect("no more files than paths");
                self.files.push(path);
                self.set_maker(path, Maker(file | Maker::FILE));
                Wait::File(file)
            }
        }
    }

    /// Adds a step without slots and without claiming its paths.
    pub fn push(&mut self, target: TargetId, bound: &[Bound]) -> StepId {
        let id = StepId::try_from(self.steps.len()).expect("fewer than 2^32 steps fit in memory");
        let first_value = u32::try_from(self.values.len()).expect("fewer than 2^32 values fit in memory");
        self.values.extend_from_slice(bound);
        self.steps.push(Step {
            target: u32::try_from(target).expect("targets are fewer than lines"),
            row: NONE,
            first_value,
            first_slot: NONE,
            first_path: NONE,
            pending: 0,
            first_waiter: NONE,
            status: Status::Pending,
        });
        id
    }

    /// Takes back the step that was pushed last: another one describes the same.
    pub fn pop(&mut self, id: StepId) {
        debug_assert_eq!(id as usize + 1, self.steps.len());
        self.values.truncate(self.step(id).first_value as usize);
        self.steps.pop();
    }

    /// Claims the paths of a step's outputs for it.
    pub fn claim(&mut self, id: StepId, paths: &[PathId], state: &State) -> Result<(), Clash> {
        for &path in paths {
            if let Some(other) = self.maker(path) {
                return Err(Clash::SameFile(other));
            }
            if self.makers.get(path.index()).is_some_and(|m| *m != Maker::UNKNOWN) {
                return Err(Clash::Read);
            }
            self.claim_folders(id, state.path(path), state)?;
        }
        self.step_mut(id).first_path = u32::try_from(self.paths.len()).expect("fewer than 2^32 outputs fit in memory");
        self.paths.extend_from_slice(paths);
        for &path in paths {
            self.set_maker(path, Maker(id));
        }
        Ok(())
    }

    fn claim_folders(&mut self, id: StepId, path: &str, state: &State) -> Result<(), Clash> {
        if let Some(&other) = self.folders.get(path) {
            return Err(Clash::FileAndFolder(other));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // Steps come in runs that share a folder.
        if folder == self.last_folder {
            return Ok(());
        }
        for (end, _) in folder.match_indices('/').chain(std::iter::once((folder.len(), ""))) {
            let ancestor = &folder[..end];
            if let Some(other) = self.find_path(state, ancestor) {
                return Err(Clash::FileAndFolder(other));
            }
            if !self.folders.contains_key(ancestor) {
                self.folders.insert(ancestor.to_owned(), id);
            }
        }
        folder.clone_into(&mut self.last_folder);
        Ok(())
    }

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
        let group = &mut self.groups[at];
        if status == Status::Stale {
            group.stale.get_or_insert(id);
        }
    }

    /// The one of two steps that comes first by name, so that it is the same one whatever came first; one that failed
    /// before one that is deferred.
    pub fn earlier(&self, a: Option<StepId>, b: Option<StepId>) -> Option<StepId> {
        let name = |id: &StepId| (!self.step(*id).status.fails(), self.step(*id).target, self.values_of(*id));
        a.into_iter().chain(b).min_by(|a, b| name(a).cmp(&name(b)))
    }

    /// Tells every group that a step is in how it came out.
    pub fn mark_all(&mut self, id: StepId) {
        let home = self.step(id).target as usize;
        let also = self.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
        for target in std::iter::once(home).chain(also).collect::<Vec<_>>() {
            for set in 0..self.rows[target].group_sets.len() {
                let group = self.group_of(target, set, id);
                self.mark(group, id);
            }
        }
    }

    /// The set of groups of a target on these bindings, made where it is new. Call it before the target has rows.
    pub fn group_set(&mut self, target: TargetId, on: &[usize]) -> usize {
        let sets = &mut self.rows[target].group_sets;
        sets.iter().position(|s| s.on == on).unwrap_or_else(|| {
            sets.push(GroupSet { on: on.to_vec(), groups: HashMap::default() });
            sets.len() - 1
        })
    }

    /// The group with these values, made where it is new (`true`).
    pub fn group(&mut self, target: TargetId, set: usize, values: &[Id]) -> (GroupId, bool) {
        let set = &mut self.rows[target].group_sets[set];
        if let Some(&id) = set.groups.get(values) {
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
        let first = u32::try_from(self.slots.len()).expect("fewer than 2^32 slots fit in memory");
        let mut pending = 0;
        for (position, &wait) in waits.iter().enumerate() {
            if let Wait::Group(group) = wait {
                self.groups[group as usize].readers += 1;
            }
            let slot = first + u32::try_from(position).expect("inputs are fewer than lines");
            let next = if self.is_over(wait) {
                NONE
            } else {
                pending += 1;
                match wait {
                    Wait::Step(s) => std::mem::replace(&mut self.steps[s as usize].first_waiter, slot),
                    Wait::Group(g) => std::mem::replace(&mut self.groups[g as usize].first_waiter, slot),
                    Wait::File(_) | Wait::None => NONE,
                }
            };
            self.slots.push(Slot { wait, owner: id, next });
        }
        let step = self.step_mut(id);
        step.first_slot = first;
        step.pending = pending;
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
        if !self.rows[group.target].parents.is_empty() {
            rows.sort_by(|&a, &b| self.compare(group.target, a, b));
        }
        rows.into_iter().map(|row| self.rows[group.target].steps[row as usize]).collect()
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

/// Text with control characters escaped and the middle of long values left out.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 160;
    let clean: String =
        text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    if clean.chars().count() <= LONGEST {
        return clean;
    }
    let start: String = clean.chars().take(LONGEST / 2).collect();
    format!("{start}… ({} characters)", text.chars().count())
}
