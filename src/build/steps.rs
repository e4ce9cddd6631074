//! The steps of a run, dense: names are interned, paths are the state's, and what a step waits on is in [`self::waits`].

mod awaited;
mod claims;
pub(super) mod expand;
mod groups;
mod intern;
mod joiners;
pub(super) mod meeting;
mod misread;
mod old_lists;
pub(super) mod parents;
pub(super) mod possible;
mod product;
mod rows;
pub(super) mod unborn;
pub(super) mod values;
pub(super) mod waits;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::pipeline::model::{Pattern, Pipeline, Target, TargetId};
use crate::pipeline::pattern;
use crate::store::Sha256;
use crate::store::state::{PathId, StoredOutput};

pub use self::claims::Clash;
use self::claims::Maker;
use self::intern::{Id, Interner};
use self::misread::Misread;
use self::unborn::Unborn;
use self::waits::{Group, Risk, Rows, Slot};
use super::outcome::Status;

pub type StepId = u32;
pub type FileId = u32;

/// The end of a list of slots.
pub const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub target: u32,
    /// Its position among the target's rows.
    pub row: u32,
    /// Where its values start in [`Steps::values`]; as many as the target has bindings.
    first_value: u32,
    /// Where its slots start in [`Steps::slots`]; as many as the target has inputs and `after`.
    pub(super) first_slot: u32,
    /// Where its paths start in [`Steps::paths`]; as many as the target has outputs. [`NONE`] where it may have none.
    first_path: u32,
    /// Slots whose wait is not over.
    pub pending: u32,
    /// The first of the slots that wait on it.
    pub(super) first_waiter: u32,
    pub status: Status,
}

/// A value, and the digest that came with it (a position in [`Steps::fingerprints`], or [`NONE`]).
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub value: Id,
    pub fingerprint: u32,
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
    /// Steps that cannot be, by their targets, in the order of their numbers.
    pub refused: HashMap<TargetId, Vec<StepId>>,
    /// Rows that could not be read, in place of the steps that would have come of them.
    pub(super) misread: Misread,
    /// The same where what they are read out of could not be made.
    pub(super) unborn: Unborn,
    /// How many slots such a step has beyond those of its own target.
    pub(super) waits_also: HashMap<StepId, usize>,
    /// Where nothing is run: what a build brings back from the store, output by output.
    pub restores: HashMap<StepId, Vec<StoredOutput>, RandomState>,
    /// Where nothing is run: steps that may be blocked, or not be there, each with what may fail again.
    pub at_risk: HashMap<StepId, Risk, RandomState>,
    /// The same: steps of which it is not sure how they are told to come out.
    pub unsure: HashSet<StepId>,
    /// For each path of the state, by its number: who makes it.
    makers: Vec<Maker>,
    /// Every folder that an output lies in, with one step that needs it.
    folders: HashMap<PathId, StepId, RandomState>,
    last_folder: String,
    /// The files that cannot be since they are folders, each with the first step that would make it: what comes to lie in
    /// such a folder later cannot be, either.
    contested: HashMap<PathId, StepId, RandomState>,
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
            refused: HashMap::new(),
            misread: Misread::default(),
            unborn: Unborn::default(),
            waits_also: HashMap::new(),
            restores: HashMap::default(),
            at_risk: HashMap::default(),
            unsure: HashSet::new(),
            makers: Vec::new(),
            folders: HashMap::default(),
            last_folder: String::new(),
            contested: HashMap::default(),
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

    /// The targets that describe a step, the one that it goes by first, each with its row there.
    pub fn rows_of(&self, id: StepId) -> impl Iterator<Item = (TargetId, u32)> + '_ {
        let step = self.step(id);
        let also = self.shared.get(&id).into_iter().flatten().copied();
        std::iter::once((step.target as usize, step.row)).chain(also)
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

    /// What a step reads, and then what it only waits for.
    pub fn slots_of(&self, id: StepId) -> &[Slot] {
        let target = self.target(id);
        let first = self.step(id).first_slot as usize;
        let also = if self.waits_also.is_empty() { 0 } else { self.waits_also.get(&id).copied().unwrap_or(0) };
        &self.slots[first..first + target.inputs.len() + target.after.len() + also]
    }

    /// The slots of what a step reads.
    pub fn inputs_of(&self, id: StepId) -> &[Slot] {
        &self.slots_of(id)[..self.target(id).inputs.len()]
    }

    /// The paths of a step's outputs; none where these themselves were refused.
    pub fn outputs(&self, id: StepId) -> &[PathId] {
        let first = self.step(id).first_path;
        if first == NONE {
            return &[];
        }
        &self.paths[first as usize..first as usize + self.target(id).outputs.len()]
    }

    /// `target@binding=value,…`, with nothing in it that a terminal would obey.
    pub fn label(&self, id: StepId) -> String {
        self.label_as(id, self.step(id).target as usize)
    }

    /// The same by another of the targets that describe it.
    pub fn label_as(&self, id: StepId, target: TargetId) -> String {
        let target = &self.pipeline.targets[target];
        let mut label = String::with_capacity(96);
        label.push_str(&target.name);
        let known = target.bindings.iter().zip(self.values_of(id)).filter(|(binding, _)| self.is_known_of(id, binding));
        for (i, (binding, value)) in known.enumerate() {
            label.push(if i == 0 { '@' } else { ',' });
            label.push_str(&binding.name);
            label.push('=');
            label.push_str(&printable(value));
        }
        label
    }

    /// It would be made, so that what it will have made is not known: of what comes back from the store, it is.
    pub fn is_open(&self, id: StepId) -> bool {
        self.step(id).status == Status::Stale && !self.restores.contains_key(&id)
    }

    /// Whether a step cannot be.
    pub fn is_refused(&self, id: StepId) -> bool {
        let refused = self.refused.get(&(self.step(id).target as usize));
        refused.is_some_and(|refused| refused.binary_search(&id).is_ok())
    }

    /// The step of a target that cannot be and has the values that a reader joins it by.
    pub fn refused_with(&self, of: TargetId, on: &[(usize, Pattern)], reader: StepId) -> Option<StepId> {
        let refused = self.refused.get(&of)?;
        let joined = pattern::joined(on, &self.values_of(reader));
        let has = |step: StepId| {
            let values = self.values_of(step);
            joined.iter().all(|(binding, value)| values[*binding] == value)
        };
        refused.iter().copied().find(|&step| has(step))
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
}

/// Text with control characters escaped and the middle of long values left out.
pub fn printable(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 160;
    // Nearly all are like this, and labels are made by the thousand.
    if text.len() <= LONGEST && text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return text.into();
    }
    let clean: String =
        text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    if clean.chars().count() <= LONGEST {
        return clean.into();
    }
    let start: String = clean.chars().take(LONGEST / 2).collect();
    format!("{start}… ({} characters)", text.chars().count()).into()
}
