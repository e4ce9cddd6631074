//! Paths that may turn out to be something else than what they are taken for: what it is seen by comes first.

use crate::build::engine::Engine;
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;
use crate::pipeline::model::{Input, InputKind, Meets, TargetId, is_read_out_of};
use crate::pipeline::pattern;

type Values = Vec<(usize, String)>;

/// What is known of the ways in which a path may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// A list that tells is still to be decided about, and is waited for.
    ToCome,
    /// One that may have the step which makes the file cannot be had, or is seen only while building.
    Open,
    /// All lists are there.
    Told,
}

impl Engine<'_> {
    /// Lets a step wait for what it is seen by what the path at a place of its inputs is: what the values of a step are read
    /// out of that may make it, or a folder around or in it; with `all`, also one of the target that it is taken for.
    pub(super) fn wait_for_lists(&mut self, id: StepId, position: usize, all: bool) -> Ways {
        let (values, input) = (self.steps.values_of(id), &self.steps.target(id).inputs[position]);
        // What lies there as a file is no folder.
        let is_file =
            || input.path.as_ref().is_some_and(|path| self.pipeline.root.join(pattern::fill(path, &values)).is_file());
        let may_meet_a_folder = input.others.iter().any(|other| other.meets == Meets::InFolder);
        let may_be_folder = may_meet_a_folder && !is_file();
        let own = match &input.kind {
            InputKind::Target { target, on, .. } if all => Some((*target, on, Meets::AsOne)),
            InputKind::Target { .. } | InputKind::Path(_) => None,
        };
        let others = input.others.iter().map(|other| (other.target, &other.on, other.meets));
        let ways = own.into_iter().chain(others).filter(|(.., meets)| *meets != Meets::InFolder || may_be_folder);
        let ways = ways.map(|(target, on, meets)| (target, pattern::joined(on, &values), meets));
        // What lies in a circle is not made for this one.
        let may_be = |(target, theirs, meets): &(TargetId, Values, Meets)| {
            self.may_have(*target, theirs) && (*meets != Meets::InCircle || self.wanted[*target].may_take(theirs))
        };
        let ways: Vec<_> = ways.filter(may_be).collect();
        let mut to_come = None;
        let is_to_come = |list: StepId| !self.steps.step(list).status.is_done();
        for (target, theirs, _) in &ways {
            self.each_list(*target, theirs, &mut |list| {
                to_come = to_come.or(Some(list).filter(|&list| is_to_come(list)));
                to_come.is_none()
            });
        }
        if let Some(list) = to_come {
            self.steps.wait_also(id, &[Wait::Step(list)]);
            return Ways::ToCome;
        }
        // What cannot be had is met only once nothing else is to come.
        let (mut open, mut is_open) = (Vec::new(), false);
        for (target, theirs, meets) in &ways {
            self.each_list(*target, theirs, &mut |list| {
                // Of a list that cannot be had, there is nothing in a circle.
                let is_met = *meets != Meets::InCircle || self.steps.is_open(list);
                if is_met && !self.is_settled(list) {
                    open.push(Wait::Step(list));
                    is_open |= *meets == Meets::AsOne;
                }
                true
            });
        }
        if !self.goes_on_without(id, position) {
            self.steps.wait_also(id, &open);
        }
        // Of a file that may lie in a folder which a step makes, it is seen as a file whether it does.
        if is_open && !may_meet_a_folder { Ways::Open } else { Ways::Told }
    }

    /// Takes back what a step waited for to see what its paths are, where they came to be another's: nothing hangs on it.
    pub(super) fn drop_lists(&mut self, id: StepId) {
        if !self.steps.waits_also.contains_key(&id) {
            return;
        }
        for position in self.steps.target(id).inputs.len()..self.steps.slots_of(id).len() {
            if let Wait::Step(list) = self.steps.slots_of(id)[position].wait
                && self.steps.step(list).status.is_done()
                && !self.tells_what_is_named(id, list)
                && !self.tells_a_circle(id, list)
            {
                self.steps.drop_wait(id, position);
            }
        }
    }

    /// Whether a list tells what a path is that a step names, where that is not seen yet.
    pub(super) fn tells_what_is_named(&self, id: StepId, list: StepId) -> bool {
        self.named_by(id, list).next().is_some()
    }

    /// The places of the inputs of which a list tells what they are.
    fn named_by(&self, id: StepId, list: StepId) -> impl Iterator<Item = usize> + '_ {
        let inputs = self.steps.target(id).inputs.iter().zip(self.steps.inputs_of(id)).enumerate();
        let told =
            inputs.filter(move |(_, (input, slot))| !self.is_name_seen(slot.wait) && self.tells(list, input).is_some());
        told.map(|(position, _)| position)
    }

    /// Whether it is seen what a path is that is named as an input.
    pub(super) fn is_name_seen(&self, wait: Wait) -> bool {
        match wait {
            Wait::Step(step) => !self.is_in_doubt(step),
            Wait::Group(group) => !self.steps.groups[group as usize].rows.is_empty(),
            Wait::File(_) => false,
            Wait::None => true,
        }
    }

    /// The target by which a list tells what the path of an input is.
    fn tells(&self, list: StepId, input: &Input) -> Option<TargetId> {
        let list = self.steps.step(list).target as usize;
        let own = match input.kind {
            InputKind::Target { target, .. } if !input.others.is_empty() => Some(target),
            InputKind::Target { .. } | InputKind::Path(_) => None,
        };
        let others = input.others.iter().filter(|other| other.meets != Meets::InCircle);
        let mut ways = own.into_iter().chain(others.map(|other| other.target));
        // What stands for steps that cannot be told is one of that target.
        ways.find(|&way| way == list || is_read_out_of(&self.pipeline.targets, way, list))
    }

    /// Whether it is still to be seen what a path is that a step names.
    pub(crate) fn waits_for_names(&self, id: StepId) -> bool {
        self.open_lists(id).any(|list| self.tells_what_is_named(id, list))
    }

    /// The target that may come to make the file at a place of a step's inputs, by a list that is seen only while building.
    pub(super) fn open_way(&self, id: StepId, position: usize) -> Option<TargetId> {
        let input = self.steps.target(id).inputs.get(position).filter(|input| !input.others.is_empty())?;
        let is_it = |list: &StepId| self.named_by(id, *list).any(|named| named == position);
        self.open_lists(id).filter(is_it).find_map(|list| self.tells(list, input))
    }

    /// Whether what is at fault at a place of what a step waits for may be nothing to it: it comes by a path, or tells what a
    /// path is, that may turn out to be another's.
    pub(super) fn may_be_anothers(&self, id: StepId, position: usize) -> bool {
        match self.steps.slots_of(id)[position].wait {
            _ if !self.steps.waits_also.contains_key(&id) => false,
            Wait::Step(list) if position >= self.steps.target(id).inputs.len() => self
                .named_by(id, list)
                .all(|named| self.open_way(id, named).is_some() || self.may_be_its_own(id, named)),
            Wait::Group(group) if self.steps.groups[group as usize].rows.is_empty() => {
                self.open_way(id, position).is_some()
            }
            Wait::Step(_) | Wait::Group(_) | Wait::File(_) | Wait::None => false,
        }
    }

    /// Whether the target that a path is taken for may come to have the step that makes it, by a list that is made first.
    fn may_be_its_own(&self, id: StepId, position: usize) -> bool {
        let Wait::Group(group) = self.steps.slots_of(id)[position].wait else { return false };
        let group = &self.steps.groups[group as usize];
        group.rows.is_empty() && group.stale.is_some()
    }

    /// What is still to be had before it is seen whether another target than the one that a path is taken for makes it, with
    /// that target.
    pub(crate) fn lists_of_another(&self, id: StepId, position: usize) -> Option<(TargetId, Vec<StepId>)> {
        let lists = self.steps.slots_of(id).iter().skip(self.steps.target(id).inputs.len());
        let lists = lists.filter_map(|slot| match slot.wait {
            Wait::Step(list) if self.named_by(id, list).any(|named| named == position) => Some(list),
            _ => None,
        });
        let mut lists: Vec<StepId> = lists.filter(|&list| !self.is_settled(list)).collect();
        let way = |list: StepId| self.tells(list, &self.steps.target(id).inputs[position]);
        let of = way(*lists.first()?)?;
        lists.retain(|&list| way(list) == Some(of));
        Some((of, lists))
    }

    pub(super) fn open_lists(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.steps.slots_of(id).iter().filter_map(|slot| match slot.wait {
            Wait::Step(list) => Some(list).filter(|&list| self.steps.is_open(list)),
            Wait::Group(_) | Wait::File(_) | Wait::None => None,
        })
    }

    /// Goes through the steps that are made before it is seen whether a target has a step of these values, and what stands
    /// for steps that could not be read out of them, for as long as more are wanted; whether they still are.
    fn each_list(&self, target: TargetId, values: &[(usize, String)], wants: &mut dyn FnMut(StepId) -> bool) -> bool {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        (0..self.pipeline.targets[target].axes.len()).all(|axis| {
            let Some((parent, theirs)) = self.read_from(target, axis, values) else { return true };
            let is_one = theirs.len() == self.pipeline.targets[parent].bindings.len();
            let mut tell =
                |list: StepId| wants(list) && self.steps.misread_out_of(target, list).is_none_or(&mut *wants);
            let goes_on = match is_one {
                true => self.parent_step(target, axis, value).is_none_or(&mut tell),
                false => {
                    let mut lists = self.steps.rows[parent].steps.iter().copied();
                    lists.by_ref().filter(|&list| self.has_values(list, &theirs)).all(tell)
                }
            };
            goes_on && self.each_list(parent, &theirs, wants)
        })
    }

    fn has_values(&self, id: StepId, values: &Values) -> bool {
        let own = self.steps.values_of(id);
        values.iter().all(|(binding, value)| own[*binding] == value)
    }
}
