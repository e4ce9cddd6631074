//! Outputs that no step makes any more and that steps read as files of the user's. They may be just that; a fresh checkout
//! does not have them.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use super::orphans::{Note, forget_step};
use crate::build::engine::{Engine, Leaf};
use crate::build::files::folders;
use crate::build::outcome::{OrphanRead, ReadsOrphans};
use crate::build::steps::StepId;
use crate::build::steps::values::{label, list_of};
use crate::build::steps::waits::{Slot, Wait};
use crate::store::state::{PathId, StepRecord};

impl Engine<'_> {
    /// The steps that read such files, each with those, in the order of the steps. Most often every record is of a step of
    /// now, and none has an output more than that: then nothing else is looked at.
    pub(crate) fn reads_of_orphans(&self) -> Vec<ReadsOrphans> {
        let is_free = |id| self.steps.maker(id).is_none();
        if !self.state.step_ids().any(is_free) && !self.leave_outputs_behind() {
            return Vec::new();
        }
        let files = self.steps.files.par_iter().zip(&self.looks).enumerate();
        let there = files.filter(|(_, (_, look))| matches!(look, Leaf::There | Leaf::Folder));
        let orphans: HashMap<u32, OrphanRead> = there
            .filter_map(|(file, (path, _))| {
                Some((u32::try_from(file).ok()?, self.orphan_read(self.state.path(*path))?))
            })
            .collect();
        // A list that was edited is the user's own.
        let as_made = |(_, list): &(&str, &str)| self.became_of(list).is_none();
        let lists = self.lists_read().filter_map(|(target, list)| Some(((target, list), self.orphan_read(list)?)));
        let lists = lists.filter(|(list, _)| as_made(list));
        let mut reads: Vec<ReadsOrphans> =
            lists.map(|((target, _), file)| ReadsOrphans { step: target.to_owned(), files: vec![file] }).collect();
        if !orphans.is_empty() {
            let readers = self.readers_of(|file| orphans.get(&file).cloned()).into_iter();
            reads.extend(readers.map(|(step, files)| ReadsOrphans { step: self.steps.label(step), files }));
        }
        reads
    }

    /// Whether steps that are not simply up to date made more outputs than they have now.
    pub(super) fn leave_outputs_behind(&self) -> bool {
        self.have_several_outputs() && self.accounts.keys().any(|&id| !self.left_behind(id).is_empty())
    }

    /// The targets whose values are those of a list in a file that no step makes, each with that.
    fn lists_read(&self) -> impl Iterator<Item = (&str, &str)> {
        let wanted = self.pipeline.order.iter().filter(|&&target| self.wanted[target].is_wanted());
        wanted.flat_map(|&target| {
            let target = &self.pipeline.targets[target];
            target.axes.iter().filter_map(|axis| Some((target.name.as_str(), list_of(&axis.kind)?)))
        })
    }

    /// The steps that read files of a kind, each with what is told of those.
    pub(super) fn readers_of<T>(&self, told: impl Fn(u32) -> Option<T>) -> Vec<(StepId, Vec<T>)> {
        let mut ids: Vec<StepId> = (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).collect();
        // A group reads nothing: what it names is read by those that name it.
        ids.retain(|&id| self.rules[self.steps.step(id).target as usize].is_some());
        ids.sort_by_key(|&id| (self.steps.step(id).target, self.steps.step(id).row));
        let read = |slot: &Slot| match slot.wait {
            Wait::File(file) => told(file),
            Wait::Step(_) | Wait::Group(_) | Wait::None => None,
        };
        let files = |id: StepId| self.steps.inputs_of(id).iter().filter_map(read).collect();
        ids.into_iter().map(|id| (id, files(id))).filter(|(_, files): &(_, Vec<T>)| !files.is_empty()).collect()
    }

    /// By which steps these files, or files in these folders, are read.
    pub(super) fn readers_of_orphans(&self, paths: &[String]) -> HashMap<String, Note> {
        let orphans: HashSet<&str> = paths.iter().map(String::as_str).collect();
        let mut read_by: HashMap<String, Note> = HashMap::new();
        if orphans.is_empty() {
            return read_by;
        }
        let orphan = |path: &str| folders::around(path).chain([path]).find_map(|path| orphans.get(path).copied());
        let by_list = self.lists_read().filter_map(|(target, list)| Some((target.to_owned(), vec![orphan(list)?])));
        let by_step = self.readers_of(|file| orphan(self.state.path(self.steps.files[file as usize]))).into_iter();
        for (reader, read) in by_list.chain(by_step.map(|(step, read)| (self.steps.label(step), read))) {
            for orphan in BTreeSet::from_iter(read) {
                match read_by.get_mut(orphan) {
                    Some(Note::ReadBy(_, more)) => *more += 1,
                    _ => drop(read_by.insert(orphan.to_owned(), Note::ReadBy(reader.clone(), 0))),
                }
            }
        }
        read_by
    }

    /// What made a file that no step makes any more, or a folder that it lies in.
    pub(crate) fn orphan_read(&self, path: &str) -> Option<OrphanRead> {
        let first = self.state.path(self.left_behind_by(path)?);
        let template = self.state.step(first).and_then(|record| self.template_of(&record));
        let made_by = template.and_then(|template| template.target).map(|name| label(&name, &self.values_in(first)));
        Some(OrphanRead { file: path.to_owned(), made_by })
    }

    /// By which record a file, or a folder that it lies in, is an output of a step, where no step makes it now.
    pub(crate) fn left_behind_by(&self, path: &str) -> Option<PathId> {
        let recorded = |path: &str| {
            let id = self.state.find(path)?;
            // Who looks for further outputs goes through all records.
            let may_be_kept = self.state.step_key_at(id).is_some() || self.have_several_outputs();
            Some(id).filter(|_| may_be_kept).and_then(|id| self.kept_by(id))
        };
        let mut paths = folders::around(path).chain([path]);
        paths.find_map(|path| recorded(path).filter(|_| self.is_nobodys(path, None)))
    }

    /// What is edited since it was made, and no step makes any more, is the user's own: the record of that step goes, and
    /// with it what would let it be removed.
    pub(crate) fn disown(&mut self, path: PathId) {
        let name = self.state.path(path).to_owned();
        let Some(first) = self.left_behind_by(&name).filter(|&first| self.steps.maker(first).is_none()) else { return };
        let Some(record) = self.state.step_at(first) else { return };
        // What has a record of its own meanwhile is that step's.
        let is_its = |&output: &&str| {
            let id = self.state.find(output).filter(|&id| self.state.file_at(id).is_some());
            id.is_some_and(|id| id != path && (id == first || self.state.step_key_at(id).is_none()))
        };
        let others = self.outputs_of_record(first, &record).into_iter().filter(is_its);
        let others: Vec<String> = others.map(str::to_owned).collect();
        if first == path {
            forget_step(&mut self.state, &name);
        }
        if let [first, more @ ..] = others.as_slice() {
            self.state.put_step(first, &StepRecord { more_outputs: more.to_vec(), ..record });
        }
    }
}
