//! Which failures keep what from being made: each blocked step is counted once for every failure that it waits for,
//! through however many others.

use std::collections::HashMap;
use std::rc::Rc;

use crate::pipeline::model::{AxisKind, TargetId};

use crate::build::engine::Engine;
use crate::build::outcome::Status;
use crate::build::steps::StepId;
use crate::build::steps::waits::{GroupId, Wait};

/// What may be held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Step(StepId),
    Group(GroupId),
}

/// The steps at fault, ascending. Steps in a row behind each other share one list.
pub(crate) type Roots = Rc<[StepId]>;

/// Those of each node that was asked about.
pub(crate) type Known = HashMap<Node, Roots>;

impl Engine<'_> {
    /// How many steps are blocked, directly or through others, by the same failures.
    pub(crate) fn blame(&self) -> Vec<(Roots, usize)> {
        let mut roots = Known::new();
        // Counted by list first: where many steps share a long one, it is gone through once.
        let mut lists: HashMap<*const StepId, (Roots, usize)> = HashMap::new();
        let counted = self.all_blocked().filter(|&id| self.rules[self.steps.step(id).target as usize].is_some());
        for id in counted.collect::<Vec<_>>() {
            let list = self.roots_of(Node::Step(id), &mut roots);
            lists.entry(list.as_ptr()).or_insert((list, 0)).1 += 1;
        }
        lists.into_values().collect()
    }

    /// The steps at fault for which one is blocked, each with what is the matter with it.
    pub(crate) fn faults(&self, id: StepId, known: &mut Known) -> Vec<String> {
        if self.steps.step(id).status != Status::Blocked {
            return Vec::new();
        }
        let roots = self.roots_of(Node::Step(id), known);
        let fault = |root: &StepId| {
            let why = self.accounts.get(root).and_then(|account| account.message.as_deref());
            format!("{}: {}", self.steps.label(*root), why.unwrap_or(self.steps.step(*root).status.word()))
        };
        roots.iter().map(fault).collect()
    }

    /// The same of steps none of which can be built, each with what helps; nothing where some perhaps can.
    pub(super) fn faults_behind(&self, steps: &[StepId]) -> Vec<String> {
        let account = |id: StepId| self.accounts.get(&id);
        let cannot = |id: &StepId| self.steps.step(*id).status.fails() && account(*id).is_some_and(|a| !a.perhaps);
        if !steps.iter().all(cannot) {
            return Vec::new();
        }
        let mut known = Known::new();
        let mut roots: Vec<StepId> =
            steps.iter().flat_map(|&id| self.roots_of(Node::Step(id), &mut known).to_vec()).collect();
        roots.sort_unstable();
        roots.dedup();
        let fault = |root: StepId| {
            let account = account(root)?;
            let help = account.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            Some(format!("{}: {}{help}", self.steps.label(root), account.message.as_deref()?))
        };
        roots.into_iter().filter_map(fault).collect()
    }

    fn all_blocked(&self) -> impl Iterator<Item = StepId> + '_ {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX))
            .filter(|&id| self.steps.step(id).status == Status::Blocked)
    }

    /// Depth first with a stack of its own, since chains may be longer than a thread's stack is deep.
    fn roots_of(&self, node: Node, known: &mut Known) -> Roots {
        let mut stack = vec![node];
        while let Some(&top) = stack.last() {
            if known.contains_key(&top) {
                stack.pop();
                continue;
            }
            if let Node::Step(id) = top
                && self.steps.step(id).status != Status::Blocked
            {
                known.insert(top, Rc::from([id]));
                continue;
            }
            let blockers = self.blockers(top);
            let unknown: Vec<Node> = blockers.iter().copied().filter(|b| !known.contains_key(b)).collect();
            if unknown.is_empty() {
                let list = joined(blockers.iter().filter_map(|b| known.get(b)));
                known.insert(top, list);
            } else {
                stack.extend(unknown);
            }
        }
        known.get(&node).cloned().unwrap_or_default()
    }

    /// What directly holds up a blocked step, or the steps of a group.
    fn blockers(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Step(id) => {
                let slots = self.steps.slots_of(id).iter().enumerate().filter(|(at, _)| !self.goes_on_without(id, *at));
                slots
                    .filter_map(|(_, slot)| match slot.wait {
                        Wait::Step(step) => {
                            let fails = self.steps.step(step).status.fails();
                            fails.then(|| Node::Step(self.first_rival(step)))
                        }
                        Wait::Group(group) => self.steps.groups[group as usize].blocked_by.map(|_| Node::Group(group)),
                        Wait::File(_) | Wait::None => None,
                    })
                    .collect()
            }
            Node::Group(id) => {
                let group = &self.steps.groups[id as usize];
                let steps = &self.steps.rows[group.target].steps;
                let own = group.rows.iter().map(|&row| steps[row as usize]);
                let own = own.filter(|&s| self.steps.step(s).status.fails()).map(Node::Step);
                // Rows that a failure kept from being.
                let sources = self.sources(id);
                let misread = self.steps.misread_behind(id, &sources).map(Node::Step);
                let unborn = sources.iter().filter(|&&g| self.steps.groups[g as usize].blocked_by.is_some());
                own.chain(misread).chain(unborn.map(|&group| Node::Group(group))).collect()
            }
        }
    }

    /// What keeps a file from coming that a step would read by a `partial` input: a step that the values of its own step
    /// would have been read out of.
    pub(crate) fn kept_away_by(&self, id: StepId, path: &str) -> Option<StepId> {
        let slots = self.steps.inputs_of(id).iter().enumerate().filter(|(at, _)| self.goes_on_without(id, *at));
        let targets = slots.filter_map(|(_, slot)| match slot.wait {
            Wait::Group(group) if self.is_kept_from_rows(group) => Some(self.steps.groups[group as usize].target),
            _ => None,
        });
        let targets: Vec<TargetId> = targets.collect();
        if targets.is_empty() {
            return None;
        }
        let makers = self.makers().of(path).into_iter().filter(|(target, _)| targets.contains(target));
        makers.into_iter().find_map(|(target, values)| self.blocked_parent(target, &values))
    }

    /// The step that blocks and that these values of a target would have been read out of, directly or through others.
    fn blocked_parent(&self, target: TargetId, values: &[(usize, String)]) -> Option<StepId> {
        let this = &self.pipeline.targets[target];
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        this.axes.iter().enumerate().find_map(|(axis, of)| {
            let AxisKind::From { target: parent, .. } = of.kind else { return None };
            if let Some(step) = self.parent_step(target, axis, value) {
                let blocking = Some(step).filter(|&step| self.steps.step(step).status.blocks());
                return blocking.or_else(|| self.steps.misread_out_of(target, step));
            }
            let ours = this.bindings.iter().enumerate().filter(|(_, b)| b.axis == axis);
            let theirs = ours.filter_map(|(b, binding)| Some((binding.parent?, value(b)?.to_owned())));
            self.blocked_parent(parent, &theirs.collect::<Vec<_>>())
        })
    }

    /// Whether rows may be missing from a group, since what they are read out of is at fault, or cannot be read.
    pub(crate) fn is_kept_from_rows(&self, group: GroupId) -> bool {
        let is_blocked = |from: GroupId| {
            let group = &self.steps.groups[from as usize];
            let steps = &self.steps.rows[group.target].steps;
            let mut rows = group.rows.iter().map(|&row| steps[row as usize]);
            let is_read = |step: StepId| self.old_lists.contains(&step);
            let is_missing = |step: StepId| self.steps.step(step).status.blocks() && !is_read(step);
            group.blocked_by.is_some_and(|by| !is_read(by) || rows.any(is_missing))
        };
        self.sources(group).into_iter().any(is_blocked) || self.is_misread_group(group)
    }

    /// The groups that the rows of a group are read out of.
    pub(crate) fn sources(&self, group: GroupId) -> Vec<GroupId> {
        let this = &self.steps.groups[group as usize];
        match this.read_out_of {
            Some(from) => vec![from],
            None => {
                self.pipeline.targets[this.target].parents().filter_map(|parent| self.steps.whole(parent)).collect()
            }
        }
    }
}

/// All that stand in any of the lists; the list itself where there is but one.
fn joined<'a>(lists: impl Iterator<Item = &'a Roots>) -> Roots {
    let mut distinct: Vec<&Roots> = Vec::new();
    for list in lists {
        if distinct.last().is_none_or(|last| !Rc::ptr_eq(last, list)) {
            distinct.push(list);
        }
    }
    if let [only] = distinct[..] {
        return only.clone();
    }
    let mut all: Vec<StepId> = distinct.iter().flat_map(|list| list.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}
