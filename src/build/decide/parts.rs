//! What a step's key is made of, and what it reads.

use std::collections::HashSet;

use crate::pipeline::model::{Input, InputKind, TargetId};
use crate::pipeline::pattern;
use crate::rules::StepView;
use crate::store::state::{KeyPart, PathId, StepRecord};
use crate::store::{Digest, Sha256};

use super::key::{KeyMaker, Part, SetHasher, crowd_name, entry_of, entry_part, input_name};
use crate::build::engine::{Compiled, Engine};
use crate::build::outcome::Status;
use crate::build::steps::StepId;
use crate::build::steps::waits::{GroupId, Wait};

/// An input of a step, as its record keeps it.
pub(super) struct Recorded<'a> {
    pub part: Part<'a>,
    /// The place of its entry under `inputs:`, where steps made it and that might be otherwise.
    pub entry: Option<u32>,
    /// It is to be made, and there was none of it yet, or is none any more; or a file lies where it may be made.
    pub is_to_come: bool,
}

/// What a step made of one of several outputs. It is no part of its key; it ties the file's record to the step's, since
/// another step may come to write that file.
pub(crate) fn made_part(path: &str, content: Digest) -> KeyPart {
    let part = Part::Input { path, content };
    KeyPart { name: made_name(part.name_hash()), value: part.value() }
}

/// The name of that, apart from an input of the same path; of either, the other one's.
pub(super) fn made_name(input: [u8; 8]) -> [u8; 8] {
    input.map(|byte| !byte)
}

