//! Inputs that a step's last run did without, and that are there now.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::state::{KeyPart, StepRecord};

use super::key::input_name;
use crate::build::engine::Engine;
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::steps::StepId;
use crate::build::steps::waits::{Slot, Wait};

/// The names of what records have of an input that was left out, by where its step stood; the value of each is the name that
/// the input would have. They are no part of a key.
const LEFT_OUT: [(Status, [u8; 8]); 4] = [
    (Status::Failed, *b"failed: "),
    (Status::Blocked, *b"blocked:"),
    (Status::Deferred, *b"deferred"),
    (Status::Interrupted, *b"cut off:"),
];

/// The name of what stands before those that were left out since a list which their values were read out of could not be
/// made: no step of theirs was known then. Its value is the name that the list would have as an input.
const UNLISTED: [u8; 8] = *b"no list:";

/// Whether a recorded part tells of an input that was left out.
pub(super) fn is_left_out(part: &KeyPart) -> bool {
    part.name == UNLISTED || status_of(part).is_some()
}

fn status_of(part: &KeyPart) -> Option<Status> {
    LEFT_OUT.iter().find(|(_, name)| *name == part.name).map(|(status, _)| *status)
}

/// Where the step of an input stood that a recorded run left out, or the list that its values were read out of, and the name
/// of that.
fn left_out_as(record: &StepRecord, input: &str) -> Option<(Status, Option<[u8; 8]>)> {
    let (value, mut list) = (input_name(input), None);
    record.parts.iter().find_map(|part| {
        if part.name == UNLISTED {
            list = Some(part.value);
        }
        Some((status_of(part).filter(|_| part.value == value)?, list))
    })
}

/// Whether a recorded run left an input out.
pub(crate) fn was_left_out(record: &StepRecord, input: &str) -> bool {
    left_out_as(record, input).is_some()
}

impl Engine<'_> {
    /// The steps of the `partial` inputs that a step has to do without.
    pub(crate) fn does_without(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.does_without_of(id, |_| true)
    }

    fn does_without_of(&self, id: StepId, is_meant: impl Fn(&Slot) -> bool) -> impl Iterator<Item = StepId> {
        let slots = self.steps.slots_of(id).iter().enumerate();
        let slots = slots.filter(move |(at, slot)| self.goes_on_without(id, *at) && is_meant(slot));
        let steps = slots.flat_map(|(_, slot)| match slot.wait {
            Wait::Step(step) => vec![step],
            Wait::Group(group) => {
                let group = &self.steps.groups[group as usize];
                let steps = &self.steps.rows[group.target].steps;
                group.rows.iter().map(|&row| steps[row as usize]).collect()
            }
            Wait::File(_) | Wait::None => Vec::new(),
        });
        // What stands for steps that are not known is told as that.
        steps.filter(|&step| self.steps.step(step).status.blocks() && !self.steps.is_misread(step))
    }

    /// The inputs that a step does without, as records keep them: once they come, that is to be told, whatever was built
    /// meanwhile. Of a crowd, records tell none by itself.
    pub(crate) fn left_out_parts(&self, id: StepId) -> Vec<KeyPart> {
        let is_told = |slot: &Slot| match slot.wait {
            Wait::Group(group) => !self.steps.groups[group as usize].is_crowded(),
            Wait::Step(_) | Wait::File(_) | Wait::None => true,
        };
        let part = |step: StepId, input: &str| {
            let status = self.steps.step(step).status;
            let (_, name) = LEFT_OUT.iter().find(|(of, _)| *of == status)?;
            Some(KeyPart { name: *name, value: input_name(input) })
        };
        let without = self.does_without_of(id, is_told);
        let mut parts: Vec<KeyPart> = without
            .flat_map(|step| self.files_of(step).into_iter().filter_map(move |path| part(step, &path)))
            .collect();
        let unlisted = self.unlisted_inputs(id).into_iter();
        // What stands behind a list was left out for that. One that could not be read is none of these: it was made.
        let (misread, unmade): (Vec<_>, Vec<_>) = unlisted.partition(|(list, _)| self.steps.is_misread(*list));
        parts.extend(misread.iter().flat_map(|(list, inputs)| inputs.iter().filter_map(|input| part(*list, input))));
        for (list, inputs) in unmade {
            parts.push(KeyPart { name: UNLISTED, value: input_name(self.path(list, 0)) });
            parts.extend(inputs.iter().filter_map(|input| part(list, input)));
        }
        parts
    }

    /// What the last run of a step read, or left out, and no step of which is known now, by what keeps their lists from being
    /// read.
    fn unlisted_inputs(&self, id: StepId) -> BTreeMap<StepId, BTreeSet<String>> {
        let mut unlisted: BTreeMap<StepId, BTreeSet<String>> = BTreeMap::new();
        let record = Some(id).filter(|&id| self.lacks_lists(id)).and_then(|id| self.record_of(id));
        for part in record.iter().flat_map(|record| &record.parts) {
            let name = if is_left_out(part) { &part.value } else { &part.name };
            let input = self.input_of(name).filter(|input| self.steps.find_path(&self.state, input).is_none());
            if let Some((list, input)) = input.and_then(|input| Some((self.kept_away_by(id, &input)?, input))) {
                unlisted.entry(list).or_default().insert(input);
            }
        }
        unlisted
    }

    /// An input that a step's last run did not read: where it was left out then, or was not there, that is told.
    pub(crate) fn new_input(&self, id: StepId, record: &StepRecord, input: String) -> Reason {
        match self.left_out_by_the_last_run(id, record, &input) {
            Some(before) => Reason::BackInput { input, before },
            None => Reason::NewInput(input),
        }
    }

    /// Why a `partial` input that a step's last run did not read was left out by that: what came to be since, or came into
    /// its list, was not.
    pub(crate) fn left_out_by_the_last_run(&self, id: StepId, record: &StepRecord, input: &str) -> Option<String> {
        let maker = self.steps.find_path(&self.state, input).or_else(|| self.would_make(id, input))?;
        if let Some((status, list)) = left_out_as(record, input).filter(|_| self.reads_in_part(id, maker)) {
            let was = if status == Status::Failed { "" } else { "was " };
            let by = match list.map(|list| self.input_of(&list)) {
                None => self.steps.label(maker),
                Some(list) => {
                    list.map_or_else(|| "what its values are read out of".to_owned(), |list| self.maker_of(list))
                }
            };
            return Some(format!("left out before, since {by} {was}{}", status.word()));
        }
        let made = self.record_of(maker).filter(|made| made.last_made() >= record.last_made())?;
        let was_absent = Reason::WasAbsent(String::new()).to_string();
        let label = || format!("{} was absent before", self.steps.label(maker));
        made.why?.lines().any(|cause| cause.starts_with(&was_absent)).then(label)
    }

    /// The step of a `partial` input that would make a file if that were not refused.
    pub(crate) fn would_make(&self, id: StepId, file: &str) -> Option<StepId> {
        let refused = self.steps.refused.values().flatten().copied().filter(|&step| self.reads_in_part(id, step));
        refused.filter(|&step| self.files_of(step).iter().any(|path| path == file)).min()
    }

    /// The step that makes a file, or the file, where none does now.
    fn maker_of(&self, path: String) -> String {
        self.steps.find_path(&self.state, &path).map_or(path, |step| self.steps.label(step))
    }
}
