//! Which parts of a step's key moved since its record, and how each is told as a cause.

use std::collections::{HashMap, HashSet};

use crate::pipeline::model::{Input, InputKind};
use crate::store::state::StepRecord;
use crate::store::{Digest, Sha256};

use super::changes::Changes;
use super::key::{INPUT_NAMES, Part, Template};
use super::parts::Recorded;
use crate::build::engine::{Compiled, Engine};
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::steps::StepId;

impl Engine<'_> {
    /// The parts of a step's key that moved since the record, most telling first.
    pub(crate) fn changes(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: &StepRecord,
        answer: Option<&Sha256>,
    ) -> Vec<Reason> {
        let old = self.template_of(record);
        let mut changes = Changes::new(record, old.as_ref(), &compiled.template);
        self.each_own_part(id, compiled, answer, &mut |part| changes.see(None, part));
        let in_place: HashMap<&str, Option<Digest>> = self.files_in_place(id, record).into_iter().collect();
        self.each_recorded_input(id, &mut |input| {
            let looked = match input.part {
                Part::Input { path, .. } if input.is_to_come => in_place.get(path).map(|content| (path, content)),
                _ => None,
            };
            match looked {
                Some((path, Some(content))) => changes.see(None, &Part::Input { path, content: *content }),
                Some((_, None)) => {}
                None if input.is_to_come => changes.expect_in_place(input),
                None if self.is_left_out(id, &input.part, record) => {}
                None => changes.see(input.entry, &input.part),
            }
        });
        self.each_open_input(id, &mut |path| {
            let content = self.state.file(path).map(|file| file.content);
            changes.expect(path, content);
        });
        let outputs = match self.record_path(id) {
            Some(path) => self.outputs_of_record(path, record),
            None => self.paths(id).collect(),
        };
        // Records of an earlier layermill tell the entry also of what is named by its path, where that waited for a group.
        let by_steps =
            |place: &u32| self.steps.target(id).inputs.get(*place as usize).is_none_or(|input| input.path.is_none());
        let mut moved_entries: Vec<_> = changes.moved_entries();
        moved_entries.iter_mut().for_each(|(_, places)| *places = places.map(|place| place.filter(by_steps)));
        moved_entries.retain(|(_, [then, now])| then != now);
        let are_edited = changes.has_other_entries();
        let mut found = changes.finish(&outputs, |hash| self.input_of(hash));
        found.extend(self.reordered_outputs(id, record, &outputs));
        found.extend(old.as_ref().into_iter().flat_map(|old| self.turned_outputs(id, old, &compiled.template)));
        if are_edited && !std::mem::take(&mut moved_entries).is_empty() && !found.iter().any(tells_inputs) {
            found.push(rearranged(old.as_ref(), &compiled.template));
        }
        let (grows, open) = (self.may_grow_inputs(id), self.open_groups(id).next().is_some());
        found.retain(|cause| match cause {
            Reason::LostInput(path) => {
                !grows
                    || !self.may_come(id, path)
                    || in_place.get(path.as_str()) == Some(&None)
                    || self.is_gone_for_now(id, path)
            }
            Reason::LostInputs(_) | Reason::Rearranged(_) => !grows,
            // What the crowd is to be is not known.
            Reason::ChangedInputs { .. } => !open,
            cause => !self.is_made_anew(cause),
        });
        found.extend(self.other_entries(id, moved_entries));
        let by_another = (!found.is_empty()).then(|| self.by_another_target(id, compiled, old.as_ref())).flatten();
        let told = found.into_iter().flat_map(|reason| {
            let inside = match &reason {
                Reason::ChangedInput { input, .. } => self.changed_inside(record, input),
                _ => Vec::new(),
            };
            std::iter::once(self.in_full(id, record, reason))
                .chain(inside.into_iter().map(|file| self.by_upstream(file)))
        });
        by_another.into_iter().chain(told).collect()
    }

    /// Whether the key moved though all that it is made of is as recorded, that of inputs which are to be made again
    /// included: then it was not moved by what these come to.
    pub(super) fn reads_otherwise(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: &StepRecord,
        answer: Option<&Sha256>,
    ) -> bool {
        // What went with what it reads has no key.
        if record.went_with_input() || self.may_grow_inputs(id) {
            return false;
        }
        let then: HashMap<[u8; 8], [u8; 8]> = record.parts.iter().map(|part| (part.name, part.value)).collect();
        let mut is_as_recorded = true;
        self.each_recorded_input(id, &mut |Recorded { part, .. }| {
            is_as_recorded &= then.get(&part.name_hash()) == Some(&part.value());
        });
        // What was never made is in no key yet.
        self.each_open_input(id, &mut |path| is_as_recorded &= self.state.file(path).is_some());
        let is_key = || record.key == self.key(id, compiled, answer) || self.was_key(record, id, compiled, answer);
        is_as_recorded && !is_key()
    }

    /// The outputs that were folders and are files now, or the other way round.
    fn turned_outputs(&self, id: StepId, old: &Template, new: &Template) -> Vec<Reason> {
        let (Some(then), Some(now)) = (&old.folders, &new.folders) else { return Vec::new() };
        let turned = self.paths(id).enumerate().filter(|(place, _)| then.contains(place) != now.contains(place));
        turned
            .map(|(place, path)| Reason::TurnedOutput { path: path.to_owned(), is_folder: now.contains(&place) })
            .collect()
    }

    /// The inputs that are of other entries under `inputs:` than before, or that other steps make, or none: how each was read,
    /// and how it is. What such an entry comes to have is not known while it may get more.
    fn other_entries(&self, id: StepId, moved: Vec<([u8; 8], [Option<u32>; 2])>) -> Vec<Reason> {
        if moved.is_empty() {
            return Vec::new();
        }
        let grows: HashSet<usize> = self.growing_entries(id).collect();
        let is_known = |place: &u32| !grows.contains(&(*place as usize));
        let known = moved.into_iter().filter(|(_, entries)| entries.iter().flatten().all(is_known));
        let told = known.filter_map(|(name, [then, now])| {
            let path = self.input_of(&name)?;
            let named = (self.of_entry(id, &path, then, now), self.of_entry(id, &path, now, then));
            Some(Reason::Rearranged(Some(named)))
        });
        told.collect()
    }

    /// An input as an entry under `inputs:` has it, or as it is read where no step of the `other` one makes it.
    fn of_entry(&self, id: StepId, path: &str, place: Option<u32>, other: Option<u32>) -> String {
        let entry = |place: Option<u32>| self.steps.target(id).inputs.get(place? as usize);
        let target = |input: &Input| match &input.kind {
            InputKind::Target { target, .. } => self.pipeline.targets[*target].name.as_str(),
            InputKind::Path(_) => "",
        };
        let Some(input) = entry(place) else {
            return format!("{path} of no step of {}", entry(other).map_or("", target));
        };
        let of = target(input);
        let name = input.name.as_ref().map(|name| format!("{{in.{name}}} ")).unwrap_or_default();
        format!("{name}{path} of {of}")
    }

    /// What an input is now says nothing where it is made again for sure before it is read: that is told as upstream. What is
    /// only kept back may come out as it is, unless it has a cause of its own.
    fn is_made_anew(&self, cause: &Reason) -> bool {
        let Reason::ChangedInput { input, .. } = cause else { return false };
        let has_cause = |maker| self.accounts.get(&maker).is_some_and(|account| account.reasons.is_some());
        let is_to_come = |maker: StepId| match self.steps.step(maker).status {
            Status::Failed | Status::Deferred => true,
            Status::Blocked => has_cause(maker) && !self.may_stay(maker),
            _ => self.steps.is_open(maker) && !self.may_stay(maker),
        };
        self.steps.find_path(&self.state, input).is_some_and(is_to_come)
    }

    /// An input that is not to be reckoned with.
    fn is_left_out(&self, id: StepId, part: &Part<'_>, record: &StepRecord) -> bool {
        let Part::Input { path, .. } = part else { return false };
        // Most have none, and inputs are many.
        let maker = if self.failures.is_empty() { None } else { self.steps.find_path(&self.state, path) };
        maker.is_some_and(|maker| self.goes_without(id, maker, record))
    }

    /// That another target made a step's output since, where both are there to make it, and not as one step.
    fn by_another_target(&self, id: StepId, compiled: &Compiled, recorded: Option<&Template>) -> Option<Reason> {
        let target = recorded?.target.as_ref().filter(|name| **name != self.steps.target(id).name)?;
        let path = self.path(id, 0);
        let mut makers = self.makers().of(path).into_iter().map(|(maker, _)| maker);
        let maker = makers.find(|&maker| self.pipeline.targets[maker].name == *target)?;
        let is_same = self.describes(maker, id) || recorded.is_some_and(|then| then.is_same(&compiled.template));
        (!is_same).then(|| Reason::OtherTarget { path: path.to_owned(), target: target.clone() })
    }

    /// A part that moved, with what else there is to tell of it.
    fn in_full(&self, id: StepId, record: &StepRecord, reason: Reason) -> Reason {
        match reason {
            Reason::NewInput(input) => self.new_input(id, record, input),
            Reason::LostInput(input) => self.lost(id, input),
            Reason::ChangedInputs { of, from, to } => Reason::ChangedInputs { of: self.entry(id, of), from, to },
            Reason::OtherValue { binding, to } => self.other_value(id, binding, to),
            other => self.by_upstream(other),
        }
    }

    /// An input that this build itself made anew is named with the step that made it, and so is each file in it: what comes
    /// back from the store is not made, and is known before.
    fn by_upstream(&self, reason: Reason) -> Reason {
        let a_file = |path: &str| if path.ends_with('/') { "an empty folder" } else { "a file" }.to_owned();
        let nothing = || "nothing".to_owned();
        let (input, from, to) = match &reason {
            Reason::ChangedInput { input, from, to } => (input, from.clone(), to.clone()),
            Reason::NewInput(input) => (input, nothing(), a_file(input)),
            Reason::LostInput(input) => (input, a_file(input), nothing()),
            _ => return reason,
        };
        let rebuilt = |&step: &StepId| self.steps.step(step).status == Status::Built;
        match self.maker_around(input).filter(rebuilt) {
            Some(step) => Reason::UpstreamRebuilt { step: self.steps.label(step), input: input.clone(), from, to },
            None => reason,
        }
    }

    /// A value that gives the same path as the one before, which stands in that path, too.
    fn other_value(&self, id: StepId, binding: String, to: String) -> Reason {
        let then = self.record_path(id).map(|path| self.values_in(self.state.path(path))).unwrap_or_default();
        match then.into_iter().find(|(name, ..)| *name == binding) {
            Some((name, from, _)) => Reason::Parameter { name, from: Some(from), to: Some(to) },
            None => Reason::OtherValue { binding, to },
        }
    }

    /// An input that is not among those of now: there is none such any more, or it is done without.
    fn lost(&self, id: StepId, input: String) -> Reason {
        let maker = self.steps.find_path(&self.state, &input);
        let blocks = |&maker: &StepId| self.steps.step(maker).status.blocks() && self.reads_in_part(id, maker);
        let by = match maker {
            Some(_) => maker.filter(blocks),
            None => self.kept_away_by(id, &input),
        };
        match by.or_else(|| self.would_make(id, &input)) {
            Some(step) => Reason::LeftOut { input, step: self.steps.label(step), status: self.steps.step(step).status },
            None => Reason::LostInput(input),
        }
    }

    /// An entry of `inputs:`, told by its place as keys know it, by the name of its target.
    fn entry(&self, id: StepId, place: String) -> String {
        let target = self.steps.target(id);
        let position = place.strip_prefix("input ").and_then(|place| place.parse::<usize>().ok());
        let input = position.and_then(|position| target.inputs.get(position.checked_sub(1)?));
        match input.map(|input| &input.kind) {
            Some(InputKind::Target { target, .. }) => self.pipeline.targets[*target].name.clone(),
            _ => place,
        }
    }
}

/// That the same files are read by other entries under `inputs:`.
pub(super) fn rearranged(old: Option<&Template>, new: &Template) -> Reason {
    let named = old.and_then(|old| old.inputs.clone()).zip(new.inputs.clone());
    Reason::Rearranged(named.filter(|(from, to)| from != to))
}

/// Whether a cause tells that other entries under `inputs:` read other files, or in another order.
fn tells_inputs(cause: &Reason) -> bool {
    match cause {
        Reason::Parameter { name, .. } => name == INPUT_NAMES,
        cause => matches!(
            cause,
            Reason::NewInput(_)
                | Reason::LostInput(_)
                | Reason::LostInputs(_)
                | Reason::Reordered { .. }
                | Reason::Rearranged(_)
                | Reason::ChangedInputs { .. }
        ),
    }
}