impl Engine<'_> {
    /// Whether the files of a step with several outputs are still what it made, as far as it made them.
    pub(crate) fn made_these(&self, id: StepId, record: &StepRecord) -> bool {
        let outputs = self.steps.outputs(id);
        outputs.len() == 1
            || outputs.iter().all(|&path| {
                let Some(file) = self.state.file_at(path) else { return false };
                let now = made_part(self.state.path(path), file.content);
                record.parts.iter().find(|part| part.name == now.name).is_none_or(|then| then.value == now.value)
            })
    }

    /// The path of one of a step's outputs.
    pub(crate) fn path(&self, id: StepId, position: usize) -> &str {
        self.steps.outputs(id).get(position).map_or("", |&path| self.state.path(path))
    }

    pub(crate) fn paths(&self, id: StepId) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.steps.outputs(id).iter().map(|&path| self.state.path(path))
    }

    /// A step as its rule sees it.
    pub(crate) fn view(&self, id: StepId) -> StepView {
        let bound = self.steps.bound(id);
        StepView {
            values: bound.iter().map(|b| self.steps.names.get(b.value).into()).collect(),
            fingerprints: bound.iter().map(|b| self.steps.fingerprint(b).copied()).collect(),
            outputs: self.paths(id).map(str::to_owned).collect(),
        }
    }

    /// The path whose name has this hash in records, where the state still knows it.
    pub(crate) fn input_of(&self, hash: &[u8; 8]) -> Option<String> {
        let names = self.input_names.get_or_init(|| {
            let name = |id| input_name(self.state.path(id));
            self.state.live_ids().map(|id| (name(id), id)).collect()
        });
        names.get(hash).map(|&id| self.state.path(id).to_owned())
    }

    /// More inputs may come of what is not built yet, where nothing is run: what is not there now is not gone.
    pub(crate) fn may_grow_inputs(&self, id: StepId) -> bool {
        self.growing_entries(id).next().is_some()
    }

    /// The places of the entries under `inputs:` of which that is so.
    pub(super) fn growing_entries(&self, id: StepId) -> impl Iterator<Item = usize> + '_ {
        // Where only its own steps are to be made, all of them are known.
        let is_open = move |position, group| {
            self.sources(group).into_iter().any(|of| self.is_open_group(id, position, of))
                || !self.goes_on_without(id, position) && self.is_misread_group(group)
        };
        self.open_groups(id).filter(move |&(position, group)| is_open(position, group)).map(|(position, _)| position)
    }

    /// Whether an input that is gone may come once something is built: a target that the step reads may have it then.
    pub(super) fn may_come(&self, id: StepId, path: &str) -> bool {
        self.read_makers(id, path).any(|(target, values)| self.may_still_come(target, &values))
    }

    /// Whether an input is gone as of the last build only: what its values would be read out of is asked in each.
    pub(super) fn may_come_back(&self, id: StepId, path: &str) -> bool {
        let mut makers = self.read_makers(id, path);
        makers.any(|(target, values)| self.may_come_when_asked(target, &values))
    }

    /// The steps, of now or not, by which targets that a step reads would make this file for it.
    fn read_makers(&self, id: StepId, path: &str) -> impl Iterator<Item = (TargetId, Vec<(usize, String)>)> {
        let makers = self.makers().of(path).into_iter();
        makers.filter(move |(target, values)| self.entry_for(id, path, *target, values).is_some())
    }

    /// The entry of a step's `inputs:` by which it would read this file of a target's step of these values.
    pub(crate) fn entry_for(&self, id: StepId, path: &str, of: TargetId, theirs: &[(usize, String)]) -> Option<&Input> {
        let values = self.steps.values_of(id);
        let is_meant =
            |(binding, value): &(usize, String)| theirs.iter().all(|(b, theirs)| b != binding || theirs == value);
        self.steps.target(id).inputs.iter().find(|input| match &input.kind {
            InputKind::Target { target, on, .. } if *target == of => {
                let is_named = |named| pattern::fill(named, &values) == path;
                input.path.as_ref().is_none_or(is_named) && pattern::joined(on, &values).iter().all(is_meant)
            }
            _ => false,
        })
    }

    /// Whether an input that may come again is gone as of the last build: the lists of all that would make it were made, and do
    /// not have it.
    pub(crate) fn is_gone_for_now(&self, id: StepId, path: &str) -> bool {
        // Of the readings of a path, some can never be a step.
        let mut makers =
            self.read_makers(id, path).filter(|(target, values)| self.may_have(*target, values)).peekable();
        makers.peek().is_some() && makers.all(|(target, values)| self.was_read_without(target, &values))
    }

    /// The groups among a step's inputs of which something is to be made, each with its place among them.
    pub(super) fn open_groups(&self, id: StepId) -> impl Iterator<Item = (usize, GroupId)> + '_ {
        self.steps.inputs_of(id).iter().enumerate().filter_map(move |(position, slot)| match slot.wait {
            Wait::Group(group) => Some((position, group)).filter(|_| self.is_open_group(id, position, group)),
            Wait::Step(_) | Wait::File(_) | Wait::None => None,
        })
    }

    /// Whether something is still to be made of a group that an input of a step comes of: what is at fault as well, unless
    /// it is done without.
    fn is_open_group(&self, id: StepId, position: usize, group: GroupId) -> bool {
        let group = &self.steps.groups[group as usize];
        group.stale.is_some() || group.blocked_by.is_some() && !self.goes_on_without(id, position)
    }

    /// Shows the inputs that are to be made, whether or not there is anything of them now.
    pub(super) fn each_open_input(&self, id: StepId, see: &mut dyn FnMut(&str)) {
        for (position, slot) in self.steps.inputs_of(id).iter().enumerate() {
            let lacks = |step: &StepId| self.steps.step(*step).status.blocks() && !self.goes_on_without(id, position);
            let open = match slot.wait {
                Wait::Step(step) => {
                    Some(step).filter(|step| self.steps.is_open(*step) || lacks(step)).into_iter().collect()
                }
                Wait::Group(group) => {
                    let mut open = self.stale_of(group);
                    let this = &self.steps.groups[group as usize];
                    if this.blocked_by.is_some() && !this.is_crowded() {
                        open.extend(self.steps.ordered(group).into_iter().filter(lacks));
                    }
                    open
                }
                Wait::File(_) | Wait::None => Vec::new(),
            };
            let named = self.named_output(id, position, slot.wait);
            let is_read = |path: &&str| named.as_deref().is_none_or(|named| *path == named);
            for step in open {
                if self.steps.outputs(step).is_empty() {
                    self.files_of(step).iter().map(String::as_str).filter(is_read).for_each(&mut *see);
                } else {
                    self.paths(step).filter(is_read).for_each(&mut *see);
                }
            }
        }
    }

    /// A record with its key and the parts that it was made from.
    pub(crate) fn keyed(&self, id: StepId, record: StepRecord, answer: Option<&Sha256>) -> StepRecord {
        let target = self.steps.step(id).target as usize;
        let Some(compiled) = &self.rules[target] else { return record };
        let mut parts: Vec<KeyPart> = Vec::new();
        self.each_own_part(id, compiled, answer, &mut |part| parts.push(part.record()));
        let mut entry: Option<(u32, usize)> = None;
        self.each_recorded_input(id, &mut |input| {
            if input.is_to_come {
                return;
            }
            if input.entry != entry.map(|(place, _)| place) {
                entry = input.entry.map(|place| (place, parts.len()));
                parts.extend(input.entry.map(|place| entry_part(place, 0)));
            }
            if let Some((place, at)) = entry {
                parts[at] = entry_part(place, u32::try_from(parts.len() - at).expect("fewer inputs than steps"));
            }
            parts.push(input.part.record());
        });
        StepRecord { key: self.key(id, compiled, answer), parts, ..record }
    }

    pub(crate) fn key(&self, id: StepId, compiled: &Compiled, answer: Option<&Sha256>) -> Digest {
        self.key_by(&compiled.template_digest, id, compiled, answer, &|_| false)
    }

    /// Whether a record has the key that the step had before keys told folders from files, or before what is named by its
    /// path was the same input whoever makes it: its steps were a set, of which records tell the entry.
    pub(super) fn was_key(
        &self,
        record: &StepRecord,
        id: StepId,
        compiled: &Compiled,
        answer: Option<&Sha256>,
    ) -> bool {
        let was_set = |position: usize| {
            let is_of = |part: &KeyPart| entry_of(part).is_some_and(|(place, _)| place as usize == position);
            record.parts.iter().any(|part| is_of(part) || part.name == crowd_name(position))
        };
        let named = self.steps.target(id).inputs.iter().enumerate().filter(|(_, input)| input.path.is_some());
        let sets: Vec<usize> = named.map(|(position, _)| position).filter(|&position| was_set(position)).collect();
        let is_by = |template: &Digest, sets: &[usize]| {
            record.key == self.key_by(template, id, compiled, answer, &|position| sets.contains(&position))
        };
        let before = compiled.template_before;
        before.is_some_and(|template| is_by(&template, &[]))
            || !sets.is_empty()
                && std::iter::once(compiled.template_digest).chain(before).any(|template| is_by(&template, &sets))
    }

    /// The key by a template. `as_set` tells of which inputs that are named by a path the files are hashed as a set.
    fn key_by(
        &self,
        template: &Digest,
        id: StepId,
        compiled: &Compiled,
        answer: Option<&Sha256>,
        as_set: &dyn Fn(usize) -> bool,
    ) -> Digest {
        let mut maker = KeyMaker::new(template);
        self.each_own_part(id, compiled, answer, &mut |part| maker.add(part));
        let inputs = &self.steps.target(id).inputs;
        for (position, (input, slot)) in inputs.iter().zip(self.steps.inputs_of(id)).enumerate() {
            let named = self.named_output(id, position, slot.wait);
            let mut add_set = |content| maker.add(&Part::Set { input: &(position + 1).to_string(), content });
            match slot.wait {
                Wait::Group(group) if input.path.is_none() => add_set(self.set_digest(group)),
                wait if named.is_none() && as_set(position) => add_set(self.digest_of(wait)),
                wait => self.each_file_there(wait, named.as_deref(), &mut |path, content| {
                    maker.add(&Part::Input { path, content });
                }),
            }
        }
        maker.key()
    }

    /// Shows the inputs of a step as records keep them: file by file, so that a change can be named. Of a large group that
    /// many steps read, each would keep the whole list: there, the digest of the list does for all.
    pub(super) fn each_recorded_input(&self, id: StepId, see: &mut dyn FnMut(&Recorded<'_>)) {
        let inputs = &self.steps.target(id).inputs;
        for (position, (input, slot)) in inputs.iter().zip(self.steps.inputs_of(id)).enumerate() {
            let mut see = |part: Part<'_>, entry, is_to_come| see(&Recorded { part, entry, is_to_come });
            let named = self.named_output(id, position, slot.wait);
            match slot.wait {
                Wait::Group(group) if input.path.is_none() && self.steps.groups[group as usize].is_crowded() => {
                    let input = (position + 1).to_string();
                    see(Part::Set { input: &input, content: self.set_digest(group) }, None, false);
                }
                wait => {
                    // What is named by its path is of that entry, whoever makes it.
                    let is_told = matches!(wait, Wait::Group(_)) && inputs.len() > 1 && input.path.is_none();
                    let entry = u32::try_from(position).ok().filter(|_| is_told);
                    self.each_file(wait, named.as_deref(), &mut |path, content| {
                        see(Part::Input { path, content: content.unwrap_or_default() }, entry, content.is_none());
                    });
                }
            }
            if let Some(path) = self.file_in_place(id, position) {
                see(Part::Input { path: self.state.path(path), content: Digest::default() }, None, true);
            }
        }
    }

    /// The digest of all that a group's steps made: computed once, whoever asks.
    fn set_digest(&self, group: GroupId) -> Digest {
        *self.steps.groups[group as usize].digest.get_or_init(|| self.digest_of(Wait::Group(group)))
    }

    fn digest_of(&self, wait: Wait) -> Digest {
        let mut hasher = SetHasher::default();
        self.each_file_there(wait, None, &mut |path, content| hasher.add(path, content));
        hasher.digest()
    }

    /// Shows the parts of a step's key that are no inputs, in order.
    pub(super) fn each_own_part(
        &self,
        id: StepId,
        compiled: &Compiled,
        answer: Option<&Sha256>,
        see: &mut dyn FnMut(&Part<'_>),
    ) {
        let bindings = &self.steps.target(id).bindings;
        let bound = self.steps.bound(id);
        for &b in &compiled.reads {
            let (binding, value) = (bindings[b].name.as_str(), self.steps.names.get(bound[b].value));
            see(&Part::Value { binding, value });
            if let Some(digest) = self.steps.fingerprint(&bound[b]) {
                see(&Part::Fingerprint { binding, value, digest });
            }
        }
        if let Some(answer) = answer {
            see(&Part::Answer(answer));
        }
        if compiled.rule.common().cached {
            self.paths(id).for_each(|path| see(&Part::Output(path)));
        }
    }

    /// Shows every input file of a step with its content, in order, with the position of its entry under `inputs:`.
    pub(crate) fn each_input(&self, id: StepId, see: &mut dyn FnMut(usize, &str, Digest)) {
        for (position, slot) in self.steps.inputs_of(id).iter().enumerate() {
            let named = self.named_output(id, position, slot.wait);
            self.each_file_there(slot.wait, named.as_deref(), &mut |path, content| see(position, path, content));
        }
    }

    /// The file that an entry under `inputs:` names by its path, where a step makes it among others: these are not read.
    pub(crate) fn named_output(&self, id: StepId, position: usize, wait: Wait) -> Option<String> {
        let path = self.steps.target(id).inputs.get(position)?.path.as_ref()?;
        let maker = match wait {
            Wait::Step(step) => self.steps.target(step),
            Wait::Group(group) => &self.pipeline.targets[self.steps.groups[group as usize].target],
            Wait::File(_) | Wait::None => return None,
        };
        (maker.outputs.len() > 1).then(|| pattern::fill(path, &self.steps.values_of(id)))
    }

    /// Those of a step's outputs that another reads, or would read if the step were not refused.
    pub(crate) fn paths_read(&self, id: StepId, input: StepId) -> Vec<String> {
        let mut read = self.files_of(input);
        if read.len() > 1 {
            let slots = self.steps.inputs_of(id).iter().enumerate().filter(|(_, slot)| self.comes_by(slot.wait, input));
            let named: Option<HashSet<String>> =
                slots.map(|(position, slot)| self.named_output(id, position, slot.wait)).collect();
            read.retain(|path| named.as_ref().is_none_or(|named| named.contains(path)));
        }
        read
    }

    /// Shows the files that a slot stands for, as far as there are such, or of these only the one of that name.
    fn each_file_there(&self, wait: Wait, named: Option<&str>, see: &mut dyn FnMut(&str, Digest)) {
        self.each_file(wait, named, &mut |path, content| {
            if let Some(content) = content {
                see(path, content);
            }
        });
    }

    /// The same with those that are to come. Steps without outputs, such as absent ones, have none.
    fn each_file(&self, wait: Wait, named: Option<&str>, see: &mut dyn FnMut(&str, Option<Digest>)) {
        let mut see = |path: &str, content| {
            if named.is_none_or(|named| path == named) {
                see(path, content);
            }
        };
        match wait {
            Wait::Step(step) => self.each_output(step, &mut see),
            Wait::Group(group) => {
                self.steps.ordered(group).into_iter().for_each(|step| self.each_output(step, &mut see));
            }
            Wait::File(file) => {
                self.show(self.steps.files[file as usize], &mut |path, content| see(path, Some(content)));
            }
            Wait::None => {}
        }
    }

    fn each_output(&self, step: StepId, see: &mut dyn FnMut(&str, Option<Digest>)) {
        let status = self.steps.step(step).status;
        if status == Status::Stale
            && let Some(stored) = self.steps.restores.get(&step)
        {
            return self.paths(step).zip(stored).for_each(|(path, stored)| see(path, Some(stored.as_file())));
        }
        if status.has_outputs() || status == Status::Stale {
            for &path in self.steps.outputs(step) {
                see(self.state.path(path), self.state.file_at(path).map(|file| file.content));
            }
        }
    }

    fn show(&self, path: PathId, see: &mut dyn FnMut(&str, Digest)) {
        if let Some(record) = self.state.file_at(path) {
            see(self.state.path(path), record.content);
        }
    }
}
