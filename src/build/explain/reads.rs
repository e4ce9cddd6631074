//! The files that a step reads: as they are now, and where that is something else, as its last run read them.

use std::collections::HashMap;

use crate::pipeline::{paths, pattern};
use crate::store::state::StepRecord;
use crate::store::{Digest, hex, told};

use crate::build::decide::key::{crowd_name, input_name};
use crate::build::engine::Engine;
use crate::build::files::folders;
use crate::build::files::found::UNTOLD;
use crate::build::files::{self, Look};
use crate::build::steps::StepId;
use crate::build::steps::waits::Wait;

/// A file that a step reads.
#[derive(Clone, Debug)]
pub struct Read {
    pub path: String,
    pub now: Now,
    /// The start of the digest that the last run read, where it is not that of now.
    pub was: Option<String>,
    /// Of the entry under `inputs:` that it comes from.
    pub name: Option<String>,
    /// The step that makes it, and where that stands unless it is well.
    pub step: Option<(String, Option<String>)>,
    /// The step found it while it ran.
    pub found: bool,
    /// The last run did not read it.
    pub left_out: bool,
    /// It did without that, since the input is `partial`.
    pub done_without: bool,
    /// A step made it, and none does any more.
    pub orphan: bool,
}

/// What lies at a path.
#[derive(Clone, Debug)]
pub enum Now {
    /// The start of its digest.
    Is(String),
    /// It is there, and no build has seen it yet.
    Unknown,
    Gone,
    /// It cannot be read: why.
    Unusable(String),
    /// Which file it was is not known any more, or there were many.
    Untold,
}

impl Read {
    /// The start of its digest, where that is known.
    pub fn digest(&self) -> Option<&str> {
        match &self.now {
            Now::Is(digest) => Some(digest),
            Now::Unknown | Now::Gone | Now::Unusable(_) | Now::Untold => None,
        }
    }

    /// Whether it is there, where that can be told.
    pub fn there(&self) -> Option<bool> {
        match &self.now {
            Now::Is(_) | Now::Unknown | Now::Unusable(_) => Some(true),
            Now::Gone => Some(false),
            Now::Untold => None,
        }
    }
}

impl Engine<'_> {
    /// What a step reads: the inputs that it names, and those that its last run found.
    pub(crate) fn reads(&self, id: StepId, record: Option<&StepRecord>) -> Vec<Read> {
        let target = self.steps.target(id);
        let parts = record.into_iter().flat_map(|record| &record.parts);
        let then: HashMap<[u8; 8], [u8; 8]> = parts.map(|part| (part.name, part.value)).collect();
        let mut reads = Vec::new();
        for (position, (input, slot)) in target.inputs.iter().zip(self.steps.slots_of(id)).enumerate() {
            // Of a crowd it is only known what all of it was.
            let crowd = crowd_name(position);
            let is_told = record.is_some_and(|record| record.absent.is_none()) && !then.contains_key(&crowd);
            let mut add = |path: &str, step: Option<StepId>| {
                let was = then.get(&input_name(path)).copied();
                let mut read = self.read(path, was);
                read.name.clone_from(&input.name);
                read.step = step.map(|s| (self.steps.label(s), self.trouble(s)));
                read.orphan &= step.is_none();
                read.left_out = is_told && was.is_none();
                read.done_without = read.left_out
                    && self.goes_on_without(id, position)
                    && record.is_some_and(|record| self.left_out_by_the_last_run(id, record, path).is_some());
                reads.push(read);
            };
            let named = self.named_output(id, position, slot.wait);
            let is_read = |path: &&String| named.as_ref().is_none_or(|named| *path == named);
            let mut add_step =
                |step: StepId| self.files_of(step).iter().filter(is_read).for_each(|path| add(path, Some(step)));
            match slot.wait {
                Wait::Step(step) => add_step(step),
                Wait::Group(group) => self.steps.ordered(group).into_iter().for_each(add_step),
                Wait::File(file) => {
                    if let Some(&path) = self.steps.files.get(file as usize) {
                        add(self.state.path(path), None);
                    }
                }
                Wait::None => {}
            }
            if let Some((maker, path)) = self.in_circle(id, position) {
                add(&path, Some(maker));
                continue;
            }
            // What was never read yet is told as to come.
            if let Some(path) = self.file_in_place(id, position).map(|path| self.state.path(path))
                && then.contains_key(&input_name(path))
            {
                add(path, None);
            }
        }
        reads.extend(record.into_iter().flat_map(|record| self.found_inputs(record)));
        reads
    }

    /// The files that a step makes, or would make if that were not refused.
    pub(crate) fn files_of(&self, step: StepId) -> Vec<String> {
        if !self.steps.outputs(step).is_empty() || !self.steps.is_refused(step) {
            return self.paths(step).map(str::to_owned).collect();
        }
        let values = self.steps.values_of(step);
        let files = self.steps.target(step).outputs.iter().map(|output| pattern::fill(&output.pattern, &values));
        // What leaves the pipeline's folder is no file of its own.
        files.filter(|file| paths::safe_path(file.trim_end_matches('/')).is_ok()).collect()
    }

    /// The inputs that a record says were found.
    pub(crate) fn found_inputs<'a>(&'a self, record: &'a StepRecord) -> impl Iterator<Item = Read> + 'a {
        record.found.iter().filter(|found| !folders::is_inside(&found.path)).map(|found| {
            if found.content == Digest::default() {
                let was = Some(UNTOLD.to_owned());
                return Read { found: true, was, ..self.read(&found.path, None) };
            }
            Read { found: true, ..self.read(&found.path, Some(found.content.short())) }
        })
    }

    /// A file as it is now, beside the start of the digest that was read then.
    pub(crate) fn read(&self, path: &str, then: Option<[u8; 8]>) -> Read {
        let known = self.state.file(path);
        let full = self.pipeline.root.join(path);
        let seen = known.is_some() || then.is_some();
        let mut digest = None;
        let now = match seen.then(|| files::look_at_input(&full, known)) {
            Some(Look::Same(record) | Look::Hashed(record)) => {
                digest = Some(record.content.short());
                Now::Is(hex(&record.content.short()))
            }
            Some(Look::Unusable(why)) => Now::Unusable(why.to_string()),
            // What no build has seen may be large: it is not read here.
            None if full.exists() => Now::Unknown,
            Some(Look::Missing) | None => Now::Gone,
        };
        let was = then.filter(|then| digest != Some(*then)).map(|then| match digest {
            Some(now) => told(&then, &now).0,
            None => hex(&then),
        });
        let step = self.maker_around(path);
        let orphan = step.is_none() && known.is_some() && self.left_behind_by(path).is_some();
        let step = step.map(|step| (self.steps.label(step), self.trouble(step)));
        Read {
            path: path.to_owned(),
            now,
            was,
            name: None,
            step,
            found: false,
            left_out: false,
            done_without: false,
            orphan,
        }
    }
}
