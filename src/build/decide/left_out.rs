//! Inputs that a step's last run did without, and that are there now.

use std::collections::HashSet;

use crate::store::state::{KeyPart, StepRecord};

use super::key::input_name;
use crate::build::engine::Engine;
use crate::build::failures::Failures;
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::reasons::is_first_build;
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

/// Whether a recorded part tells of an input that was left out.
pub(super) fn is_left_out(part: &KeyPart) -> bool {
    LEFT_OUT.iter().any(|(_, name)| *name == part.name)
}

/// Where the step of an input stood that a recorded run left out.
fn left_out_as(record: &StepRecord, input: &str) -> Option<Status> {
    let value = input_name(input);
    let mut parts = record.parts.iter().filter(|part| part.value == value);
    parts.find_map(|part| LEFT_OUT.iter().find(|(_, name)| *name == part.name).map(|(status, _)| *status))
}

impl Engine<'_> {
    /// The steps of the `partial` inputs that a step has to do without.
    pub(crate) fn does_without(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        let slots = self.steps.slots_of(id).iter().enumerate().filter(move |(at, _)| self.goes_on_without(id, *at));
        let steps = slots.flat_map(|(_, slot)| match slot.wait {
            Wait::Step(step) => vec![step],
            Wait::Group(group) => {
                let group = &self.steps.groups[group as usize];
                let steps = &self.steps.rows[group.target].steps;
                group.rows.iter().map(|&row| steps[row as usize]).collect()
            }
            Wait::File(_) | Wait::None => Vec::new(),
        });
        steps.filter(|&step| self.steps.step(step).status.blocks())
    }

    /// The inputs that a step does without, as records keep them: once they come, that is to be told, whatever was built
    /// meanwhile. Of a crowd, records tell none by itself.
    pub(crate) fn left_out_parts(&self, id: StepId) -> Vec<KeyPart> {
        let crowd = |(at, slot): (usize, &Slot)| match slot.wait {
            Wait::Group(group) => self.goes_on_without(id, at) && self.steps.groups[group as usize].is_crowded(),
            Wait::Step(_) | Wait::File(_) | Wait::None => false,
        };
        if self.steps.slots_of(id).iter().enumerate().any(crowd) {
            return Vec::new();
        }
        let name = |status: Status| LEFT_OUT.iter().find(|(of, _)| *of == status).map(|(_, name)| *name);
        let without = self.does_without(id).filter_map(|step| Some((step, name(self.steps.step(step).status)?)));
        let parts = without
            .flat_map(|(step, name)| self.paths(step).map(move |path| KeyPart { name, value: input_name(path) }));
        parts.collect()
    }

    /// An input that a step's last run did not read: where it was left out then, or was not there, that is told.
    pub(crate) fn new_input(&self, id: StepId, record: &StepRecord, input: String) -> Reason {
        match self.left_out_by_the_last_run(id, record, &input) {
            Some(before) => Reason::BackInput { input, before },
            None => Reason::NewInput(input),
        }
    }

    /// Whether a `partial` input that a step's last run did not read was left out by that: what came to be since was not.
    pub(crate) fn was_done_without(&self, id: StepId, record: &StepRecord, input: &str, maker: Option<StepId>) -> bool {
        let at = record.last_made();
        let root = maker.and_then(|maker| self.at_risk(maker));
        root.is_some_and(|root| self.came_to_nothing(root, at).is_some())
            || self.left_out_by_the_last_run(id, record, input).is_some()
    }

    fn left_out_by_the_last_run(&self, id: StepId, record: &StepRecord, input: &str) -> Option<String> {
        let told = format!("left out: {input}, since ");
        let mut causes = record.why.iter().flat_map(|why| why.lines());
        if let Some(why) = causes.find_map(|cause| cause.strip_prefix(&told)) {
            let was = |status: Status| {
                Some(format!("{} was {}", why.strip_suffix(&format!(" is {}", status.word()))?, status.word()))
            };
            let was = [Status::Blocked, Status::Deferred, Status::Interrupted].into_iter().find_map(was);
            return Some(format!("left out before, since {}", was.as_deref().unwrap_or(why)));
        }
        let maker = self.steps.find_path(&self.state, input)?;
        let recorded = left_out_as(record, input).filter(|_| self.reads_in_part(id, maker));
        if recorded.is_none() && self.became_an_output(maker, record.last_made(), input) {
            return None;
        }
        if let Some((step, word)) =
            self.came_to_nothing(maker, record.last_made()).filter(|_| self.reads_in_part(id, maker))
        {
            let was = if word == Status::Failed.word() { "" } else { "was " };
            return Some(format!("left out before, since {} {was}{word}", self.steps.label(step)));
        }
        if let Some(status) = recorded {
            let was = if status == Status::Failed { "" } else { "was " };
            return Some(format!("left out before, since {} {was}{}", self.steps.label(maker), status.word()));
        }
        let made = self.record_of(maker).filter(|made| made.last_made() >= record.last_made())?;
        let was_absent = Reason::WasAbsent(String::new()).to_string();
        let label = || format!("{} was absent before", self.steps.label(maker));
        made.why?.lines().any(|cause| cause.starts_with(&was_absent)).then(label)
    }

    /// Whether a step that was made before a time had no output of this name then.
    fn became_an_output(&self, maker: StepId, at: i64, output: &str) -> bool {
        let Some((first, made)) = self.record_path(maker).zip(self.record_of(maker)) else { return false };
        let named =
            Reason::Parameter { name: "output".to_owned(), from: None, to: Some(output.to_owned()) }.to_string();
        let is_named = |why: &String| made.last_made() >= at && why.lines().any(|cause| cause == named);
        !self.outputs_of_record(first, &made).contains(&output) || made.why.as_ref().is_some_and(is_named)
    }

    /// What came to nothing when it was last tried before a time, so that a step was not to be had then: that itself, or
    /// what its values are read out of, where it had been made before that.
    fn came_to_nothing(&self, step: StepId, at: i64) -> Option<(StepId, &'static str)> {
        let failures = self.failures_before.get_or_init(|| Failures::kept(&self.work_dir));
        if failures.is_empty() {
            return None;
        }
        if let Some(word) = self.word_then(failures, step, at) {
            return Some((step, word));
        }
        if let Some(word) = self.waited_in_vain(failures, step, at) {
            return Some((step, word));
        }
        if !self.was_made_by(step, at) {
            return None;
        }
        let target = self.steps.step(step).target as usize;
        self.parent_steps(target, step).find_map(|(_, parent)| self.came_to_nothing(parent, at))
    }

    fn word_then(&self, failures: &Failures, step: StepId, at: i64) -> Option<&'static str> {
        failures.get(self.path(step, 0)).filter(|failed| !failed.interrupted)?.word_at(at)
    }

    /// The word for a step that waited then for what came to nothing: no attempt of it is kept.
    fn waited_in_vain(&self, failures: &Failures, step: StepId, at: i64) -> Option<&'static str> {
        let (mut open, mut seen) = (vec![step], HashSet::from([step]));
        while let Some(reader) = open.pop() {
            let was_there = self.was_made_by(reader, at);
            let mut waits_for: Vec<StepId> = Vec::new();
            for (position, slot) in self.steps.slots_of(reader).iter().enumerate() {
                match slot.wait {
                    _ if self.goes_on_without(reader, position) => {}
                    Wait::Step(input) => waits_for.push(input),
                    // A crowd is too much to go through for each of its readers.
                    Wait::Group(group) if !self.steps.groups[group as usize].is_crowded() => {
                        waits_for.extend(self.steps.ordered(group));
                    }
                    Wait::Group(_) | Wait::File(_) | Wait::None => {}
                }
            }
            // What was never made may be new itself, unless that which it waits for is of the same values.
            let values = self.steps.values_of(reader);
            waits_for.retain(|&input| was_there || !values.is_empty() && self.steps.values_of(input) == values);
            if reader != step {
                let target = self.steps.step(reader).target as usize;
                waits_for.extend(self.parent_steps(target, reader).map(|(_, parent)| parent));
            }
            waits_for.retain(|&input| seen.insert(input));
            if let Some(word) = waits_for.iter().find_map(|&input| self.word_then(failures, input, at)) {
                let deferred = Status::Deferred.word();
                return Some(if word == deferred { deferred } else { Status::Blocked.word() });
            }
            open.append(&mut waits_for);
        }
        None
    }

    /// Whether a step had been made before a time, as far as its record tells.
    fn was_made_by(&self, step: StepId, at: i64) -> bool {
        let first_made = |made: StepRecord| made.last_made() > at && made.why.as_deref().is_some_and(is_first_build);
        self.record_of(step).is_some_and(|made| !first_made(made))
    }
}
